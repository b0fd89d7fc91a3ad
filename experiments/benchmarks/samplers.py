"""Our samplers and those of other packages under one call.

A sampler prepares a problem, which may compile, and then draws by seed. NumPyro's `MCMC`
compiles in every call, whether its arguments are compiled in or not; on chains in one
program a second call of one `MCMC` fails, so that every call makes its own.
"""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesquake.inference.chees import chees
from bayesquake.inference.constrained import constrained
from bayesquake.inference.mclmc import mclmc
from bayesquake.inference.nuts import nuts
from bayesquake.model.model import Model
from bayesquake.model.priors import resolve_priors
from bayesquake.targets.target import target_of_arrays

from .eight_groups import EIGHT_GROUPS, SCHOOLS
from .hierarchical import MEASURED, NINETY_EIGHT_GROUPS

__all__ = [
    "EIGHT_SCHOOLS",
    "HIERARCHY",
    "SAMPLERS",
    "Problem",
    "Sampled",
    "Sampler",
    "generative",
    "installed",
    "pymc_model",
]


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """A model on data.

    Attributes
    ----------
    model : bayesquake.model.model.Model
    arrays : mapping
        Its prepared data.
    compared : tuple of str
        Quantities whose convergence and effective sample size count.
    """

    model: Model
    arrays: Mapping[str, Any]
    compared: tuple[str, ...]


EIGHT_SCHOOLS = Problem(EIGHT_GROUPS, EIGHT_GROUPS.prepare(SCHOOLS), ("mu", "tau", "theta"))
HIERARCHY = Problem(
    NINETY_EIGHT_GROUPS, NINETY_EIGHT_GROUPS.prepare(MEASURED), ("mu", "log_tau", "theta")
)


class Sampled(NamedTuple):
    """Draws of one call.

    Attributes
    ----------
    values : mapping of str to (chain, draw, ...)
        Draws of the compared quantities, and maybe of others.
    draw_gradients, gradients : int or None
        Gradients of the kept draws, and with those of warm-up, if known.
    """

    values: Mapping[str, Any]
    draw_gradients: int | None = None
    gradients: int | None = None


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A sampler with its settings.

    Attributes
    ----------
    name : str
    package : str
        That it comes from.
    prepare : callable
        ``(problem, chains, warmup, draws) -> (seed -> Sampled)``.
    many : bool
        Whether it is meant for many chains.
    compiles : bool
        Whether every call compiles, which makes it slow.
    """

    name: str
    package: str
    prepare: Callable
    many: bool = False
    compiles: bool = False


def installed(package):
    """Return whether a package is installed."""
    return importlib.util.find_spec(package) is not None


def generative(model):
    """Return a model's generative function of the data alone, at its own priors."""
    priors = {name: prior.distribution() for name, prior in resolve_priors(model).items()}
    return functools.partial(model.declare, priors=priors)


def pymc_model(problem):
    """Return the problem as a PyMC model."""
    from . import pymc_models

    return getattr(pymc_models, problem.model.name)(**problem.arrays)


def ours(driver, **settings):
    """Return the preparation of one of our drivers."""

    def prepare(problem, chains, warmup, draws):
        target = target_of_arrays(problem.model, problem.arrays)

        def sample(seed):
            made = driver(target, chains=chains, warmup=warmup, draws=draws, seed=seed, **settings)
            values = constrained(target, made.positions)
            return Sampled(values, int(made.statistics["n_steps"].sum()), made.gradients)

        return sample

    return prepare


def numpyro_mcmc(**settings):
    """Return the preparation of ``numpyro.infer.MCMC`` with NUTS."""

    def prepare(problem, chains, warmup, draws):
        from numpyro.infer import MCMC, NUTS

        model = generative(problem.model)

        def sample(seed):
            mcmc = MCMC(
                NUTS(model),
                num_warmup=warmup,
                num_samples=draws,
                num_chains=chains,
                progress_bar=False,
                **settings,
            )
            mcmc.run(jax.random.key(seed), problem.arrays, extra_fields=("num_steps",))
            values = jax.tree.map(np.asarray, mcmc.get_samples(group_by_chain=True))
            return Sampled(values, int(mcmc.get_extra_fields()["num_steps"].sum()))

        return sample

    return prepare


def nutpie_sample(**settings):
    """Return the preparation of nutpie's NUTS on the PyMC model."""

    def prepare(problem, chains, warmup, draws):
        import nutpie

        compiled = nutpie.compile_pymc_model(pymc_model(problem))

        def sample(seed):
            trace = nutpie.sample(
                compiled,
                chains=chains,
                tune=warmup,
                draws=draws,
                seed=seed,
                cores=1,
                progress_bar=False,
                **settings,
            )
            of_draws, of_warmup = (
                int(trace[group]["n_steps"].sum())
                for group in ("sample_stats", "warmup_sample_stats")
            )
            return Sampled(_values(trace), of_draws, of_draws + of_warmup)

        return sample

    return prepare


def pymc_sample(problem, chains, warmup, draws):
    """Prepare PyMC's own NUTS."""
    import pymc as pm

    model = pymc_model(problem)

    def sample(seed):
        with model:
            trace = pm.sample(
                draws,
                tune=warmup,
                chains=chains,
                cores=1,
                random_seed=seed,
                nuts_sampler="pymc",
                progressbar=False,
                quiet=True,
                compute_convergence_checks=False,
            )
        return Sampled(_values(trace), int(trace["sample_stats"]["n_steps"].sum()))

    return sample


def _values(trace):
    return {name: draws.to_numpy() for name, draws in trace["posterior"].data_vars.items()}


SAMPLERS = (
    Sampler("nuts", "bayesquake", ours(nuts)),
    Sampler("nuts, low_rank", "bayesquake", ours(nuts, metric="low_rank")),
    Sampler("nuts, dense", "bayesquake", ours(nuts, metric="dense")),
    Sampler("chees", "bayesquake", ours(chees), many=True),
    Sampler("mclmc", "bayesquake", ours(mclmc), many=True),
    Sampler("numpyro.MCMC", "numpyro", numpyro_mcmc(chain_method="vectorized"), compiles=True),
    Sampler(
        "numpyro.MCMC, jit_model_args",
        "numpyro",
        numpyro_mcmc(chain_method="vectorized", jit_model_args=True),
        compiles=True,
    ),
    Sampler(
        "numpyro.MCMC, sequential",
        "numpyro",
        numpyro_mcmc(chain_method="sequential"),
        compiles=True,
    ),
    Sampler("nutpie", "nutpie", nutpie_sample()),
    Sampler("nutpie, low_rank", "nutpie", nutpie_sample(adaptation="low_rank")),
    Sampler("PyMC", "pymc", pymc_sample, compiles=True),
)
