r"""Certificates on trial: posteriors whose quantiles are known, fitted many at a time.

Run as ``python -m bayesquake.experiments.benchmarks.battery [--out FOLDER]``; a run that was
stopped goes on. Every problem is a target density on its own parameters, in 3 to 30 dimensions:
curved valleys, funnels, heavy tails, bounded and skewed quantities, strong correlations, and
mixtures of two normals. `bayesquake.fit_many` fits them with its default settings.

At every known quantile the share of draws below it should be its probability :math:`p`, within a
Monte-Carlo error of :math:`\sqrt{p(1-p)/\mathrm{ESS}}`. A certificate is *wrong* where one of these
shares is more than five errors off.
"""

import argparse
import functools
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from jax.scipy.special import logsumexp
from scipy import optimize, stats

import bayesquake as bq
from bayesquake.model.model import Model, Quantity

__all__ = ["FAMILIES", "Family", "battery", "summary", "trial"]

PROBABILITIES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
DIMENSIONS = (3, 10, 30)
PROBLEMS = 20
"""Problems of every family and dimension."""

WRONG = 5.0
"""Monte-Carlo errors beyond which a certificate is wrong."""

WIDE = 10.0
"""Scale of the prior, from which searches and sequential Monte Carlo start."""


class Family(NamedTuple):
    """A kind of posterior.

    Attributes
    ----------
    declare : callable
        NumPyro model of the problem's parameters: sites ``x`` and ``known``, (coordinate,).
    parameters : callable
        ``(rng, dim) -> dict of arrays`` of one problem.
    quantiles : callable
        ``(probability, parameters) -> (coordinate,)`` of ``known``.
    """

    declare: Callable
    parameters: Callable
    quantiles: Callable


def target_density(prior, log_density):
    """Declare ``x`` with a density: the prior, and what the density has beyond it."""
    x = numpyro.sample("x", prior.to_event(1))
    numpyro.factor("beyond_the_prior", log_density(x) - prior.log_prob(x).sum())
    return x


def standard_normal(z):
    """Return the log density of independent standard normals."""
    return dist.Normal(0.0, 1.0).log_prob(z).sum()


def wide(template):
    """Return the prior of unbounded coordinates."""
    return dist.Normal(0.0, WIDE).expand(template.shape)


def standard_quantiles(probability, parameters):
    """Return the quantiles of standard normals."""
    return np.full(parameters["template"].shape, stats.norm.ppf(probability))


def banana(data):
    """Declare a valley: x1 = s z1, x2 = z2 + b (x1² - s²), the other coordinates standard."""
    scale, curvature = data["scale"], data["curvature"]

    def straight(x):
        bent = x[1] - curvature * (x[0] ** 2 - scale**2)
        return jnp.concatenate([jnp.stack([x[0] / scale, bent]), x[2:]])

    x = target_density(
        wide(data["template"]), lambda x: standard_normal(straight(x)) - jnp.log(scale)
    )
    numpyro.deterministic("known", straight(x))


def banana_parameters(rng, dim):
    """Return a random valley."""
    return {"scale": rng.uniform(1.0, 3.0), "curvature": rng.uniform(0.05, 1.0)}


def funnel(data):
    """Declare a funnel: x1 = s z1 is the log variance of all other coordinates."""
    scale = data["scale"]

    def straight(x):
        return jnp.concatenate([x[:1] / scale, x[1:] * jnp.exp(-0.5 * x[0])])

    def log_density(x):
        return standard_normal(straight(x)) - 0.5 * (x.size - 1) * x[0] - jnp.log(scale)

    x = target_density(wide(data["template"]), log_density)
    numpyro.deterministic("known", straight(x))


def funnel_parameters(rng, dim):
    """Return a random funnel."""
    return {"scale": rng.uniform(0.5, 3.0)}


def student(data):
    """Declare independent Student distributions."""
    t = dist.StudentT(data["degrees"])
    x = target_density(wide(data["template"]), lambda x: t.log_prob(x).sum())
    numpyro.deterministic("known", x)


def student_parameters(rng, dim):
    """Return random degrees of freedom."""
    return {"degrees": rng.uniform(2.0, 10.0, dim)}


def student_quantiles(probability, parameters):
    """Return the quantiles of Student distributions."""
    return stats.t.ppf(probability, parameters["degrees"])


def beta(data):
    """Declare independent beta distributions, some with their mass at the ends."""
    target = dist.Beta(data["a"], data["b"])
    flat = dist.Beta(1.0, 1.0).expand(data["template"].shape)
    x = target_density(flat, lambda x: target.log_prob(x).sum())
    numpyro.deterministic("known", x)


def beta_parameters(rng, dim):
    """Return random exponents."""
    return {name: np.exp(rng.uniform(np.log(0.3), np.log(5.0), dim)) for name in "ab"}


def beta_quantiles(probability, parameters):
    """Return the quantiles of beta distributions."""
    return stats.beta.ppf(probability, parameters["a"], parameters["b"])


