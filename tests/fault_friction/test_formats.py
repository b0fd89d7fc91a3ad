"""Slip rates as programs for earthquake cycles write them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesquake as bq
from bayesquake.errors import BayesquakeError

MODEL = bq.load_model("fault_friction")
PLATE_RATE = 1e-9

SEAS = """# problem=SEAS Benchmark BP1-QD
# code=some
Column #1 = Time (s)
# Column #3 = Slip rate (log10 m/s)
t slip slip_rate shear_stress state
{rows}"""
QDYN = """# macroscopic values:
# 1=t, 2=pot, 3=pot_rate
# values at selected point:
# 4=V, 5=theta, 6=tau, 7=dtau_dt, 8=slip, 9=sigma
{rows}"""


def written(text, folder, name):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def seas(times, log10_rates):
    rows = zip(times, log10_rates, strict=True)
    return SEAS.format(rows="\n".join(f" {t:.12E} 0.1 {v:.12E} 26.5 8.0" for t, v in rows))


def qdyn(times, rates):
    rows = zip(times, rates, strict=True)
    return QDYN.format(
        rows="\n".join(f"{t:24.14e} 1. 2. {v:.12e} 1e8 5e7 0. 0.2 5e7 1" for t, v in rows)
    )


@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(st.floats(1, 1e9), min_size=2, max_size=8),
    seed=st.integers(0, 1000),
)
def test_all_formats_give_one_series(steps, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    times = np.cumsum(steps)
    log10_rates = np.random.default_rng(seed).uniform(-14, 0.5, len(times))
    pd.DataFrame({"time": times, "slip_rate": 10**log10_rates}).to_csv(
        folder / "a.csv", index=False
    )
    written(seas(times, log10_rates), folder, "fltst_dp000")
    written(qdyn(times, 10**log10_rates), folder, "output_ot_12")
    plain, *others = (
        MODEL.read(folder / name, plate_rate=PLATE_RATE)
        for name in ("a.csv", "fltst_dp000", "output_ot_12")
    )
    np.testing.assert_allclose(
        plain["log_slip_rate"][:, 0], np.log(10) * (log10_rates + 9), rtol=1e-9, atol=1e-9
    )
    for other in others:
        np.testing.assert_allclose(other["time"], plain["time"], rtol=1e-11)
        np.testing.assert_allclose(other["log_slip_rate"], plain["log_slip_rate"], atol=1e-9)


def test_two_components_are_taken_together(tmp_path):
    text = "t slip_2 slip_3 slip_rate_2 slip_rate_3 shear_stress_2 shear_stress_3 state\n"
    text += "1.0 0 0 -9.0 -9.0 1 1 8\n2.0D+00 0 0 -9.0 -20.0 1 1 8\n"
    read = MODEL.read(written(text, tmp_path, "blkst"), plate_rate=PLATE_RATE)
    np.testing.assert_allclose(read["log_slip_rate"][:, 0], [np.log(2) / 2, 0], atol=1e-9)


def test_repeated_times_are_left_out_and_exponents_without_a_letter_are_read(tmp_path):
    text = qdyn([1.0, 2.0, 2.0, 3.0], [1e-9] * 4).replace("1.000000000000e-09 1e8", "1.0-101 1e8")
    with pytest.raises(BayesquakeError, match="slip_rate"):
        MODEL.read(written(text, tmp_path, "output_ot_0"))
    plain = MODEL.read(
        written(qdyn([1.0, 2.0, 2.0, 3.0], [1e-9, 2e-9, 5e-9, 1e-9]), tmp_path, "output_ot_1"),
        plate_rate=PLATE_RATE,
    )
    np.testing.assert_allclose(plain["time"], [1, 2, 3])
    np.testing.assert_allclose(np.exp(plain["log_slip_rate"][1, 0]), 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1.0 0.1 -9 26 8\n2.0 0.1 -9", "line 7: 3 numbers where there should be 5"),
        ("1.0 0.1 fast 26 8", "line 6: '1.0 0.1 fast 26 8' is not a row of numbers"),
        ("", "holds nothing in the format SEAS"),
    ],
)
def test_a_line_that_does_not_fit_is_told(rows, message, tmp_path):
    with pytest.raises(BayesquakeError, match=message):
        MODEL.read(written(SEAS.format(rows=rows), tmp_path, "fltst"))
