"""The posterior holds the truth of an independent simulation, names wrong picks, and is shown."""

import dataclasses

import jax
import numpy as np
import pytest
import xarray as xr

import bayesquake as bq
from bayesquake.diagnostics.refit import refit
from bayesquake.experiments.joint_location.study import open_study, simulated_arrivals
from bayesquake.models.hypocenter_velocity import held_at, locate
from bayesquake.models.hypocenter_velocity.model import event_log_density
from bayesquake.models.hypocenter_velocity.physics.arrivals import by_event, expected_arrivals

MODEL = bq.load_model("hypocenter_velocity")
WRONG_PICK, WRONG_BY_S = 20, 1.5


@pytest.fixture(scope="module")
def joint(shared_data, tmp_path_factory):
    """Truth and posterior of arrivals that another program simulated."""
    if not (shared_data / "tomography" / "synthetic_joint1d_truth.json").is_file():
        pytest.skip("synthetic_joint1d_* is absent from shared/data/tomography")
    folder = tmp_path_factory.mktemp("simulated")
    study = dataclasses.replace(open_study(), folder=shared_data / "tomography")
    arrivals, truth = simulated_arrivals(study, folder)
    return truth, bq.fit(MODEL, arrivals, seed=1, warmup=250, draws=150)


def test_an_independent_simulation_lies_within_its_posterior(joint):
    truth, result = joint
    posterior = result["posterior"].to_dataset()
    assert result["sample_stats"]["diverging"].mean() < 0.005
    mean, sd = posterior.mean(("chain", "draw")), posterior.std(("chain", "draw"))
    z = {name: (mean[name].to_numpy() - true) / sd[name].to_numpy() for name, true in truth.items()}
    assert np.abs(z["vp"]).max() < 3
    assert abs(z["vpvs"]) < 3
    assert np.abs(z["station_term"]).max() < 4
    assert z["station_term"].std() < 1.3
    for axis in ("x", "y", "depth"):
        low, high = posterior[axis].quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
        inside = (low < truth[axis]) & (truth[axis] < high)
        assert 0.78 <= inside.mean() <= 0.98, axis


def test_every_quantity_of_sixty_events_converges(joint):
    *_, result = joint
    rows = {row.name: row.value for row in bq.check(result).rows}
    assert rows["R-hat"] < 1.05


@pytest.fixture(scope="module")
def small():
    """Posterior of few events, one pick of which is wrong."""
    _, arrivals = MODEL.simulate(jax.random.key(7), {"events": 6, "stations": 10, "p_share": 1.0})
    arrivals["time"][WRONG_PICK] += WRONG_BY_S
    named = arrivals.assign_coords(
        event=[f"e{i}" for i in range(6)], station=[f"S{j}" for j in range(10)]
    )
    return named, bq.fit(MODEL, named, seed=2, chains=2, warmup=200, draws=100)


def test_a_wrong_pick_is_named_and_no_other(small):
    arrivals, result = small
    picks = result["picks"].to_dataset()
    assert np.flatnonzero(picks["outlier"]).tolist() == [WRONG_PICK]
    event = int(arrivals["event_index"][WRONG_PICK])
    assert str(picks["pick_event"].to_numpy()[WRONG_PICK]) == f"e{event}"
    assert abs(float(picks["residual"][WRONG_PICK]) - WRONG_BY_S) < 0.5


def test_a_pick_that_is_left_out_takes_its_own_term_from_the_density(small):
    arrivals, result = small
    shuffled = np.random.default_rng(5).permutation(arrivals.sizes["pick"])
    target = bq.target(MODEL, arrivals.isel(pick=shuffled))
    full = target.data.arrays
    values = {name: x[0, -1].to_numpy() for name, x in result["posterior"].items()}
    terms = np.asarray(MODEL.folds.terms(values, full))
    assert np.allclose(terms[: len(shuffled)], result["log_likelihood"]["term"][0, -1][shuffled])
    assert (terms[len(shuffled) :] == 0).all()
    densities = {name: p.distribution() for name, p in MODEL.priors.items()}

    def log_density(arrays):
        arrival = by_event(arrays.weight * expected_arrivals(values, arrays), arrays)
        return event_log_density({**values, "mean_arrival": arrival}, arrays, densities).sum()

    for fold in (0, 17, len(shuffled) - 1):
        lost = log_density(full) - log_density(MODEL.folds.without(full, fold))
        assert np.isclose(lost, terms[fold], rtol=1e-8)


def test_leaving_picks_out_finds_the_wrong_one_least_expected(small):
    arrivals, result = small
    found = bq.leave_one_out(result)
    assert np.argmin(found["elpd"].to_numpy()) == WRONG_PICK
    assert str(found["pick_station"].to_numpy()[3]) == f"S{int(arrivals['station_index'][3])}"


def test_covariances_are_those_of_the_draws(small):
    _, result = small
    draws = result["posterior"].to_dataset().stack(sample=("chain", "draw"))
    place = np.stack([draws[axis].sel(event="e3").to_numpy() for axis in ("x", "y", "depth")])
    found = result["locations"]["covariance"].sel(event="e3").to_numpy()
    assert np.allclose(found, np.cov(place))


def test_the_result_is_reported_and_fitted_again_from_its_file(small, tmp_path):
    _, result = small
    result.to_netcdf(tmp_path / "joint.nc")
    again = xr.load_datatree(tmp_path / "joint.nc")
    bq.report(again, tmp_path / "joint.html")
    text = (tmp_path / "joint.html").read_text()
    for title in (*MODEL.figures, *MODEL.answers(again)):
        assert title in text
    assert np.array_equal(refit(again)["posterior"]["depth"], result["posterior"]["depth"])


def test_events_are_located_at_the_means_of_the_joint_posterior(small):
    arrivals, result = small
    others = arrivals.isel(layer=[0])
    dataset, options = held_at(result, others)
    found = locate(dataset, seed=1, **options)["locations"]
    draws = result["posterior"].to_dataset().stack(sample=("chain", "draw"))
    held = [draws[name].transpose("sample", ...) for name in ("vp", "vpvs", "station_term")]
    held = np.column_stack([np.ones(held[0].shape[0]), *(x.data.reshape(len(x), -1) for x in held)])
    for k, name in enumerate(("x", "y", "depth")):
        drawn = draws[name].transpose("sample", "event").to_numpy()
        own = np.sqrt(found["covariance"][:, k, k])
        assert (np.abs(found["mean"][:, k] - drawn.mean(0)) < 2.5 * drawn.std(0)).all(), name
        # What velocities and station terms do not explain of the draws is what is left to locate.
        slopes, _, rank, _ = np.linalg.lstsq(held, drawn)
        unexplained = np.sum((drawn - held @ slopes) ** 2, axis=0) / (len(drawn) - rank)
        assert 0.75 < np.median(own / np.sqrt(unexplained)) < 1.35, name
    terms = np.array(options["station_term"])
    assert terms.shape == (2, 10)
    assert np.allclose(terms.sum(axis=1), 0, atol=1e-9)


def test_velocities_and_scales_can_be_held(small):
    arrivals, _ = small
    held = bq.target(MODEL, arrivals, priors={"vpvs": 1.73, "log_vp_change": 0.0, "sigma": 0.1})
    values = held.constrain(np.full(held.dim, 0.5), held.data)
    assert np.allclose(values["vp"], arrivals["vp"])
    assert np.allclose(values["sigma"], 0.1)
    moved = held.move(jax.random.key(1), np.full(held.dim, 0.5), held.data)
    assert np.isfinite(held.log_density(moved, held.data))
    assert np.ptp(moved) > 0
