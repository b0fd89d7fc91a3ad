"""Sphinx configuration; also writes one page per model card, experiment and public module."""

from importlib.metadata import version as installed_version
from pathlib import Path

project = "bayesquake"
author = "The bayesquake developers"
project_copyright = f"{author}, Apache License 2.0"
release = version = installed_version("bayesquake")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"bayesquake {version}"

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_ivar = True  # fields are described once, in the class
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types and shapes stand in the docstrings

suppress_warnings = [
    "myst.xref_missing",  # cards and the README link to source files, which are not pages
    "ref.python",  # a name may be reached by two paths, as bayesquake.fit
]

DOCS = Path(__file__).parent
ROOT = DOCS.parent


def write_pages(folder: str, pages: dict[str, str]) -> None:
    """Make `docs/<folder>/generated` hold exactly these pages, touching only what changed."""
    directory = DOCS / folder / "generated"
    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.glob("*.md"):
        if stale.stem not in pages:
            stale.unlink()
    for name, text in pages.items():
        page = directory / f"{name}.md"
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def included(pattern: str) -> dict[str, str]:
    """Return a page for each file that matches, named by its folder and including it."""
    return {
        path.parent.name: f"```{{include}} ../../../{path.relative_to(ROOT)}\n```\n"
        for path in sorted(ROOT.glob(pattern))
    }


def public_modules() -> list[str]:
    """Return the dotted names of the library's and the models' public modules."""
    names = []
    for folder, package in (("bayesquake", "bayesquake"), ("models", "bayesquake.models")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            if path.stat().st_size and not any(part.startswith("_") for part in parts):
                names.append(".".join((package, *parts)))
    return names


def api_page(module: str) -> str:
    """Return the page of one module."""
    options = "   :members:\n"
    if module == "bayesquake":
        # Its functions are described where they live, and some share a module's name.
        options += "   :no-index:\n"
    return f"# `{module}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n{options}```\n"


write_pages("models", included("models/*/card.md"))
write_pages("experiments", included("experiments/*/README.md"))
write_pages("api", {module: api_page(module) for module in public_modules()})
