"""The report of a result: one HTML file with everything in it, readable offline."""

import base64
import html
import importlib
import inspect
import io
import json
import re
import sys
from importlib import resources
from pathlib import Path

import numpy as np
from xarray import Dataset, DataTree

from bayesquake.errors import ResultError
from bayesquake.io.files import replace_when_complete
from bayesquake.model.registry import card, load_model
from bayesquake.reporting.calibration import rank_figure
from bayesquake.reporting.figures import (
    STYLE,
    distinct,
    overlap,
    prior_and_posterior,
    traces_and_ranks,
)

__all__ = ["report"]

DOTS_PER_INCH = 120
TRACES_IN_A_FIGURE = 8
ABSENT = "–"
IN_OWN_SECTIONS = ("configuration", "package_versions", "references", "model_title")


def report(result, path):
    """Write the report of a result.

    Parameters
    ----------
    result : xarray.DataTree
        Of any writer: `bayesquake.fit`, `fit_many`, `calibrate`, a reference.
    path : path
        The HTML file, written whole or not at all.

    Raises
    ------
    ResultError
        The result lacks a group that is needed, or the file cannot be written.
    ModelNotFoundError
        The model of the result is not installed.
    """
    needed = ("checks",) if "ranks" in result.children else ("checks", "posterior")
    for group in needed:
        if group not in result.children:
            raise ResultError(f"the result has no group {group!r}; make it with `bayesquake fit`")

    def write(part):
        Path(part).write_text(_render(result), encoding="utf-8")

    replace_when_complete(path, write)


def _render(result):
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from bayesquake.diagnostics.convergence import check

    model = load_model(result.attrs["model"])
    verdict = check(result)
    configuration = json.loads(result.attrs["configuration"])
    # A model's own figures and answers are of one data set and of what it derives.
    own = configuration["writer"] == "fit" and "failed_derived_outputs" not in result["checks"]
    posterior = _group(result, "posterior")
    arrays = list(posterior)
    result = _with_elements(result)
    names = _ordered_scalars(_group(result, "posterior"), model)
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "number": _number,
        "linked": lambda text: Markup(_linked(html.escape(text))),
        "humanised": lambda name: str(name).replace("_", " "),
    }
    template = resources.files("bayesquake.reporting") / "report.html.jinja"
    free = [name for name in names if np.ptp(result["posterior"][name].to_numpy()) > 0]
    traced = distinct(result["posterior"], free) if free else []
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        attributes=dict(result.attrs),
        references=[text for text in str(result.attrs["references"]).split("; ") if text],
        driver=configuration["driver"],
        approximate=bool(result.attrs.get("approximate", 0)),
        chains=posterior.sizes.get("chain", 0),
        calibration=list(_calibration(result)),
        rank_figure=_png(rank_figure(_group(result, "ranks"))) if "ranks" in result else None,
        check=verdict,
        answers=model.answers(result) if model.answers is not None and own else {},
        cautions=_group(result, "observed_data").attrs.get("cautions", ""),
        window=list(_window(result)),
        observations=list(_observations(result)),
        parameters=list(_parameters(result, model, names)),
        other_quantities=[
            (name, quantity)
            for name, quantity in model.quantities.items()
            if name in arrays and name not in names
        ],
        sensitivity=list(_sensitivity(result)),
        prior_figure=_png(prior_and_posterior(result, free)) if free else None,
        trace_figures=[
            _png(traces_and_ranks(result, traced[first : first + TRACES_IN_A_FIGURE]))
            for first in range(0, len(traced), TRACES_IN_A_FIGURE)
        ],
        model_figures=[
            {"title": title, "caption": _caption(draw), "png": _png(draw(result))}
            for title, draw in (model.figures if own else {}).items()
        ],
        tables=list(_tables(result, model.tables if own else {})),
        limits=Markup(_limits(model.name)),
        provenance=[
            (name, value) for name, value in result.attrs.items() if name not in IN_OWN_SECTIONS
        ],
        configuration=_pretty(result.attrs.get("configuration", "{}")),
        package_versions=_pretty(result.attrs.get("package_versions", "{}")),
    )


def _group(result, name):
    """Return a group of a result, empty if it has none of that name."""
    return result[name].to_dataset() if name in result.children else Dataset()


def _with_elements(result):
    """Return a result in which elements of small arrays are scalars too."""
    from bayesquake.diagnostics.convergence import with_elements

    groups = {name: group.to_dataset() for name, group in result.children.items()}
    for name in ("posterior", "prior"):
        if name in groups:
            groups[name] = with_elements(groups[name])
    taken_apart = DataTree.from_dict(groups)
    taken_apart.attrs = result.attrs
    return taken_apart


def _ordered_scalars(posterior, model):
    """Return the names of scalars in the order of the model's quantities."""
    from bayesquake.diagnostics.convergence import scalar_names

    order = list(model.quantities)
    return sorted(
        (name for name in scalar_names(posterior) if _quantity_name(name) in order),
        key=lambda name: order.index(_quantity_name(name)),
    )


def _quantity_name(name):
    return name.partition("[")[0]


def _window(result):
    """Yield (label, value with unit) of the data's constants, then of its attributes."""
    constants = _group(result, "constant_data").data_vars
    for name, variable in constants.items():
        if variable.ndim == 0:
            meaning = variable.attrs.get("long_name", "").partition(",")[0]
            label = f"{meaning}, {name}" if meaning else str(name)
            yield label, _with_unit(variable.item(), variable.attrs.get("units", "1"))
    for name, value in _group(result, "observed_data").attrs.items():
        if name not in constants and name not in ("content_hash", "cautions"):
            yield str(name).replace("_", " "), _with_unit(value, "1")


