"""Options: each has one declared type and range, which is checked here and nowhere else.

A function states its keyword-only arguments beside its signature::

    @takes(end_days=number("d", above=0), axes=one_of("P", "T"))
    def read(source, *, end_days, axes="P"): ...

A call with an unknown, a missing or an impossible option ends in one sentence that names it.
"""

import dataclasses
import datetime
import functools
import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bayesquake.errors import OptionError, with_nearest

__all__ = [
    "LARGEST_DAYS",
    "Option",
    "accepted_by",
    "any_of",
    "array",
    "checked_options",
    "count",
    "defaults_of",
    "each",
    "flag",
    "instance",
    "moment",
    "number",
    "one_of",
    "options_of",
    "share",
    "takes",
    "text",
]


LARGEST_DAYS = 1e7
"""27,000 years: the days of any calendar that counts them."""


@dataclasses.dataclass(frozen=True, eq=False)
class Option:
    """A declared option.

    Attributes
    ----------
    kind : str
        What a value must be, as a noun with its range and unit.
    accept : callable
        ``value -> value`` as the function gets it; raises `ValueError` or `TypeError` for others.
    """

    kind: str
    accept: Callable

    def checked(self, name, value):
        """Return the value as the function gets it.

        Raises
        ------
        OptionError
            The value is of another kind.
        """
        try:
            return self.accept(value)
        except (ValueError, TypeError, OverflowError):
            shown = f"{value!r:.80}" if not isinstance(value, np.ndarray) else "an array"
            raise OptionError(f"{name} = {shown} must be {self.kind}") from None


def takes(**declared):
    """Declare the keyword-only arguments of a function, which is then called with checked values.

    Parameters
    ----------
    **declared
        Name to `Option`, or to None for an argument that the library itself fills.

    Returns
    -------
    callable
        A decorator. What it makes has the attribute ``options``, the mapping given here.
    """

    def decorate(function):
        if set(declared) != options_of(function):
            differing = ", ".join(sorted(set(declared) ^ options_of(function)))
            raise TypeError(f"{function.__name__}: {differing} stands in only one of the two lists")
        parameters = inspect.signature(function).parameters
        required = {
            name for name in declared if parameters[name].default is inspect.Parameter.empty
        }
        others = set(parameters) - set(declared)

        @functools.wraps(function)
        def checked(*arguments, **given):
            by_name = {name: given.pop(name) for name in others & set(given)}
            options = accepted(function.__name__, declared, required, given)
            return function(*arguments, **by_name, **options)

        checked.options = declared  # type: ignore[attr-defined]
        return checked

    return decorate


def accepted(function, declared, required, given):
    """Return given options with their values checked.

    Raises
    ------
    OptionError
        One is unknown, missing or impossible.
    """
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise OptionError(
            f"unknown option {with_nearest(unknown, declared)}; {function} takes "
            f"{', '.join(declared) or 'none'}"
        )
    for name in sorted(required - set(given)):
        kind = "" if declared[name] is None else f", {declared[name].kind}"
        raise OptionError(f"{function} needs {name}{kind}")
    return {
        name: value if declared[name] is None else declared[name].checked(name, value)
        for name, value in given.items()
    }


def checked_options(function, given):
    """Return options of a function with their values checked, where it declares them.

    Raises
    ------
    OptionError
    """
    declared = getattr(function, "options", {})
    return {
        name: value if declared.get(name) is None else declared[name].checked(name, value)
        for name, value in given.items()
    }


def accepted_by(function, given):
    """Return those options that a function takes."""
    return {name: value for name, value in given.items() if name in options_of(function)}


