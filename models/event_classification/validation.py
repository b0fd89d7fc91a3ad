"""What is required of a catalogue and of the reader's options before any number is used."""

import numpy as np

from bayesquake.errors import CatalogError, OptionError
from bayesquake.io.catalog import describe_event

from .dataset import ATTRIBUTES
from .errors import CatalogTimeError, DuplicateEventError

__all__ = ["check_identifiers", "locate", "names_of_marks", "require_finite"]


def names_of_marks(marks):
    """Return the names of marks, given as a sequence or joined by commas."""
    names = marks.split(",") if isinstance(marks, str) else marks or ()
    names = tuple(name.strip() for name in names if name.strip())
    for name in names:
        if (name in ATTRIBUTES and name != "depth") or names.count(name) > 1 or "," in name:
            raise OptionError(
                f"marks = {marks!r}: {name} is no mark or stands twice; name further columns, "
                "each once"
            )
    return names


def require_finite(catalogue, marks, distance):
    """Require times, positions, magnitudes and marks that are known."""
    planar = {"x", "y"} <= set(catalogue)
    positions = ["x", "y"] if planar else []
    positions += ["longitude", "latitude"] if distance == "sphere" or not planar else []
    for name in ("time", *positions, "magnitude", *marks):
        if name not in catalogue:
            wanted = f"no {name}; add it"
            if name in positions:
                wanted = "no positions; give x_km and y_km, or longitude and latitude"
            if name == "longitude" and planar:
                wanted = "no longitudes and latitudes, which distance='sphere' needs"
            raise CatalogError(f"{catalogue.attrs['source']} has {wanted}")
        values = catalogue[name].to_numpy()
        bad = ~np.isfinite(values)
        limit = {"longitude": 360, "latitude": 90}.get(name, np.inf)
        bad |= np.abs(values) > limit
        if bad.any():
            error = CatalogTimeError if name == "time" else CatalogError
            raise error(
                f"{locate(catalogue, bad)}: the {name} is {values[np.argmax(bad)]:g}; correct it "
                "or remove the event"
            )


def check_identifiers(catalogue):
    """Require that no two events bear one identifier."""
    if "event_id" not in catalogue.coords:
        return
    names = catalogue["event_id"].to_numpy()
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    again = (first[inverse] != np.arange(names.size)) & (names != "")
    if again.any():
        index = int(np.argmax(again))
        raise DuplicateEventError(
            f"{locate(catalogue, again)}: the identifier {names[index]} is that of "
            f"{describe_event(catalogue, first[inverse[index]])} too; remove the repeated event or "
            "rename it"
        )


def locate(catalogue, bad):
    """Say where the first of some events stands, and how many they are."""
    count = np.count_nonzero(bad)
    place = describe_event(catalogue, int(np.argmax(bad)))
    return place if count == 1 else f"{place} (the first of {count} such events)"
