"""Units, by the spellings under which files and programs give them."""

__all__ = ["is_unit"]

UNSTATED = ("", "1")
"""Numbers of such a unit are taken to be in the one that is asked for."""

SPELLINGS = {
    "d": ("day", "days"),
    "s": ("sec", "second", "seconds"),
    "km": ("kilometer", "kilometers", "kilometre", "kilometres"),
    "m": ("meter", "meters", "metre", "metres"),
    "degrees_east": ("degreeeast", "degreese", "degreee", "degrees", "degree", "deg", "°", "°e"),
    "degrees_north": ("degreenorth", "degreesn", "degreen", "degrees", "degree", "deg", "°", "°n"),
    "Hz": ("hertz", "1/s", "s-1", "s^-1"),
    "N m": ("newtonmeter", "newtonmeters", "newtonmetre", "newtonmetres"),
    "mag": ("magnitude",),
}


def is_unit(given, unit):
    """Return whether a text names a unit, in any of its spellings, or leaves it open.

    Parameters
    ----------
    given : str
        As in the attribute ``units`` of a variable.
    unit : str
        As the library writes it.
    """
    plain = _plain(given)
    return plain in UNSTATED or plain == _plain(unit) or plain in SPELLINGS.get(unit, ())


def _plain(text):
    return "".join(letter for letter in str(text).lower() if letter not in " _.·*")
