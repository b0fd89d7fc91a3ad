"""The command line: every bad input is one line, exit status 2, and leaves nothing behind."""

import sys

import numpy as np
import pytest
import xarray as xr

from bayesquake.cli import is_complete, main, parse_settings, split_design
from bayesquake.errors import OptionError
from bayesquake.model.registry import load_model
from bayesquake.results.schema import SCHEMA

FAST = ["--chains", "2", "--warmup", "50", "--draws", "50"]
COARSE = ["--set", "basis_size=16", "--set", "knots=33"]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in process; returns (status, standard output, standard error)."""

    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["bayesquake", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return run_command


def catalogue(path, rows):
    path.write_text("t_days,mag\n" + "\n".join(rows) + "\n")
    return path


GOOD_ROWS = [
    "0,7.0",
    *(f"{t:.5f},{3 + 0.037 * (i % 17):.3f}" for i, t in enumerate(np.geomspace(0.01, 0.9, 40))),
]


def changed(row, text):
    return [*GOOD_ROWS[:row], text, *GOOD_ROWS[row + 1 :]]


BAD = {
    "not a number": (changed(5, "0.02,abc"), [], ["7", "mag"]),
    "missing magnitude": (changed(5, "0.02,"), [], ["7"]),
    "infinite time": (changed(5, "inf,3.1"), [], ["7"]),
    "negative time": (changed(1, "-0.5,3.1"), [], ["3"]),
    "unsorted": (changed(9, "0.0001,3.1"), [], ["11", "sort"]),
    "no main shock": (GOOD_ROWS[1:], [], ["main_shock"]),
    "window too short": (GOOD_ROWS, ["end_days=0.00005"], ["end_days"]),
    "too few events": (GOOD_ROWS[:6], [], ["5 events"]),
    "cut above the data": (GOOD_ROWS, ["completeness_magnitude=6"], ["completeness_magnitude"]),
    "sentinels": ([*GOOD_ROWS, *(f"0.9{i},0.0" for i in range(5))], [], ["5", "sentinel"]),
    "unknown option": (GOOD_ROWS, ["end_day=1"], ["end_day", "end_days"]),
    "setting without a value": (GOOD_ROWS, ["end_days"], ["key=value"]),
    "unknown backend": (GOOD_ROWS, ["backend='dense'"], ["hsgp", "quasisep"]),
    "forecast before the end": (
        GOOD_ROWS,
        ["end_days=1.0", "forecast_windows=[(0.5, 2.0)]"],
        ["0.5", "T = 1"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_that_says_what_and_where(name, tmp_path, run):
    rows, settings, words = BAD[name]
    data = catalogue(tmp_path / "catalogue.csv", rows)
    chosen = [part for setting in settings for part in ("--set", setting)]
    out = tmp_path / "result.nc"
    status, _, error = run("fit", "aftershock_rate", data, "--out", out, *FAST, *COARSE, *chosen)
    assert status == 2
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in error
    assert all(word in lines[0] for word in words), lines[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalogue.csv"]


@pytest.mark.parametrize("name", [n for n in BAD if not BAD[n][1] or n == "cut above the data"])
def test_errors_in_the_data_name_the_file(name, tmp_path, run):
    rows, settings, _ = BAD[name]
    data = catalogue(tmp_path / "catalogue.csv", rows)
    chosen = [part for setting in settings for part in ("--set", setting)]
    _, _, error = run("fit", "aftershock_rate", data, "--out", tmp_path / "r.nc", *chosen)
    assert "catalogue.csv" in error


def test_an_unknown_prior_names_the_known_ones(tmp_path, run):
    data = catalogue(tmp_path / "catalogue.csv", GOOD_ROWS)
    priors = tmp_path / "priors.toml"
    priors.write_text('[gamma]\ndistribution = "Normal"\nloc = 0\nscale = 1\n')
    out = tmp_path / "result.nc"
    status, _, error = run(
        "fit", "aftershock_rate", data, "--out", out, "--priors", priors, *FAST, *COARSE
    )
    assert status == 2
    assert "gamma" in error
    assert "log_K" in error
    assert not out.exists()


def test_an_unknown_model_an_unknown_driver_and_a_missing_folder_are_named(tmp_path, run):
    data = catalogue(tmp_path / "catalogue.csv", GOOD_ROWS)
    status, _, error = run("fit", "aftershok", data, "--out", tmp_path / "r.nc")
    assert status == 2
    assert "aftershok" in error
    assert "aftershock_rate" in error
    status, _, error = run(
        "fit", "aftershock_rate", data, "--out", tmp_path / "r.nc", "--driver", "gibbs"
    )
    assert status == 2
    assert "gibbs" in error
    assert "nuts" in error
    status, _, error = run("fit", "aftershock_rate", data, "--out", tmp_path / "no" / "r.nc")
    assert status == 2
    assert "does not exist" in error


def test_a_damaged_result_is_named(tmp_path, run):
    damaged = tmp_path / "damaged.nc"
    damaged.write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 100)
    for command in (["check", damaged], ["provenance", damaged]):
        status, _, error = run(*command)
        assert status == 2
        assert "damaged.nc" in error


def test_simulate_fit_check_report_provenance(tmp_path, run):
    data, out, page = (tmp_path / name for name in ("data.nc", "result.nc", "report.html"))
    status, _, _ = run(
        "simulate", "aftershock_rate", "--seed", 4, "--out", data, "--set", "maximum_events=300"
    )
    assert status == 0
    fit = ["fit", "aftershock_rate", data, "--out", out, "--seed", 1, *COARSE]
    fit += ["--chains", "4", "--warmup", "200", "--draws", "20"]
    assert run(*fit)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"data.nc", "result.nc"}
    written = out.stat().st_mtime_ns
    status, said, _ = run(*fit, "--resume")
    assert status == 0
    assert "complete already" in said
    status, _, error = run(*fit, "--resume", "--draws", "30")
    assert status == 2
    assert "draws was 20 and is now 30" in error
    assert out.stat().st_mtime_ns == written
    status, table, _ = run("check", out)
    assert status == 1
    assert "fail" in table
    assert run("report", out, "--out", page)[0] == 0
    assert page.stat().st_size > 10_000
    status, table, _ = run("provenance", out)
    assert status == 0
    assert "data_hash" in table
    assert "seed" in table

    tree = xr.open_datatree(out)
    for group in tree.subtree:
        for name, variable in group.data_vars.items():
            assert variable.attrs.get("units"), f"{group.path}/{name} has no units"


def test_a_partial_result_is_not_complete(tmp_path):
    partial = xr.DataTree()
    partial.attrs = {"schema": SCHEMA, "bayesquake_version": "0.1.0", "interrupted": 1}
    partial.to_netcdf(tmp_path / "partial.nc", engine="h5netcdf")
    assert not is_complete(tmp_path / "partial.nc", None, None, {})
    assert not is_complete(tmp_path / "none.nc", None, None, {})


@pytest.mark.slow
def test_a_calibration_is_written_and_its_parts_removed(tmp_path, run):
    out = tmp_path / "ranks.nc"
    calibrate = ["calibrate", "aftershock_rate", "--replicates", "2", "--out", out]
    calibrate += ["--driver", "laplace", "--draws", "100", "--set", "maximum_events=128"]
    status, table, _ = run(*calibrate, "--set", "knots=33", "--set", "basis_size=12")
    assert status == 0
    assert "log_sigma" in table
    assert [path.name for path in tmp_path.iterdir()] == ["ranks.nc"]
    ranks = xr.open_dataset(out)["rank"]
    assert ranks.sizes["replicate"] == 2
    assert ranks.min() >= 0
    assert ranks.max() <= 99


def test_an_unfinished_calibration_is_neither_lost_nor_left_by_an_error(tmp_path, run):
    out, parts = tmp_path / "ranks.nc", tmp_path / "ranks.nc.chunks"
    calibrate = ["calibrate", "aftershock_rate", "--replicates", "2", "--out", out]
    status, _, error = run(*calibrate, "--set", "knot=33")
    assert status == 2
    assert "knot" in error
    assert list(tmp_path.iterdir()) == []
    parts.mkdir()
    status, _, error = run(*calibrate)
    assert status == 2
    assert "--resume" in error


def test_a_design_and_the_fit_share_the_options_of_both():
    model = load_model("aftershock_rate")
    options = {"knots": 33, "M0": 6.0, "basis_size": 12, "chunk": 5}
    design, rest = split_design(model, options)
    assert design == {"knots": 33, "M0": 6.0}
    assert rest == {"knots": 33, "basis_size": 12, "chunk": 5}


def test_list_and_show_name_the_model(run):
    assert "aftershock_rate" in run("list")[1]
    assert "Omori" in run("show", "aftershock_rate")[1]


def test_settings_are_read_as_python_literals():
    assert parse_settings(["end_days=1.0", "backend=quasisep", "sort=True"]) == {
        "end_days": 1.0,
        "backend": "quasisep",
        "sort": True,
    }
    for setting, words in (
        ("end_days", "key=value"),
        ("draws=5", "--draws 5"),
        ("resume=yes", "--resume$"),
        ("checkpoint=here", "no option"),
    ):
        with pytest.raises(OptionError, match=words):
            parse_settings([setting])


def test_a_parameter_is_held_at_a_number(tmp_path, run):
    data = catalogue(tmp_path / "catalogue.csv", GOOD_ROWS)
    out = tmp_path / "result.nc"
    fit = ["fit", "aftershock_rate", data, "--out", out, *FAST, *COARSE, "--fix"]
    status, _, error = run(*fit, "p=steep")
    assert status == 2
    assert "--fix p=steep: write it as name=number" in error
    priors = tmp_path / "priors.toml"
    priors.write_text("beta = 2.0\n")
    assert run(*fit, "p=1.1", "--priors", priors)[0] == 0
    posterior = xr.open_datatree(out)["posterior"]
    assert np.unique(posterior["p"]).tolist() == [1.1]
    assert np.unique(posterior["beta"]).tolist() == [2.0]