def correlated(data):
    """Declare a normal of strong correlations and unequal scales."""
    root = data["root"]
    log_volume = jnp.log(jnp.abs(jnp.diagonal(root))).sum()

    def straight(x):
        return jax.scipy.linalg.solve_triangular(root, x, lower=True)

    x = target_density(wide(data["template"]), lambda x: standard_normal(straight(x)) - log_volume)
    numpyro.deterministic("known", straight(x))


def correlated_parameters(rng, dim):
    """Return the root of a covariance with correlations up to 0.999 and scales of 0.01 to 10."""
    correlation = 1.0 - np.exp(rng.uniform(np.log(0.001), np.log(0.5)))
    scales = np.exp(rng.uniform(np.log(0.01), np.log(10.0), dim))
    equal = correlation + (1 - correlation) * np.eye(dim)
    return {"root": scales[:, None] * np.linalg.cholesky(equal)}


def bounded(data):
    """Declare gamma distributions, of which small shapes pile up at the bound."""
    target = dist.Gamma(data["shape"], 1.0)
    prior = dist.HalfNormal(WIDE).expand(data["template"].shape)
    x = target_density(prior, lambda x: target.log_prob(x).sum())
    numpyro.deterministic("known", x)


def bounded_parameters(rng, dim):
    """Return random shapes."""
    return {"shape": np.exp(rng.uniform(np.log(0.3), np.log(4.0), dim))}


def bounded_quantiles(probability, parameters):
    """Return the quantiles of gamma distributions."""
    return stats.gamma.ppf(probability, parameters["shape"])


def two_modes(data):
    """Declare a mixture of two normals that lie apart along the first coordinate."""
    centre = jnp.asarray(data["template"]).at[0].set(0.5 * data["distance"])

    def log_density(x):
        first = dist.Normal(-centre, data["widths"][0]).log_prob(x).sum()
        second = dist.Normal(centre, data["widths"][1]).log_prob(x).sum()
        return logsumexp(jnp.stack([first, second]), b=data["weights"])

    x = target_density(wide(data["template"]), log_density)
    numpyro.deterministic("known", x)


def two_modes_parameters(rng, dim, width=None, distance=None):
    """Return a random mixture; the width is of the second normal, the first has 1."""
    width = np.exp(rng.uniform(np.log(0.3), 0.0)) if width is None else width
    distance = rng.uniform(4.0, 12.0) if distance is None else distance
    weight = rng.uniform(0.2, 0.8)
    return {
        "widths": np.array([1.0, width]),
        "weights": np.array([weight, 1.0 - weight]),
        "distance": distance,
    }


def two_modes_quantiles(probability, parameters):
    """Return the quantiles of the mixture along every coordinate."""
    centre = 0.5 * parameters["distance"]
    widths, weights = parameters["widths"], parameters["weights"]

    def quantile(centres):
        def excess(x):
            return weights @ stats.norm.cdf(x, centres, widths) - probability

        reach = centre + 10.0
        return optimize.brentq(excess, -reach, reach, xtol=1e-12)

    first, other = quantile(np.array([-centre, centre])), quantile(np.zeros(2))
    return np.append(first, np.full(parameters["template"].size - 1, other))


FAMILIES = {
    "banana": Family(banana, banana_parameters, standard_quantiles),
    "funnel": Family(funnel, funnel_parameters, standard_quantiles),
    "student": Family(student, student_parameters, student_quantiles),
    "beta": Family(beta, beta_parameters, beta_quantiles),
    "correlated": Family(correlated, correlated_parameters, standard_quantiles),
    "bounded": Family(bounded, bounded_parameters, bounded_quantiles),
    "two modes": Family(two_modes, two_modes_parameters, two_modes_quantiles),
}


@functools.cache
def model_of(name):
    """Return the model of a family, whose data sets are the parameters of its problems."""
    family = FAMILIES[name]
    along = ("coordinate",)
    return Model(
        name=name.replace(" ", "_"),
        title=f"Posterior of known quantiles: {name}",
        references=(),
        declare=lambda data, priors: family.declare(data),
        priors={},
        read=lambda source: source,
        prepare=lambda dataset: {key: jnp.asarray(dataset[key]) for key in dataset.data_vars},
        quantities={
            "x": Quantity("1", "the coordinates", along),
            "known": Quantity("1", "what has known quantiles", along),
        },
    )


def as_dataset(parameters):
    """Return the parameters of a problem as its data set."""
    return xr.Dataset(
        {
            name: (tuple(f"{name}_{i}" for i in range(np.ndim(values))), values)
            for name, values in parameters.items()
        }
    )


