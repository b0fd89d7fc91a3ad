"""Whatever writes a result: it is checked, reported, stored and made again from its file alone."""

import functools
import importlib
import json

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import bayesquake as bq
from bayesquake.cli import app
from bayesquake.diagnostics import reference
from bayesquake.io.datasets import labelled
from bayesquake.io.velocity_models import GRID
from bayesquake.results.checks import KINDS, rows_of
from bayesquake.results.schema import SCHEMA

MODEL = bq.load_model("orientation_dependence")
QUICK = {"bootstrap": 0, "permutations": 0}
CHAINS = {"chains": 8, "warmup": 200, "draws": 100}
ONE_PIECE = {"chains": 2, "draws": 200}
DRIVERS = {
    "nuts": CHAINS,
    "chees": CHAINS,
    "mclmc": CHAINS,
    "smc": ONE_PIECE,
    "pathfinder": ONE_PIECE,
    "svi": ONE_PIECE | {"steps": 300},
    "laplace": ONE_PIECE,
}
MANY = {"draws": 100, "seed": 1, "width": 4, "chunk": 2, "ess_limit": 50.0, "rhat_limit": 1.1}
RANKS = {"warmup": 100, "draws": 100, "seed": 2, "chunk": 4}


@functools.cache
def dataset(seed=1, events=16):
    return MODEL.simulate(jax.random.key(seed), {"events": events})[1]


def of_driver(name):
    return lambda: bq.fit(MODEL, dataset(), driver=name, seed=3, **QUICK, **DRIVERS[name])


def of_triage():
    spectra = bq.load_model("source_spectra")
    _, pairs = spectra.simulate(jax.random.key(1), {"pairs": 3, "frequencies": 20})
    return bq.fit(spectra, pairs, driver="triage", draws=100, seed=3)


def of_many():
    return bq.fit_many(MODEL, [dataset(i) for i in range(3)], **MANY)


def of_grid():
    model = bq.load_model("b_value")
    return bq.fit(model, model.simulate(jax.random.key(1))[1], driver="grid", seed=1)


def of_many_with_a_poisoned_one():
    """Bins so narrow that their numbers overflow pass every check of the data."""
    model = bq.load_model("b_value")
    datasets = [model.simulate(jax.random.key(i))[1] for i in range(3)]
    datasets[1].attrs["magnitude_rounding"] = 5e-324
    with pytest.warns(UserWarning, match="log density is not finite"):
        return bq.fit_many(model, datasets, **MANY)


def of_many_interrupted():
    def stop(done, problems):
        raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="was interrupted"):
        return bq.fit_many(MODEL, [dataset(i) for i in range(3)], **MANY, progress=stop)


def of_calibration():
    return bq.calibrate(MODEL, 8, design={"events": 16}, **RANKS)


def of_posterior_calibration():
    result = bq.fit(MODEL, dataset(), seed=1, chains=2, warmup=100, draws=100, **QUICK)
    return bq.calibrate(MODEL, 4, posterior=result, **RANKS)


def of_reference():
    return reference.make_reference(MODEL, dataset(), seed=1, warmup=500, thinning=4)


def of_location():
    """Velocities on a grid, which the file must hold, too."""
    model = bq.load_model("hypocenter_velocity")
    _, arrivals = model.simulate(jax.random.key(1), {"events": 4, "stations": 9})
    nodes = {"x": [-400.0, 400.0], "y": [-400.0, 400.0], "z": [-5.0, 60.0]}
    vp = np.full((2, 2, 2), 6.0)
    grid = labelled(GRID, {**nodes, "vp": vp, "vs": vp / 1.73})
    locate = importlib.import_module("bayesquake.models.hypocenter_velocity").locate
    return locate(arrivals, grid=grid, spacing=8.0, seed=1)


WRITERS = {name: of_driver(name) for name in DRIVERS} | {
    "grid": of_grid,
    "triage": of_triage,
    "fit_many": of_many,
    "fit_many, one poisoned": of_many_with_a_poisoned_one,
    "fit_many, one interrupted": of_many_interrupted,
    "calibrate": of_calibration,
    "calibrate at a posterior": of_posterior_calibration,
    "reference": of_reference,
    "locate": of_location,
}
NOT_EXAMINED = {"fit_many, one poisoned": "1", "fit_many, one interrupted": "2"}
"""Writers of which the named problem has no draws."""


@pytest.fixture(scope="module", params=WRITERS)
def written(request, tmp_path_factory):
    result = WRITERS[request.param]()
    path = tmp_path_factory.mktemp("written") / "result.nc"
    bq.write_netcdf(result, path)
    return request.param, result, path


def run(*arguments):
    ended = CliRunner().invoke(app, [str(part) for part in arguments])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended


def same_numbers(first, second):
    assert set(first.children) == set(second.children)
    for name, group in first.children.items():
        for variable, values in group.data_vars.items():
            other = second[name][variable]
            equal_nan = values.dtype.kind == "f"
            assert np.array_equal(values, other, equal_nan=equal_nan), f"{name}/{variable}"


def test_the_file_holds_the_result(written):
    _, result, path = written
    again = bq.open_result(path)
    same_numbers(result, again)
    assert again.attrs["schema"] == SCHEMA
    assert json.loads(again.attrs["configuration"])["writer"] in (
        "fit",
        "fit_many",
        "calibrate",
        "reference",
        "locate",
    )


def test_every_variable_has_a_unit_and_every_row_a_limit_and_a_meaning(written):
    _, result, _ = written
    for group in result.subtree:
        for name, variable in group.data_vars.items():
            assert variable.attrs.get("units"), f"{group.path}/{name}"
    rows = rows_of(result["checks"].to_dataset())
    assert any(row.kind == "adequacy" for row in rows)
    for row in rows:
        assert row.kind in KINDS
        assert row.meaning
        assert np.isfinite(row.limit) or row.kind == "information"


def test_the_command_line_checks_as_python_does(written):
    name, result, path = written
    report = bq.check(result)
    assert run("check", path).exit_code == (0 if report.passed else 1)
    failed = [row for row in report.rows if row.passed is False]
    if name in NOT_EXAMINED:
        unexamined = next(row for row in failed if row.name == "unexamined problems")
        assert f": {NOT_EXAMINED[name]} (1 in all)" in unexamined.meaning


def test_the_report_shows_every_row(written, tmp_path):
    _, result, path = written
    bq.report(result, tmp_path / "python.html")
    assert run("report", path, "--out", tmp_path / "command.html").exit_code == 0
    for page in tmp_path.iterdir():
        text = page.read_text(encoding="utf-8")
        assert all(row.name in text for row in rows_of(result["checks"].to_dataset()))


def test_the_provenance_says_what_it_was_made_with(written):
    _, result, path = written
    shown = run("provenance", path).output
    for name in ("processor", "XLA_FLAGS", "library_hash", "seed", "package_versions"):
        assert name in shown
        assert name in result.attrs


def test_a_refit_from_the_file_alone_has_the_same_numbers(written, tmp_path, recwarn):
    name, result, path = written
    whole = WRITERS["fit_many"]() if name == "fit_many, one interrupted" else result
    same_numbers(whole, bq.refit(bq.open_result(path)))
    ended = run("refit", path, "--out", tmp_path / "again.nc")
    assert ended.exit_code == 0, ended.output
    same_numbers(whole, bq.open_result(tmp_path / "again.nc"))
