"""Every driver reaches the stored reference posterior, or says that it does not."""

import json

import numpy as np
import pytest

import bayesquake as bq
from bayesquake.diagnostics.reference import (
    agreement,
    make_reference,
    open_reference,
    reference_target,
)
from bayesquake.errors import ReferencePosteriorError
from bayesquake.inference.constrained import constrained
from bayesquake.inference.drivers import driver_named

EXACT = {
    "nuts": {"chains": 4, "warmup": 300, "draws": 500},
    "chees": {"chains": 16, "warmup": 300, "draws": 200},
    "mclmc": {"chains": 16, "warmup": 300, "draws": 200},
    "smc": {"chains": 4, "draws": 500},
}
APPROXIMATE = {
    "laplace": {"chains": 4, "draws": 500},
    "pathfinder": {"chains": 4, "draws": 500},
    "svi": {"chains": 4, "draws": 500},
}
LARGEST_DIFFERENCE = 4.0
"""In combined Monte-Carlo errors."""


@pytest.fixture(scope="module")
def reference():
    model = bq.load_model("aftershock_rate")
    stored = open_reference(model)
    return stored, reference_target(model, stored)


SLOW = {"mclmc", "smc", "svi"}
"""Drivers that take minutes at this dimension."""


def marked(drivers):
    """Return the names as parameters, the slow ones marked."""
    return [pytest.param(d, marks=pytest.mark.slow) if d in SLOW else d for d in drivers]


@pytest.mark.parametrize("driver", marked(EXACT))
def test_an_exact_driver_agrees_with_the_reference(driver, reference):
    stored, target = reference
    made = driver_named(driver)(target, seed=3, **EXACT[driver])
    assert not made.notes.get("approximate", 0)
    table = agreement(constrained(target, made.positions), stored)
    assert len(table) > 150
    assert table.notna().all(axis=None)
    assert table["z_mean"].abs().max() < LARGEST_DIFFERENCE
    assert table["z_sd"].abs().max() < LARGEST_DIFFERENCE


@pytest.mark.parametrize("driver", [*EXACT, "triage"])
def test_an_exact_driver_agrees_with_the_reference_of_three_pairs(driver):
    model = bq.load_model("source_spectra")
    stored = open_reference(model)
    target = reference_target(model, stored)
    made = driver_named(driver)(target, seed=3, **EXACT.get(driver, {}))
    table = agreement(constrained(target, made.positions), stored)
    assert len(table) == 18
    assert table["z_mean"].abs().max() < LARGEST_DIFFERENCE
    assert table["z_sd"].abs().max() < LARGEST_DIFFERENCE


@pytest.mark.parametrize("driver", marked(APPROXIMATE))
def test_an_approximate_driver_is_labelled_and_not_far_off(driver, reference):
    stored, target = reference
    made = driver_named(driver)(target, seed=3, **APPROXIMATE[driver])
    assert made.notes["approximate"] == 1
    assert all(np.isfinite(row.value) for row in made.checks(None))
    table = agreement(constrained(target, made.positions), stored)
    assert table.loc[["p", "beta", "log_sigma"], "difference_in_sd"].abs().max() < 1.5


def test_the_reference_is_small_and_holds_what_remakes_it():
    stored = open_reference(bq.load_model("aftershock_rate"))
    assert all(draws.dtype == np.float32 for draws in stored["posterior"].data_vars.values())
    assert all("units" in draws.attrs for draws in stored["posterior"].data_vars.values())
    assert set(stored["moments"]["moment"].values) == {"mean", "sd", "mcse_mean", "mcse_sd"}
    configuration = json.loads(stored.attrs["configuration"])
    assert {"warmup", "thinning"} <= set(configuration["settings"])
    assert len(stored["observed_data"]["t"]) > 100


def test_draws_that_do_not_qualify_are_no_reference():
    model = bq.load_model("aftershock_rate")
    stored = open_reference(model)
    dataset = model.read(stored["observed_data"].to_dataset())
    with pytest.raises(ReferencePosteriorError, match="lag-1 autocorrelation"):
        make_reference(model, dataset, seed=1, warmup=20, thinning=1, basis_size=8, knots=17)