def _with_unit(value, unit):
    if isinstance(value, np.ndarray | list | tuple):
        return " to ".join(_with_unit(part, unit) for part in value)
    if isinstance(value, float | np.floating) and np.isnan(value):
        return "none"
    if value == "":
        return "not given"
    text = value if isinstance(value, str) else _number(value)
    return text if unit == "1" else f"{text} {unit}"


def _observations(result):
    for name, variable in _group(result, "observed_data").data_vars.items():
        values = variable.to_numpy()
        numeric = values.dtype.kind in "fiu" and np.isfinite(values).any()
        yield {
            "name": name,
            "meaning": variable.attrs.get("long_name", ""),
            "unit": variable.attrs.get("units", "1"),
            "size": " × ".join(f"{size} {dim}" for dim, size in variable.sizes.items()),
            "low": _number(np.nanmin(values)) if numeric else ABSENT,
            "high": _number(np.nanmax(values)) if numeric else ABSENT,
        }


def _parameters(result, model, names):
    from bayesquake.diagnostics.convergence import summary_table

    if not names:
        return
    table = summary_table(result)
    posterior, prior = result["posterior"], _group(result, "prior")
    for name in names:
        row = table.loc[name]
        shared = overlap(prior[name], posterior[name]) if name in prior else np.nan
        yield {
            "name": name,
            "meaning": model.quantities[_quantity_name(name)].meaning,
            "unit": model.quantities[_quantity_name(name)].unit,
            "numbers": [
                *(_number(row[key]) for key in ("mean", "sd", "q5", "q50", "q95")),
                _number(row["mcse_mean"], 2),
                _fixed(row["r_hat"], 3),
                _fixed(row["ess_bulk"], 0),
                _fixed(row["ess_tail"], 0),
                _fixed(shared, 2),
            ],
        }


def _calibration(result):
    """Yield a row per quantity of a calibration run."""
    from bayesquake.diagnostics.ranks import calibration_table

    if "ranks" not in result.children:
        return
    for name, row in calibration_table(_group(result, "ranks")).iterrows():
        yield {
            "name": name,
            "numbers": [
                _fixed(row["coverage"], 3),
                _fixed(row["standard_error"], 3),
                _fixed(row["mean_rank"], 3),
                _number(row["chi2_p"], 2),
                "yes" if row["inside_band"] else "no",
            ],
        }


def _sensitivity(result):
    """Yield a row per quantity, if the result holds what power scaling needs."""
    from bayesquake.diagnostics.sensitivity import prior_sensitivity

    if not {"log_prior", "log_likelihood"} <= set(result.children):
        return
    one_posterior = all(x.dims == ("chain", "draw") for x in result["log_prior"].values())
    if not result["log_prior"].data_vars or not one_posterior:
        return
    for name, row in prior_sensitivity(result).iterrows():
        yield {
            "name": name,
            "prior": _fixed(row["prior"], 2),
            "likelihood": _fixed(row["likelihood"], 2),
            "diagnosis": row["diagnosis"],
        }


def _tables(result, tables):
    """Yield title, caption, heads and rows of the model's own tables."""
    for title, tabulate in tables.items():
        table = tabulate(result)
        yield {
            "title": title,
            "caption": _caption(tabulate),
            "heads": [table.index.name, *table.columns],
            "rows": list(table.itertuples()),
        }


def _number(value, digits=4):
    """Return a number in few digits, or a dash where it is not finite."""
    if isinstance(value, int | np.integer):
        return str(int(value))
    return (
        f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e")
        if np.isfinite(value)
        else ABSENT
    )


def _fixed(value, decimals):
    return f"{value:.{decimals}f}" if np.isfinite(value) else ABSENT


def _caption(draw):
    """Return the second paragraph of a figure function's docstring, which is its caption."""
    paragraphs = (inspect.getdoc(draw) or "").split("\n\n")
    if len(paragraphs) < 2 or "\n---" in paragraphs[1]:
        return ""
    return " ".join(paragraphs[1].split())


def _png(figure):
    """Return a figure as base64 text, and close it where pyplot holds it."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    if "matplotlib.pyplot" in sys.modules:
        importlib.import_module("matplotlib.pyplot").close(figure)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _pretty(text):
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def _linked(escaped):
    """Turn ``doi:...`` into links."""
    return re.sub(
        r"doi:(10\.[^\s;,&]+?)(?=[.)]?(?:[\s;,]|$))",
        r'<a href="https://doi.org/\1">doi:\1</a>',
        escaped,
    )


def _limits(name):
    """Return the section "Known failures" of the model card as HTML."""
    try:
        text = card(name)
    except FileNotFoundError:
        return ""
    found = re.search(
        r"^(#+)[^\n]*known failures[^\n]*\n(.*?)(?=^#{1,2} |\Z)", text, re.I | re.M | re.S
    )
    if not found:
        return ""
    return "\n".join(_block(block) for block in re.split(r"\n\s*\n", found[2].strip()))


def _block(text):
    """Return a paragraph or a list of Markdown as HTML."""
    items = re.split(r"^\s*[-*] ", text, flags=re.M)
    lead, items = items[0].strip(), items[1:]
    paragraph = f"<p>{_inline(lead)}</p>" if lead else ""
    if not items:
        return paragraph
    listed = "".join(f"<li>{_inline(' '.join(item.split()))}</li>" for item in items)
    return f"{paragraph}<ul>{listed}</ul>"


def _inline(text):
    text = _linked(html.escape(text.lstrip("# ")))
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
