"""Neither an error after sampling nor a change of what is drawn from it costs a draw."""

import dataclasses

import jax
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.inference.fit import DerivedOutputsWarning
from bayesquake.results.provenance import deciding_sources

RUN = {"chains": 2, "warmup": 50, "draws": 40, "seed": 3}


def failing(dataset, **options):
    def groups(posterior, arrays, key):
        raise ZeroDivisionError("no such figure")

    return groups


def test_draws_outlive_an_error_in_what_is_derived_from_them(tmp_path):
    model = bq.load_model("orientation_dependence")
    _, dataset = model.simulate(jax.random.key(1), {"events": 16})
    whole = bq.fit(model, dataset, bootstrap=0, permutations=0, **RUN)
    spoilt = dataclasses.replace(model, complete=failing)
    with pytest.warns(DerivedOutputsWarning, match="no such figure"):
        kept = bq.fit(spoilt, dataset, **RUN)
    bq.write_netcdf(kept, tmp_path / "kept.nc")
    stored = bq.open_result(tmp_path / "kept.nc")
    assert np.array_equal(stored["posterior"]["theta"], whole["posterior"]["theta"])
    bq.report(stored, tmp_path / "kept.html")
    assert "no such figure" in (tmp_path / "kept.html").read_text()
    failed = [row for row in bq.check(stored).rows if row.name == "failed derived outputs"]
    assert "ZeroDivisionError: no such figure" in failed[0].meaning
    assert not any(row.name == "failed derived outputs" for row in bq.check(whole).rows)


@pytest.mark.parametrize(
    ("name", "deciding", "free"),
    [
        ("aftershock_rate", "model likelihood gp grid whitening", "figures outputs data simulate"),
        ("event_classification", "model likelihood pairs arrays whitening", "figures outputs"),
        ("orientation_dependence", "model mechanisms sinkhorn statistics", "figures derived"),
        ("source_spectra", "model likelihood quadrature slopes arrays", "figures outputs"),
    ],
)
def test_a_run_resumes_after_a_change_of_figures_but_not_of_the_density(name, deciding, free):
    sources = {file.stem for file in deciding_sources(bq.load_model(name))}
    assert set(deciding.split()) <= sources
    assert not set(free.split()) & sources
