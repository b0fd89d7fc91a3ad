"""Options have one declared type and range, and a call with another value says so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesquake.errors import OptionError
from bayesquake.inference.drivers import DRIVERS, driver_named
from bayesquake.model.options import (
    any_of,
    array,
    count,
    each,
    flag,
    number,
    one_of,
    options_of,
    share,
    takes,
    text,
)

WORDS = st.text(max_size=8)
ODD = st.one_of(
    WORDS,
    st.none(),
    st.booleans(),
    st.just(np.nan),
    st.just(np.inf),
    st.just(-np.inf),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(WORDS, st.integers(), max_size=1),
    st.just(1j),
    st.just(object()),
)


@takes(end_days=number("d", above=0), axes=one_of("P", "T"), progress=None)
def read(source, *, end_days, axes="P", progress=None):
    return source, end_days, axes, progress


def test_checked_values_reach_the_function_as_plain_numbers():
    assert read("x", end_days=np.float32(2)) == ("x", 2.0, "P", None)
    assert type(read("x", end_days=np.int64(2))[1]) is float
    assert read(source="x", end_days=2) == read("x", end_days=2)


def test_an_unknown_option_is_named_with_its_nearest():
    with pytest.raises(OptionError, match=r"end_day \(did you mean end_days\?\); read takes"):
        read("x", end_day=1.0)


def test_a_missing_option_is_named_with_what_it_must_be():
    with pytest.raises(OptionError, match=r"read needs end_days, a number above 0 \(d\)"):
        read("x")


def test_a_declaration_that_differs_from_the_signature_is_refused():
    with pytest.raises(TypeError, match="axes"):
        takes(end_days=number())(lambda source, *, end_days, axes: None)


@given(ODD)
def test_no_odd_value_is_a_number_a_count_or_a_share(value):
    for option in (number(), count(), share(), each(number())):
        if option.kind.startswith("a sequence") and isinstance(value, list) and value:
            continue
        with pytest.raises(OptionError, match="must be"):
            option.checked("draws", value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_ranges_include_what_they_say(value):
    for limits in (
        {"above": 1},
        {"at_least": 1},
        {"below": 1},
        {"at_most": 1},
        {"above": 0, "below": 1},
    ):
        inside = {
            "above": lambda x: value > x,
            "at_least": lambda x: value >= x,
            "below": lambda x: value < x,
            "at_most": lambda x: value <= x,
        }
        if all(inside[name](limit) for name, limit in limits.items()):
            assert number(**limits).checked("x", value) == value
        else:
            with pytest.raises(OptionError):
                number(**limits).checked("x", value)


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        (flag(), (True, np.True_), (1, "True", None)),
        (one_of("auto", None), ("auto", None), (True, "Auto", 0)),
        (one_of(False, "all"), (False, "all"), (0, True)),
        (any_of(None, number(above=0)), (None, 1), (0, "1")),
        (text("a name"), ("kobe",), ("", " ", 3)),
        (each(count(), length=2), ((1, 2), [1, 2]), ((1,), "12", 3, (1, 0), {1: 1, 2: 2})),
        (array("windows", None, 2), ([[0, 1]],), ([0, 1], [[0, np.nan]], "x", [])),
    ],
)
def test_kinds_of_options(option, good, bad):
    for value in good:
        option.checked("x", value)
    for value in bad:
        with pytest.raises(OptionError, match=r"x = .* must be"):
            option.checked("x", value)


@pytest.mark.parametrize("name", DRIVERS)
def test_every_option_of_a_driver_is_declared(name):
    driver = driver_named(name)
    assert set(driver.options) == options_of(driver)
    open_ones = {option for option, declared in driver.options.items() if declared is None}
    assert open_ones <= {"progress", "checkpoint"}
