"""Options of a model's functions, told from their signatures."""

import inspect

__all__ = ["options_of"]


def options_of(function):
    """Return the names of a function's keyword-only options."""
    return {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