def trial(name, problems, *, seed=0, **settings):
    """Fit problems of one family and compare their draws with the known quantiles.

    Parameters
    ----------
    name : str
        Of `FAMILIES`.
    problems : sequence of dict
        Parameters, with a ``template`` of zeros (coordinate,).
    seed : int
    **settings
        Of `bayesquake.fit_many`.

    Returns
    -------
    pandas.DataFrame
        By problem: ``tier`` (0: not certified), ``modes`` that the searches saw, ``gradients``,
        ``divergences`` and ``error``, the largest of a known probability in Monte-Carlo errors.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = bq.fit_many(model_of(name), list(map(as_dataset, problems)), seed=seed, **settings)
    known = np.moveaxis(result["posterior"]["known"].to_numpy(), 2, 0)
    table = result["triage"]
    return pd.DataFrame(
        {
            "family": name,
            "dimension": known.shape[-1],
            "tier": table["tier"].to_numpy(),
            "modes": table["modes"].to_numpy(),
            "gradients": table["gradients"].to_numpy(),
            "divergences": result["sample_stats"]["diverging"].sum(("chain", "draw")).to_numpy(),
            "error": [
                largest_error(draws, FAMILIES[name].quantiles, parameters)
                for draws, parameters in zip(known, problems, strict=True)
            ],
        }
    )


def largest_error(draws, quantiles, parameters):
    """Return the largest error of a known probability, in Monte-Carlo errors.

    Parameters
    ----------
    draws : (chain, draw, coordinate)
    """
    if not np.isfinite(draws).all():
        return np.nan
    worst = 0.0
    for probability in PROBABILITIES:
        below = (draws <= quantiles(probability, parameters)).astype(float)
        ess = np.asarray(array_stats.ess(below, chain_axis=0, draw_axis=1, method="mean"))
        error = np.sqrt(probability * (1 - probability) / np.maximum(ess, 1.0))
        worst = max(worst, np.abs((below.mean(axis=(0, 1)) - probability) / error).max())
    return worst


def random_problems(name, dim, count, seed):
    """Return the parameters of random problems of a family."""
    rng = np.random.default_rng([seed, dim, *name.encode()])
    template = np.zeros(dim)
    return [FAMILIES[name].parameters(rng, dim) | {"template": template} for _ in range(count)]


NARROW = {"width": (1.0, 0.6, 0.3, 0.1), "distance": (4.0, 8.0, 16.0)}
"""Second modes of which the searches may meet none: widths and distances."""

NARROW_DIMENSION = 3


def narrow_problems(width, distance, count, seed):
    """Return mixtures whose second mode is narrow."""
    rng = np.random.default_rng([seed, int(1000 * width), int(distance)])
    template = np.zeros(NARROW_DIMENSION)
    return [
        two_modes_parameters(rng, NARROW_DIMENSION, width, distance) | {"template": template}
        for _ in range(count)
    ]


def battery(folder, *, problems=PROBLEMS, seed=0):
    """Run every family and dimension, keeping each table as it is made.

    Returns
    -------
    pandas.DataFrame
        As of `trial`, of all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = {
        f"{name}_{dim}": (name, random_problems(name, dim, problems, seed))
        for name in FAMILIES
        for dim in DIMENSIONS
    }
    for width, distance in itertools.product(NARROW["width"], NARROW["distance"]):
        mixtures = narrow_problems(width, distance, problems, seed)
        runs[f"narrow_{width}_{distance}"] = ("two modes", mixtures)
    tables = []
    for label, (name, parameters) in runs.items():
        path = folder / f"{label.replace(' ', '_')}.csv"
        if not path.exists():
            trial(name, parameters, seed=seed).assign(run=label).to_csv(path, index=False)
            print(path.name, flush=True)
        tables.append(pd.read_csv(path))
    return pd.concat(tables, ignore_index=True)


def summary(table):
    """Summarise trials by run.

    Returns
    -------
    pandas.DataFrame
        Share of problems certified by each tier, certificates, those that are wrong though they
        saw every mode, those that missed the second one, and gradients per certificate.
    """
    mixture = table["family"] == "two modes"
    table = table.assign(
        certified=table["tier"] > 0,
        missed=mixture & (table["modes"] < 2) & (table["error"] > WRONG) & (table["tier"] > 0),
    )
    table["wrong"] = table["certified"] & (table["error"] > WRONG) & ~table["missed"]
    by_run = table.groupby("run", sort=False)
    found = by_run[["certified", "wrong", "missed", "gradients"]].sum()
    found.insert(0, "problems", by_run.size())
    found["gradients_each"] = found.pop("gradients") / found["certified"].clip(lower=1)
    seen = table[table["certified"] & ~table["missed"]]
    found["largest_error"] = seen.groupby("run")["error"].max()
    tiers = table.groupby("run", sort=False)["tier"].value_counts(normalize=True).unstack()
    return found.join(tiers.fillna(0.0).add_prefix("tier_"))


def main():
    """Run the battery and print its summary."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("battery"), help="folder of the tables")
    parser.add_argument("--problems", type=int, default=PROBLEMS, help="of a family and dimension")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    table = battery(given.out, problems=given.problems, seed=given.seed)
    found = summary(table)
    found.to_csv(given.out / "summary.csv")
    print(found.round(2).to_string())
    print(found[["problems", "certified", "wrong", "missed"]].sum().to_string())


if __name__ == "__main__":
    main()
