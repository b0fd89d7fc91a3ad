"""What experiments of several entries share: settings, the run, and data beside the checkout."""

import dataclasses
import tomllib
from pathlib import Path

import pandas as pd

from bayesquake.errors import BayesquakeError, OptionError, with_nearest

__all__ = [
    "DataAbsentError",
    "Study",
    "accompanying_data",
    "chosen_entries",
    "open_study",
    "require_file",
    "run_each",
]


class DataAbsentError(BayesquakeError):
    """Data that an entry needs are not installed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """Settings of one run of an experiment.

    Attributes
    ----------
    config : dict
        All of ``config.toml``.
    mode : dict
        Its table ``full`` or ``quick``.
    data : str
        Name of the folder of the data.
    folder : path or None
        Where the data are; None where they are absent.
    """

    config: dict
    mode: dict
    data: str
    folder: Path | None

    def path(self, file):
        """Return the path of a data file, or raise `DataAbsentError`."""
        return require_file(self.folder, file, self.data)


def open_study(settings, data, *, quick=False):
    """Return the settings of a TOML file and the folder of the data of that name."""
    config = tomllib.loads(settings.read_text(encoding="utf-8"))
    return Study(config, config["quick" if quick else "full"], data, accompanying_data(data))


def accompanying_data(name):
    """Return a folder of the data that accompany the checkout, or None where they are absent."""
    checkout = Path(__file__).parents[1]
    for root in (checkout.parent, checkout):
        if (root / "shared" / "data" / name).is_dir():
            return root / "shared" / "data" / name
    return None


def require_file(folder, file, name):
    """Return the path of a file in the folder that `accompanying_data` gave for a name.

    Raises
    ------
    DataAbsentError
        It is not there.
    """
    if folder is None or not (folder / file).is_file():
        raise DataAbsentError(
            f"{file} is absent: it belongs in ../shared/data/{name} beside the checkout"
        )
    return folder / file


def chosen_entries(entries, chosen):
    """Return the entries of the chosen names, all if none are given."""
    if not chosen:
        return dict(entries)
    unknown = [name for name in chosen if name not in entries]
    if unknown:
        raise OptionError(
            f"no entry {with_nearest(unknown, entries)}; the experiment has {', '.join(entries)}"
        )
    return {name: entries[name] for name in chosen}


def run_each(entries, study, out, progress=None, chosen=None):
    """Run entries into subfolders of ``out`` and write ``summary.csv``.

    Parameters
    ----------
    entries : mapping of str to callable
        Each takes the study and its own folder, and returns its result in one line.
    study : object
        What the entries share.
    out : path
        Made if absent.
    progress : callable, optional
        Called as ``progress(done, total, entry)`` before every entry and at the end.
    chosen : sequence of str, optional
        Names of the entries to run; all by default.

    Returns
    -------
    dict of str
        One line per entry.

    Raises
    ------
    OptionError
        There is no entry of a chosen name.
    """
    entries = chosen_entries(entries, chosen)
    summary = {}
    for done, (name, run) in enumerate(entries.items()):
        if progress is not None:
            progress(done, len(entries), name)
        folder = Path(out) / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            summary[name] = run(study, folder)
        except DataAbsentError as reason:
            summary[name] = f"skipped: {reason}"
        pd.Series(summary, name="result").to_csv(Path(out) / "summary.csv", index_label="entry")
    if progress is not None:
        progress(len(entries), len(entries), "done")
    return summary
