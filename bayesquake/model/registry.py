"""The registry of models.

A model is a folder of `bayesquake.models` whose ``__init__`` holds
``MODEL = Model(...)``. The registry finds the folders by looking; adding a model
edits nothing else. The environment variable ``BAYESQUAKE_MODELS`` names further folders
that hold such folders, separated as in ``PATH``. A folder that cannot be imported makes its own
model unavailable and no other.
"""

import functools
import importlib
import os
import pkgutil
import traceback
from pathlib import Path

from bayesquake.errors import ModelNotFoundError, ModelUnavailableError, with_nearest

__all__ = ["card", "folder_of", "list_models", "load_model", "model_names", "unavailable_models"]

FURTHER_FOLDERS = "BAYESQUAKE_MODELS"
PACKAGE = "bayesquake.models"


def list_models():
    """Return the names and titles of the models that can be used.

    Returns
    -------
    dict of str
    """
    found = {name: _attempt(name) for name in model_names()}
    return {name: model.title for name, model in found.items() if not isinstance(model, str)}


def unavailable_models():
    """Return the names of the models that cannot be used, and why not.

    Returns
    -------
    dict of str
    """
    found = {name: _attempt(name) for name in model_names()}
    return {name: reason for name, reason in found.items() if isinstance(reason, str)}


def load_model(name):
    """Return the model of that name.

    Raises
    ------
    ModelNotFoundError
        No such model is installed.
    ModelUnavailableError
        Its folder cannot be imported, such as for want of a package.
    """
    _require(name)
    found = _attempt(name)
    if isinstance(found, str):
        raise ModelUnavailableError(
            f"the model {name!r} is unavailable: {found}; install what is missing or mend the "
            f"folder {folder_of(name)}"
        )
    return found


def card(name):
    """Return the model card, as Markdown text.

    Raises
    ------
    ModelNotFoundError
        No such model is installed, or it has no card.
    """
    file = folder_of(name) / "card.md"
    if not file.is_file():
        raise ModelNotFoundError(f"the model {name!r} has no card; write {file}")
    return file.read_text(encoding="utf-8")


def folder_of(name):
    """Return the folder of a model.

    Raises
    ------
    ModelNotFoundError
        No such model is installed.
    """
    _require(name)
    holders = importlib.import_module(PACKAGE).__path__
    return next(Path(holder) / name for holder in holders if (Path(holder) / name).is_dir())


@functools.cache
def _attempt(name):
    """Return the model of that name, or the reason why it cannot be imported."""
    import numpyro

    # ArviZ leaves NumPyro to be imported at the first use of an attribute. If that first use is the
    # import of a part of it, the part is made twice and lacks what is in the other one.
    _ = numpyro.__version__
    try:
        return importlib.import_module(f"{PACKAGE}.{name}").MODEL
    except Exception as problem:  # Whatever a folder raises is the fault of its model alone.
        places = [frame.filename for frame in traceback.extract_tb(problem.__traceback__)]
        inside = [place for place in places if f"{os.sep}{name}{os.sep}" in place]
        where = f" ({inside[-1]})" if inside and not isinstance(problem, SyntaxError) else ""
        return f"{type(problem).__name__}: {problem}{where}"


def model_names():
    """Return the names of all models, whether or not they can be used; imports none."""
    package = importlib.import_module(PACKAGE)
    for folder in filter(None, os.environ.get(FURTHER_FOLDERS, "").split(os.pathsep)):
        if folder not in package.__path__:
            package.__path__.append(folder)
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg)


def _require(name):
    names = model_names()
    if name not in names:
        raise ModelNotFoundError(
            f"there is no model named {with_nearest([name], names)}; installed models: "
            f"{', '.join(names)}"
        )
