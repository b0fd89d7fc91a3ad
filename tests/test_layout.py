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


FOLDERS = sorted(card.parent for card in (LIBRARY.parent / "models").glob("*/card.md"))


def imported(file):
    """Return the modules of the library that a file names, inside its functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_module_imports_itself_by_a_detour():
    graph = {name: imported(file) & set(MODULES) - {name} for name, file in MODULES.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) == len(MODULES)


def imported_within(file):
    """Return the files of its model that a file imports relatively, inside its functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            own = {place for place in (base.with_suffix(".py"),) if place.is_file()}
            for alias in node.names:
                inside = base / f"{alias.name}.py"
                found |= {inside} if inside.is_file() else own or {base / "__init__.py"}
    return found - {file}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_file_of_a_model_imports_itself_by_a_detour(folder):
    graph = {file: imported_within(file) for file in folder.rglob("*.py")}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) == len(graph)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_file_of_a_model_imports_another_model(folder):
    for file in folder.rglob("*.py"):
        assert not [m for m in imported(file) if m.startswith("bayesquake.models")]


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_a_model_or_an_experiment(name):
    foreign = ("bayesquake.models", "bayesquake.experiments")
    assert not [module for module in imported(MODULES[name]) if module.startswith(foreign)]
