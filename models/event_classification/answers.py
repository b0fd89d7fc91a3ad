"""What the report says first: how much is background, how large clusters are, what comes next."""

import numpy as np

__all__ = ["answers"]

LARGEST = 5
"""Events named one by one."""

TAILS = (0.025, 0.975)


def answers(result):
    """Return questions and their answers, a line of text each.

    Intervals hold 95 % of posterior draws: the uncertainty of parameters and of classes together.
    """
    classes = result["classification"].to_dataset()
    target = classes["target"].to_numpy() == 1
    parent, root = classes["parent"].to_numpy(), classes["root"].to_numpy()
    return {
        "Targets": f"{target.sum()} of {target.size} events; the others are history",
        "Background events among the targets": spread((parent[:, target] < 0).sum(axis=1)),
        "Clusters of two events or more with a target": spread(
            [clusters_of(each, target) for each in root]
        ),
        "Events of the largest cluster": spread(classes["cluster_size"].max("event")),
        **largest_events(classes, target),
        "Are the residuals those of a Poisson process?": verdict(result["residuals"]),
        **(forecast(result["forecast"].to_dataset()) if "forecast" in result.children else {}),
    }


def clusters_of(root, target):
    """Return how many trees of more than one event hold a target."""
    first, size = np.unique(root, return_counts=True)
    return np.isin(first[size > 1], root[target]).sum()


def largest_events(classes, target):
    """Return what is known of the largest targets, by name."""
    magnitude = classes["magnitude"].to_numpy()
    order = np.argsort(np.where(target, -magnitude, np.inf), kind="stable")
    return {
        f"Event {i}, {moment(classes, i)}, magnitude {magnitude[i]:g}": (
            f"background with probability {classes['phi_mean'].values[i]:.2f}, in a cluster of "
            f"{spread(classes['cluster_size'].values[:, i])} events"
        )
        for i in order[: min(LARGEST, target.sum())]
    }


def moment(classes, i):
    """Return the time of an event, in UTC where that is known."""
    if "time_utc" in classes.coords:
        return np.datetime_as_string(classes["time_utc"].values[i], unit="s").replace("T", " ")
    return f"day {classes['time_days'].values[i]:.2f}"


def verdict(residuals):
    """Return the Kolmogorov-Smirnov test of transformed times, in words."""
    distance, p = float(residuals["ks_statistic"]), float(residuals["ks_pvalue"])
    word = "no sign against it" if p > 0.05 else "no"
    return f"{word}: Kolmogorov-Smirnov distance {distance:.3f}, p = {p:.2g} or less"


def forecast(catalogs):
    """Return the number of events that the forecast expects."""
    count, days = catalogs["count"].to_numpy(), catalogs.attrs["forecast_days"]
    text = f"{spread(count)}; any with probability {(count > 0).mean():.2f}"
    return {f"Events in the {days:g} days after the window": text}


def spread(counts):
    """Return the mean of counts and the interval that holds 95 % of them."""
    low, high = np.quantile(counts, TAILS, method="inverted_cdf")
    return f"{np.mean(counts):.3g} ({low:g} to {high:g})"
