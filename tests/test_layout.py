"""Imports of the library run one way, and never to a model."""

import ast
import graphlib
from pathlib import Path

import pytest

import bayesquake

LIBRARY = Path(bayesquake.__file__).parent
MODULES = {
    ".".join(("bayesquake", *file.relative_to(LIBRARY).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): file
    for file in LIBRARY.rglob("*.py")
}


def imported(file):
    """Return the modules of the library that a file names, inside its functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_module_imports_itself_by_a_detour():
    graph = {name: imported(file) & set(MODULES) - {name} for name, file in MODULES.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) == len(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_a_model_or_an_experiment(name):
    foreign = ("bayesquake.models", "bayesquake.experiments")
    assert not [module for module in imported(MODULES[name]) if module.startswith(foreign)]