def defaults_of(function):
    """Return the keyword-only arguments of a function that have a default, with it."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        and parameter.default is not inspect.Parameter.empty
    }


def options_of(function):
    """Return the names of a function's keyword-only arguments."""
    return {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def number(unit="1", *, above=None, at_least=None, below=None, at_most=None, missing=False):
    """Return the option of a finite number in a range, or of NaN where there may be none."""

    def accept(value):
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
            raise TypeError
        if missing and math.isnan(value):
            return math.nan
        inside = (
            math.isfinite(value)
            and (above is None or value > above)
            and (at_least is None or value >= at_least)
            and (below is None or value < below)
            and (at_most is None or value <= at_most)
        )
        if not inside:
            raise ValueError
        return float(value)

    limits = _limits(above=above, at_least=at_least, below=below, at_most=at_most)
    nan = " or NaN" if missing else ""
    return Option(f"a number{limits}{'' if unit == '1' else f' ({unit})'}{nan}", accept)


def share():
    """Return the option of a number between 0 and 1, both excluded."""
    return number(above=0, below=1)


def count(*, at_least=1, at_most=None):
    """Return the option of a whole number."""

    def accept(value):
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
            raise TypeError
        if value < at_least or (at_most is not None and value > at_most):
            raise ValueError
        return int(value)

    return Option(f"an integer{_limits(at_least=at_least, at_most=at_most)}", accept)


def flag():
    """Return the option of True or False."""

    def accept(value):
        if not isinstance(value, bool | np.bool_):
            raise TypeError
        return bool(value)

    return Option("True or False", accept)


def one_of(*words):
    """Return the option of one of several words, or None or False where they stand among these."""

    def accept(value):
        plain = value.item() if isinstance(value, np.generic) else value
        for word in words:
            if type(plain) is type(word) and plain == word:
                return word
        raise ValueError

    return Option(f"one of {', '.join(str(word) for word in words)}", accept)


def moment(*, days=True):
    """Return the option of a time (UTC), or of a number of days on the data's own scale."""
    others = number(at_least=-LARGEST_DAYS, at_most=LARGEST_DAYS) if days else text()

    def accept(value):
        if isinstance(value, datetime.datetime | np.datetime64) or hasattr(value, "datetime"):
            return value
        return text().accept(value) if isinstance(value, str) else others.accept(value)

    or_days = ", or a number of days" if days else ""
    return Option(f"a time (UTC) as in '1995-01-16T20:46:52'{or_days}", accept)


def text(what="text"):
    """Return the option of a text that is not empty."""

    def accept(value):
        if not isinstance(value, str) or not value.strip():
            raise TypeError
        return value

    return Option(what, accept)


def instance(*types, what):
    """Return the option of an object of certain types, checked by the function itself."""

    def accept(value):
        if not isinstance(value, types):
            raise TypeError
        return value

    return Option(what, accept)


def array(what, *shape):
    """Return the option of an array of finite numbers; None in its shape stands for any length."""

    def accept(value):
        values = np.asarray(value, float)
        fits = len(shape) == values.ndim and all(
            length in (None, size) for length, size in zip(shape, values.shape, strict=True)
        )
        if not fits or not values.size or not np.isfinite(values).all():
            raise ValueError
        return values

    return Option(what, accept)


def each(option, *, length=None):
    """Return the option of a sequence, not empty, whose members are all of one option."""

    def accept(value):
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence | np.ndarray):
            raise TypeError
        if not len(value) or length not in (None, len(value)):
            raise ValueError
        return tuple(option.accept(member) for member in value)

    size = "" if length is None else f" of {length}"
    return Option(f"a sequence{size}, each {option.kind}", accept)


def any_of(*options):
    """Return the option of what one of several options accepts; None stands for itself."""
    whole = [one_of(None) if option is None else option for option in options]

    def accept(value):
        for option in whole:
            try:
                return option.accept(value)
            except (ValueError, TypeError, OverflowError):
                continue
        raise ValueError

    kinds = ["None" if option is None else option.kind for option in options]
    return Option(" or ".join(kinds), accept)


def _limits(above=None, at_least=None, below=None, at_most=None):
    parts = (
        f"above {above:g}" if above is not None else "",
        f"of at least {at_least:g}" if at_least is not None else "",
        f"below {below:g}" if below is not None else "",
        f"at most {at_most:g}" if at_most is not None else "",
    )
    words: list[Any] = [part for part in parts if part]
    return f" {' and '.join(words)}" if words else ""
