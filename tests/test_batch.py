"""Many posteriors in one program: each right, each certified or named, whatever its neighbours."""

import dataclasses
import os
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr
from arviz_stats.base import array_stats

import bayesquake as bq
from bayesquake.batch.evidence import UncertifiedWarning
from bayesquake.batch.pad import buckets
from bayesquake.batch.tiers import triage
from bayesquake.batch.triaged import TriageSettings
from bayesquake.batch.whitening import Whitened, rewhitened
from bayesquake.errors import OptionError, ResultError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.newton import automatic_slopes, newton_mode
from bayesquake.model.model import Model, Quantity
from bayesquake.model.priors import Prior
from bayesquake.results.convergence import convergence
from bayesquake.targets.target import Target

LENIENT = TriageSettings(draws=200, rhat_limit=1.05, ess_limit=100, width=4)


PRIOR_SCALES = np.array([10.0, 0.3])


def location_and_log_scale(position, data):
    """Student-t observations of unknown location and log scale, normal priors."""
    location, log_scale = position
    error = dist.StudentT(4.0, location, jnp.exp(log_scale))
    prior = dist.Normal(0.0, PRIOR_SCALES).log_prob(position).sum()
    return error.log_prob(data).sum() + prior


LOCATION = Target(
    dim=2,
    coordinates=("location", "log_scale"),
    log_density=location_and_log_scale,
    gradient=jax.grad(location_and_log_scale),
    constrain=lambda position, data: {"position": position},
    unconstrain=lambda values, data: values["position"],
    ravel=lambda sites: sites["position"],
    unravel=lambda position: {"position": position},
    initial=lambda key, data: PRIOR_SCALES * jax.random.normal(key, (2,)),
    condition=lambda data: data,
    prior_draw=lambda key, data: {"position": PRIOR_SCALES * jax.random.normal(key, (2,))},
    log_prior=lambda position, data: dist.Normal(0.0, PRIOR_SCALES).log_prob(position).sum(),
    log_likelihood=lambda position, data: location_and_log_scale(position, data),
)
OBSERVED = np.arange(6)[:, None] + np.random.default_rng(1).standard_t(4, (6, 6))
TWO_CLUSTERS = np.array([-20.0, -20.5, -19.5, 20.0, 20.5, 19.5])
"""Half of the observations are outliers, whichever half."""


def moments_by_quadrature(data):
    """Return posterior means and standard deviations from a fine grid."""
    location = np.linspace(-10.0, 15.0, 2001)
    log_scale = np.linspace(-1.5, 1.5, 301)
    grid = np.stack(np.meshgrid(location, log_scale, indexing="ij"), axis=-1).reshape(-1, 2)
    log_density = np.asarray(jax.vmap(location_and_log_scale, (0, None))(grid, data))
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean = weight @ grid
    return mean, np.sqrt(weight @ (grid - mean) ** 2)


@pytest.mark.parametrize("length", [8, 9, 102, 400])
@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.95])
def test_convergence_statistics_are_those_of_arviz(length, correlation):
    rng = np.random.default_rng(length)
    draws = np.zeros((20, 4, length))
    for i in range(1, length):
        draws[:, :, i] = correlation * draws[:, :, i - 1] + rng.normal(size=(20, 4))
    draws[10:] = np.round(draws[10:], 1)
    found = convergence(draws)
    axes = {"chain_axis": 1, "draw_axis": 2}
    assert np.allclose(found.r_hat, array_stats.rhat(draws, **axes), rtol=1e-12)
    assert np.allclose(found.ess_bulk, array_stats.ess(draws, **axes), rtol=1e-12)
    tail = array_stats.ess(draws, **axes, method="tail", prob=(0.05, 0.95))
    assert np.allclose(found.ess_tail, tail, rtol=1e-12)


def test_a_mode_of_a_curved_valley_is_found_by_newton_steps():
    def banana(position):
        x, y = position
        return -((1 - x) ** 2) - 100 * (y - x**2) ** 2

    mode, *_ = newton_mode(automatic_slopes(banana), jnp.array([-1.2, 1.0]), tolerance=1e-4)
    assert np.allclose(mode.position, [1.0, 1.0], atol=1e-4)


