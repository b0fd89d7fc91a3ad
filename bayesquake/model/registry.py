"""The registry of models.

A model is a folder of `bayesquake.models` whose ``__init__`` holds
``MODEL = Model(...)``. The registry finds the folders by looking; adding a model
edits nothing else.
"""

import importlib
import pkgutil
from importlib import resources

from bayesquake.errors import ModelNotFoundError

__all__ = ["card", "list_models", "load_model"]


def list_models():
    """Return the names and titles of all models, read from their cards.

    Returns
    -------
    dict of str
    """
    return {name: card(name).partition("\n")[0].lstrip("# ") for name in _model_names()}


def load_model(name):
    """Return the model of that name.

    Raises
    ------
    ModelNotFoundError
        No such model is installed.
    """
    _require(name)
    return importlib.import_module(f"bayesquake.models.{name}").MODEL


def card(name):
    """Return the model card, as Markdown text.

    Raises
    ------
    ModelNotFoundError
        No such model is installed.
    """
    _require(name)
    return (resources.files("bayesquake.models") / name / "card.md").read_text(encoding="utf-8")


def _model_names():
    package = importlib.import_module("bayesquake.models")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg)


def _require(name):
    if name not in _model_names():
        raise ModelNotFoundError(
            f"there is no model named {name!r}; installed models: {', '.join(_model_names())}"
        )
