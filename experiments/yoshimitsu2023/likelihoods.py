r"""The F distribution of spectral ratios against two normal likelihoods.

All three see the same sources and priors. With y the log power ratio of a bin and loc what the
sources make of it,

* F: y - loc is the log of an F variable with known degrees of freedom;
* log-normal: :math:`y \sim \mathrm{N}(\mathrm{loc}, \sigma)`;
* amplitude-normal: :math:`\sqrt{R} \sim \mathrm{N}(e^{\mathrm{loc}/2}, \sigma)`, R = e^y.

Each pair's σ has the prior 1/σ and is integrated out: n residuals of squared sum Q have
the likelihood :math:`Q^{-n/2}`, a Student-t form. The logarithm of an F variable has mean
:math:`2 b` with

.. math:: b = \tfrac12 [\psi(\nu_1/2) - \ln(\nu_1/2) - \psi(\nu_2/2) + \ln(\nu_2/2)],

which the log-normal likelihood takes for a part of m. Its fourth variant subtracts it.
"""

import dataclasses
import functools

import jax.numpy as jnp
import numpyro
import pandas as pd
from jax.scipy.special import digamma

from bayesquake.model.capabilities import Problems
from bayesquake.model.registry import load_model
from bayesquake.models.source_spectra.model import pair_location
from bayesquake.models.source_spectra.problems import independent

from . import figures
from .study import PARAMETERS, coverage_error, draw_truth, pair_draws, recovery, simulate_pairs

__all__ = ["LIKELIHOODS", "log_bias", "normal_model", "run"]


def log_bias(nu1, nu2):
    """Return what the mean of ln F adds to m, half of that mean."""
    return 0.5 * (mean_log_share(nu1) - mean_log_share(nu2))


def mean_log_share(nu):
    """Return the mean of ln(X / ν) of a chi-square variable X with ν degrees of freedom."""
    return digamma(0.5 * nu) - jnp.log(0.5 * nu)


def log_residual(loc, data):
    """Return y less its location, (pair, trace, freq)."""
    return data.y - loc


def offset_log_residual(loc, data):
    """Return y less its location and the mean of ln F."""
    return data.y - loc - 2 * log_bias(data.nu1, data.nu2)


def amplitude_residual(loc, data):
    """Return the amplitude ratio less that of the sources."""
    return jnp.exp(0.5 * data.y) - jnp.exp(0.5 * loc)


LIKELIHOODS = {
    "F": None,
    "log-normal": log_residual,
    "log-normal, offset": offset_log_residual,
    "amplitude-normal": amplitude_residual,
}
"""Residuals of the normal likelihoods by name."""


def normal_pairs(data, priors, *, residual):
    """Declare pairs whose residuals are normal with an unknown standard deviation each."""
    values = {
        name: numpyro.sample(name, priors[name].expand(data.g.shape).to_event(1))
        for name in PARAMETERS
    }
    loc = pair_location(values, data)[0]
    Q = (data.mask * residual(loc, data) ** 2).sum(axis=(1, 2))
    n = data.mask.sum(axis=(1, 2))
    numpyro.factor("log_likelihood", (-0.5 * n * jnp.log(Q)).sum())


@functools.cache
def normal_model(residual):
    """Return the model of pairs with normal residuals.

    Parameters
    ----------
    residual : callable
        ``(loc, arrays) -> (pair, trace, freq)``.
    """
    return dataclasses.replace(
        load_model("source_spectra"),
        declare=functools.partial(normal_pairs, residual=residual),
        problems=Problems("pair", independent),
    )


def run(study, folder):
    """Fit simulated pairs with every likelihood.

    Returns
    -------
    str
        Coverage and bias of m where the likelihoods differ most, in one line.
    """
    level = study.config["interval"]
    pairs = study.mode["likelihoods"]["pairs"]
    parts = []
    for row, (nu1, nu2) in enumerate(study.config["likelihoods"]["degrees_of_freedom"]):
        truth = draw_truth(study, pairs, row)
        dataset = simulate_pairs(study, truth, row, nu1=nu1, nu2=nu2)
        for name, residual in LIKELIHOODS.items():
            model = load_model("source_spectra") if residual is None else normal_model(residual)
            draws = pair_draws(study, model, dataset)
            table = recovery(draws, truth, level).reset_index()
            parts.append(
                table.assign(
                    nu=f"{nu1:g},{nu2:g}",
                    likelihood=name,
                    log_bias=float(log_bias(nu1, nu2)),
                    coverage_error=coverage_error(level, pairs),
                    pairs=pairs,
                    uncertified=draws.attrs["uncertified"],
                )
            )
    table = pd.concat(parts).set_index(["nu", "likelihood", "parameter"])
    table.to_csv(folder / "recovery.csv", float_format="%.4f")
    figures.likelihoods(table, level).savefig(folder / "recovery.png", dpi=150)
    m = table.xs("ln_moment_ratio", level="parameter")
    return (
        f"coverage of m at ν = (2, 2): F {m.at[('2,2', 'F'), 'coverage']:.2f}, amplitude-normal "
        f"{m.at[('2,2', 'amplitude-normal'), 'coverage']:.2f}; bias of m at (10, 2): log-normal "
        f"{m.at[('10,2', 'log-normal'), 'bias']:+.3f}, with the offset "
        f"{m.at[('10,2', 'log-normal, offset'), 'bias']:+.3f}, "
        f"formula {m.at[('10,2', 'F'), 'log_bias']:+.3f}"
    )