@pytest.mark.parametrize("tier", [1, 3])
def test_posteriors_are_those_of_quadrature(tier):
    rhat_limit = 2.0 if tier == 1 else 0.0
    settings = dataclasses.replace(LENIENT, draws=1500, longer=1, rhat_limit=rhat_limit)
    made = triage(LOCATION, OBSERVED, seed=1, settings=settings)
    assert set(made.tier) == ({1} if tier == 1 else {0})
    axes = {"chain_axis": 0, "draw_axis": 1}
    for observed, draws in zip(OBSERVED, made.positions, strict=True):
        mean, sd = moments_by_quadrature(observed)
        error_of_mean = array_stats.mcse(draws, **axes)
        assert np.all(np.abs(draws.mean(axis=(0, 1)) - mean) < 4.5 * error_of_mean)
        error_of_sd = array_stats.mcse(draws, **axes, method="sd")
        assert np.all(np.abs(draws.std(axis=(0, 1)) - sd) < 4.5 * error_of_sd)


def test_two_separate_modes_are_not_certified_and_one_is():
    made = triage(LOCATION, np.stack([OBSERVED[0], TWO_CLUSTERS]), seed=3, settings=LENIENT)
    assert made.modes.tolist() == [1, 2]
    assert made.tier[0] > 0
    assert made.tier[1] == 0
    assert made.evidence.r_hat[1] > LENIENT.rhat_limit


def test_impossible_data_leave_the_other_problems_as_they_are():
    spoilt = OBSERVED.copy()
    spoilt[2] = np.nan
    whole = triage(LOCATION, OBSERVED, seed=4, settings=LENIENT)
    others = triage(LOCATION, spoilt, seed=4, settings=LENIENT)
    assert others.tier[2] == 0
    assert np.isnan(others.positions[2]).all()
    kept = [0, 1, 3, 4, 5]
    assert np.array_equal(whole.positions[kept], others.positions[kept])


def test_a_problem_has_the_same_draws_in_any_chunk():
    whole = triage(LOCATION, OBSERVED, seed=5, settings=LENIENT)
    part = triage(LOCATION, OBSERVED[4:], seed=5, numbers=[4, 5], settings=LENIENT)
    assert np.array_equal(whole.positions[4:], part.positions)
    again = triage(LOCATION, OBSERVED[4:], seed=5, settings=LENIENT)
    assert not np.array_equal(whole.positions[4:], again.positions)


def test_new_data_of_equal_shape_compile_nothing():
    never = dataclasses.replace(LENIENT, rhat_limit=0.0)
    triage(LOCATION, OBSERVED, seed=1, settings=never)
    with recorded_compilations() as compiled:
        triage(LOCATION, OBSERVED[:5] + 1.0, seed=2, settings=never)
    assert compiled.count == 0


DEVICES = """
import jax, numpy as np, sys
from test_batch import LOCATION, OBSERVED, LENIENT
from bayesquake.batch.tiers import triage
made = triage(LOCATION, OBSERVED, seed=6, settings=LENIENT)
np.savez(sys.argv[1], positions=made.positions, tier=made.tier, devices=len(jax.devices()))
"""


def test_two_devices_give_the_draws_of_one(tmp_path):
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", DEVICES, str(tmp_path / "two.npz")]
    subprocess.run(command, env=environment, check=True, timeout=300)
    two = np.load(tmp_path / "two.npz")
    one = triage(LOCATION, OBSERVED, seed=6, settings=LENIENT)
    assert two["devices"] == 2
    search_tolerance = 1e-3  # the searches may end one step apart, which chains do not amplify
    assert np.allclose(two["positions"], one.positions, rtol=0, atol=search_tolerance)
    assert np.array_equal(two["tier"], one.tier)


def measured(data, priors):
    """Declare repeated measurements of one value, padded."""
    value = numpyro.sample("value", priors["value"])
    numpyro.deterministic("residual", data["y"] - value)
    likelihood = dist.Normal(value, 1.0).mask(data["mask"])
    numpyro.sample("y", likelihood, obs=data["y"])


