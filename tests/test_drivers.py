"""Drivers go by name, those of the library and those that a model brings."""

import dataclasses

import numpy as np
import pytest

import bayesquake as bq
from bayesquake.errors import DriverError
from bayesquake.experiments.benchmarks.eight_groups import EIGHT_GROUPS, SCHOOLS
from bayesquake.inference.drivers import DRIVERS, driver_named
from bayesquake.model.options import options_of
from bayesquake.results.checks import Check
from bayesquake.results.posteriors import Found


def at_the_start(target, *, chains=2, draws=50, seed=0, progress=None):
    """Return the same position again and again, and say so."""
    positions = np.zeros((chains, draws, target.dim))
    row = Check("distance to the start", 0.0, 1.0, kind="adequacy", meaning="in prior sd")
    return Found(
        positions=positions,
        statistics={"lp": np.zeros((chains, draws))},
        checks=lambda posterior: (row,),
        notes={"interrupted": 0},
    )


OWN = dataclasses.replace(EIGHT_GROUPS, drivers={"start": at_the_start})


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_of_the_library_is_found_by_its_name(name):
    assert {"chains", "draws", "seed", "progress"} <= options_of(driver_named(name))


def test_a_driver_that_does_not_exist_is_an_error_that_names_the_others():
    with pytest.raises(
        DriverError, match=r"'gibbs' is unknown; choose from start, nuts, .* triage"
    ):
        bq.fit(OWN, SCHOOLS, driver="gibbs")


def test_a_model_brings_a_driver_whose_evidence_is_checked():
    result = bq.fit(OWN, SCHOOLS, driver="start", draws=20)
    assert [row.name for row in bq.check(result).rows] == ["distance to the start"]
    assert result["posterior"].sizes["draw"] == 20
    assert np.ptp(result["posterior"]["mu"].to_numpy()) == 0


def test_calibration_takes_the_models_own_driver_too():
    ranks = bq.calibrate(OWN, 4, driver="start", draws=100, chains=1, seed=1)["ranks"]
    assert set(np.unique(ranks["rank"])) <= {0, 99}
