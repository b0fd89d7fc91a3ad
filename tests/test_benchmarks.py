"""The benchmark beside other packages compares like with like, and runs without them."""

import io
import sys

import jax
import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from bayesquake.experiments.benchmarks import peers
from bayesquake.experiments.benchmarks.calibrations import CALIBRATIONS
from bayesquake.experiments.benchmarks.measurements import (
    NOT_INSTALLED,
    Scale,
    measure_calibration,
    measure_sampling,
)
from bayesquake.experiments.benchmarks.samplers import (
    EIGHT_SCHOOLS,
    HIERARCHY,
    SAMPLERS,
    pymc_model,
)
from bayesquake.targets.target import target_of_arrays

TINY = Scale(warmup=30, draws=30, seeds=2, compiling_seeds=1)
PROBLEMS = {"eight schools": EIGHT_SCHOOLS, "hierarchy": HIERARCHY}


def test_absent_peers_are_named_and_the_rest_is_measured(monkeypatch):
    for package in ("nutpie", "pymc", "simuk"):
        monkeypatch.setitem(sys.modules, package, None)
    chosen = [sampler for sampler in SAMPLERS if sampler.name in ("nuts", "nutpie", "PyMC")]
    rows = measure_sampling(EIGHT_SCHOOLS, TINY, chosen)
    ours, *absent = rows
    assert [row["status"] for row in absent] == [NOT_INSTALLED] * 2
    assert ours["compilations"] == 0
    assert ours["ess_per_1000_draw_gradients"] > ours["ess_per_1000_gradients"] > 0

    ratio = ("ess_per_1000_gradients", "nuts", ("nutpie",), 1.0)
    (goal,) = peers.sampling_goals(rows, [ratio])
    assert goal["value"] is None
    assert goal["met"] is None

    by_simuk = [calibration for calibration in CALIBRATIONS if "simuk" in calibration.packages]
    calibrated = measure_calibration(TINY, by_simuk)
    assert {row["status"] for row in calibrated} == {NOT_INSTALLED}

    printed = io.StringIO()
    console = Console(file=printed, width=peers.WIDTH)
    console.print(peers.show_sampling("eight_schools", rows))
    console.print(peers.show_calibration("calibration", calibrated))
    assert printed.getvalue().count(NOT_INSTALLED) == len(absent) + len(calibrated)


def test_hierarchy_has_the_density_of_its_equations():
    target = target_of_arrays(HIERARCHY.model, HIERARCHY.arrays)
    y, error = HIERARCHY.arrays["y"], HIERARCHY.arrays["error"]

    def by_hand(mu, log_tau, theta):
        return (
            stats.norm(0, 5).logpdf(mu)
            + stats.norm(0, 1).logpdf(log_tau)
            + stats.norm(mu, np.exp(log_tau)).logpdf(theta).sum()
            + stats.norm(theta, error).logpdf(y).sum()
        )

    for position in positions(target):
        sites = {name: np.asarray(value) for name, value in target.unravel(position).items()}
        assert np.isclose(target.log_density(position, target.data), by_hand(**sites), rtol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_pymc_has_our_density_up_to_a_constant(problem):
    pytest.importorskip("pymc")
    target = target_of_arrays(problem.model, problem.arrays)
    model = pymc_model(problem)
    theirs = model.compile_logp()
    coordinates = {value.name: free.name for free, value in model.rvs_to_values.items()}
    differences = []
    for position in positions(target):
        sites = {name: np.asarray(value) for name, value in target.unravel(position).items()}
        point = {name: sites[coordinates[name]] for name in model.initial_point()}
        differences.append(target.log_density(position, target.data) - theirs(point))
    assert np.ptp(differences) < 1e-9


def positions(target, count=5):
    """Return positions of coordinates about the size of their priors'."""
    return jax.random.normal(jax.random.key(3), (count, target.dim))
