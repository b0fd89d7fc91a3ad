"""Sixty simulated pairs with reference posteriors, where the accompanying data are present."""

import jax
import numpy as np
import pytest
import xarray as xr

import bayesquake as bq
from bayesquake.model.priors import resolve_priors
from bayesquake.models.source_spectra.quadrature import grid_moments, pair_grid

MODEL = bq.load_model("source_spectra")
NAMES = ("ln_fc1", "dln_fc", "ln_moment_ratio")


@pytest.fixture(scope="module")
def path(shared_data):
    return shared_data / "source" / "synthetic_pairs.nc"


@pytest.fixture(scope="module")
def result(path):
    return bq.fit(MODEL, MODEL.read(path), draws=1500, ess_limit=2000, seed=1)


@pytest.fixture(scope="module")
def wide_quadrature(path):
    """Return mean and standard deviation by quadrature of doubled nodes, (pair, param, 2)."""
    priors = {name: prior.distribution() for name, prior in resolve_priors(MODEL).items()}

    def of_pair(one):
        return grid_moments(pair_grid(jax.tree.map(lambda x: x[None], one), priors, 2))

    arrays = MODEL.prepare(MODEL.read(path))
    return np.asarray(jax.jit(lambda arrays: jax.lax.map(of_pair, arrays))(arrays))


def draws_of(result):
    posterior = result["posterior"]
    return np.stack([posterior[name].to_numpy().reshape(-1, 60) for name in NAMES], axis=2)


def test_every_pair_has_two_thousand_effective_draws(result):
    assert (result["triage"]["tier"] > 0).all()
    checks = result["checks"]
    assert float(np.fmin(checks["bulk_ess"], checks["tail_ess"]).min()) >= 2000


def test_posterior_is_that_of_the_quadrature(result, wide_quadrature):
    draws = draws_of(result)
    mean, sd = wide_quadrature[..., 0], wide_quadrature[..., 1]
    error = np.abs(draws.mean(axis=0) - mean) / sd
    ratio = np.abs(draws.std(axis=0) / sd - 1)
    assert np.median(error) <= 0.03
    assert error.max() <= 0.15
    assert (ratio <= 0.1).mean() >= 0.95
    assert ratio.max() <= 0.2


def test_posterior_agrees_with_the_stored_reference(result, path):
    with xr.open_dataset(path) as stored:
        reference = stored.load()
    draws = draws_of(result)
    error = np.abs(draws.mean(axis=0) - reference["ref_mean"]) / reference["ref_sd"]
    ratio = np.abs(draws.std(axis=0) / reference["ref_sd"] - 1)
    low, median, high = np.moveaxis(reference["ref_q"].to_numpy(), 2, 0)
    shift = np.abs(np.median(draws, axis=0) - median) / (0.5 * (high - low))
    assert float(np.median(error)) <= 0.03
    assert float(error.max()) <= 0.15
    assert float(np.median(ratio)) <= 0.02
    assert float((ratio <= 0.1).mean()) >= 0.97
    assert float(shift.max()) <= 0.05


def test_truth_lies_in_nine_of_ten_intervals(result, path):
    with xr.open_dataset(path) as stored:
        truth = stored["truth"].to_numpy()
    low, high = np.quantile(draws_of(result), [0.05, 0.95], axis=0)
    inside = (truth > low) & (truth < high)
    assert abs(inside.mean() - 0.9) < 4 * np.sqrt(0.09 / 60)