def prepare(dataset, *, length=None):
    """Pad measurements to 4, or to a given length."""
    y = dataset["y"].to_numpy()
    padding = (0, (length or 4 * -(-y.size // 4)) - y.size)
    return {"y": np.pad(y, padding), "mask": np.pad(np.ones(y.size, bool), padding)}


MEASURED = Model(
    name="measured",
    title="Repeated measurements",
    references=(),
    declare=measured,
    priors={"value": Prior("Normal", (("loc", 0.0), ("scale", 10.0)), "m")},
    simulator=None,
    read=None,
    prepare=prepare,
    quantities={
        "value": Quantity("m", "the value"),
        "residual": Quantity("m", "measured less true", ("measurement",)),
    },
    calibrated=None,
    recommended=lambda arrays: {"driver": "nuts"},
    complete=None,
    figures={},
    design={},
)
SIZES = (3, 6, 2, 7, 4)
DATASETS = [
    xr.Dataset({"y": ("measurement", 10.0 * i + np.random.default_rng(i).normal(size=size))})
    for i, size in enumerate(SIZES)
]
RUN = {"draws": 100, "seed": 1, "width": 2, "rhat_limit": 1.2, "ess_limit": 40}


def posterior_mean(dataset):
    y = dataset["y"].to_numpy()
    return y.sum() / (y.size + 0.01)


def test_buckets_hold_data_of_equal_shapes_in_order():
    prepared = [prepare(dataset) for dataset in DATASETS]
    assert buckets(prepared) == [[0, 2, 4], [1, 3]]


def test_results_follow_the_order_and_names_of_the_data():
    names = ["a", "b", "c", "d", "e"]
    result = bq.fit_many(MEASURED, DATASETS, names=names, chunk=2, **RUN)
    posterior = result["posterior"]
    assert posterior["problem"].to_numpy().tolist() == names
    assert posterior["value"].dims == ("chain", "draw", "problem")
    for name, dataset in zip(names, DATASETS, strict=True):
        draws = posterior["value"].sel(problem=name)
        error = 5 / np.sqrt(dataset.sizes["measurement"] * 40)
        assert abs(float(draws.mean()) - posterior_mean(dataset)) < error
    residual = posterior["residual"]
    assert residual.sizes["measurement"] == 8
    assert np.isnan(residual.sel(problem="a")[..., 4:]).all()
    assert not np.isnan(residual.sel(problem="b")).any()
    for group in ("posterior", "sample_stats", "triage"):
        for name, variable in result[group].data_vars.items():
            assert "units" in variable.attrs, name


def test_a_failure_is_listed_by_name_with_its_reason():
    spoilt = DATASETS[1].copy(deep=True)
    spoilt["y"][:] = np.nan
    with pytest.warns(UncertifiedWarning, match="spoilt: the log density is not finite"):
        result = bq.fit_many(MEASURED, [DATASETS[3], spoilt], names=["good", "spoilt"], **RUN)
    assert result["triage"]["tier"].to_numpy().tolist()[1] == 0
    assert "spoilt" in result.attrs["failures"]
    assert "good" not in result.attrs["failures"]


def test_finished_chunks_are_taken_from_the_folder(tmp_path):
    first = bq.fit_many(MEASURED, DATASETS, chunk=2, directory=tmp_path, **RUN)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    files[0].unlink()
    untouched = files[1].stat().st_mtime_ns
    again = bq.fit_many(MEASURED, DATASETS, chunk=2, directory=tmp_path, **RUN)
    assert files[1].stat().st_mtime_ns == untouched
    for name in ("posterior", "triage"):
        xr.testing.assert_identical(first[name].to_dataset(), again[name].to_dataset())
    with pytest.raises(ResultError, match="seed was 1 and is now 2"):
        bq.fit_many(MEASURED, DATASETS, chunk=2, directory=tmp_path, **RUN | {"seed": 2})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["a", "a", "b", "c", "d"]}, "different names"),
        ({"color": "red"}, "unknown option color"),
        ({"chunk": 0}, "chunk"),
        ({"chains": 0}, "chains"),
        ({"seed": -1}, "seed"),
    ],
)
def test_options_that_make_no_sense_are_refused(change, message):
    with pytest.raises(OptionError, match=message):
        bq.fit_many(MEASURED, DATASETS, **RUN | change)


def test_the_library_makes_no_warning_for_certified_problems():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncertifiedWarning)
        bq.fit_many(MEASURED, DATASETS[:1], **RUN)


def test_draws_of_one_problem_that_ran_away_leave_the_others_their_coordinates():
    draws = np.random.default_rng(0).normal(size=(3, 2, 50, 2))
    draws[1, 0, 7] = 1e200
    identity = np.broadcast_to(np.eye(2), (3, 2, 2))
    whole = Whitened(None, np.zeros((3, 2)), identity)
    better, _ = rewhitened(whole, draws)
    alone, _ = rewhitened(Whitened(None, np.zeros((1, 2)), identity[:1]), draws[2:])
    assert np.array_equal(better.root[2], alone.root[0])
    assert np.array_equal(better.root[1], np.eye(2))
