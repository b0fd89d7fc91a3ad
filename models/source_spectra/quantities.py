"""The quantities of the posterior: unit and meaning of each, and those calibrated."""

from bayesquake.model.model import Quantity

__all__ = ["QUANTITIES", "calibrated"]

PAIR, EVENT, OTHER = ("pair",), ("event",), ("other_event",)

QUANTITIES = {
    "ln_fc1": Quantity("ln(Hz)", "log corner frequency of event 1", PAIR),
    "dln_fc": Quantity("1", "d, log of the ratio of corner frequencies fc2 / fc1", PAIR),
    "ln_moment_ratio": Quantity("1", "m, log of the ratio of moments M01 / M02", PAIR),
    "fc1": Quantity("Hz", "corner frequency of event 1", PAIR),
    "fc2": Quantity("Hz", "corner frequency of event 2", PAIR),
    "ln_dsigma_ratio": Quantity("1", "log of the ratio of stress drops, m - 3 d", PAIR),
    "ln_dsigma1": Quantity("ln(Pa)", "log stress drop of event 1, rupture model unknown", PAIR),
    "ln_dsigma2": Quantity("ln(Pa)", "log stress drop of event 2, rupture model unknown", PAIR),
    "nu": Quantity("1", "degrees of freedom of the power estimates", PAIR),
    "logit_nu": Quantity("1", "logit of (nu - 1) / (nu_max - 1)", PAIR, role="latent"),
    "falloff": Quantity("1", "fall-off n of the source spectra", PAIR),
    "level": Quantity("1", "log amplitude level of the trace", ("pair", "trace")),
    "level_drawn": Quantity(
        "1", "level, and its prior where a trace has none", ("pair", "trace"), role="latent"
    ),
    "level_scale": Quantity("1", "spread of the levels of the traces", PAIR),
    "mu_dsigma": Quantity("ln(Pa)", "mean of the log stress drops, rupture model unknown"),
    "tau_dsigma": Quantity("1", "spread of the log stress drops"),
    "apparent_mu_dsigma": Quantity("ln(Pa)", "mean of ln Δσ + 3 ln k", role="latent"),
    "rupture_model_probability": Quantity(
        "1", "probability of each rupture model", ("rupture_model",)
    ),
    "dsigma_white": Quantity(
        "1", "stress drops in units of their spread, of all events", ("source",), role="latent"
    ),
    "ln_fc": Quantity("ln(Hz)", "log corner frequency", EVENT),
    "fc": Quantity("Hz", "corner frequency", EVENT),
    "ln_relative_moment": Quantity("1", "log moment over that of the first event", EVENT),
    "ln_dsigma": Quantity("ln(Pa)", "log stress drop, rupture model unknown", EVENT),
    "ln_fc_first": Quantity("ln(Hz)", "log corner frequency of the first event"),
    "dln_fc_to": Quantity("1", "log of the ratio of corner frequencies to the first event", OTHER),
    "ln_moment_ratio_to": Quantity("1", "log of the ratio of the first event's moment", OTHER),
    "cluster_nu": Quantity("1", "degrees of freedom of the power estimates"),
    "cluster_logit_nu": Quantity("1", "logit of (nu - 1) / (nu_max - 1)", role="latent"),
    "cluster_falloff": Quantity("1", "fall-off n of the source spectra"),
}

OF_FIRST_PAIR = ("ln_fc1", "dln_fc", "ln_moment_ratio", "nu", "falloff", "level_scale")
OF_CLUSTER = ("ln_fc", "ln_relative_moment")


def calibrated(values, data):
    """Return the scalars whose ranks and coverage are checked.

    Parameters
    ----------
    values : mapping
        Constrained parameters of pairs, of which the first is taken, or of a cluster.
    data : arrays.PairArrays or arrays.ClusterArrays

    Returns
    -------
    dict of scalars
    """
    found = {name: values[name][0] for name in OF_FIRST_PAIR if name in values}
    for name in OF_CLUSTER:
        if name in values:
            found |= {f"{name}_{i + 1}": value for i, value in enumerate(values[name])}
    found.pop("ln_relative_moment_1", None)
    found |= {name: values[name] for name in ("apparent_mu_dsigma", "tau_dsigma") if name in values}
    return found
