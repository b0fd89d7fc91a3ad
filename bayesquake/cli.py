"""The command line: simulate, fit, check, calibrate, report, provenance, reproduce, demo.

Bad input ends with one line on standard error that says what is wrong, where and what
to do, and exit status 2; ``--debug`` adds the traceback.
"""

import ast
import contextlib
import importlib
import pkgutil
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bayesquake.errors import BayesquakeError, ModelNotFoundError, OptionError, ResultError
from bayesquake.io.compilation_cache import keep_compilations

__all__ = ["app", "main"]

app = typer.Typer(
    name="bayesquake",
    help="Probabilistic models for earthquake science, from data to a checked posterior.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
errors = Console(stderr=True)

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A name from `bayesquake list`.")]
ResultFile = Annotated[Path, typer.Argument(metavar="RESULT.nc", help="From `bayesquake fit`.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Option of the reader or the model; repeat."),
]
Seed = Annotated[int, typer.Option(help="Same seed, versions and device: same draws.")]
Priors = Annotated[
    Path | None, typer.Option(metavar="FILE.toml", help="Priors in place of the defaults.")
]
Fixed = Annotated[
    list[str] | None,
    typer.Option("--fix", metavar="NAME=VALUE", help="Hold a parameter at a value; repeat."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
DRIVER_HELP = "nuts, chees, mclmc, smc, pathfinder, svi, laplace, grid or triage."
RESUME = "the same command with --resume goes on from there"
DEBUG = False


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
):
    """Read the options that come before the command."""
    global DEBUG
    DEBUG = debug


@app.command("list")
def list_command():
    """List the models, and why one is unavailable."""
    from bayesquake.model.registry import list_models, unavailable_models

    table = Table("model", "title", box=None)
    for name, title in list_models().items():
        table.add_row(name, title)
    for name, reason in unavailable_models().items():
        table.add_row(name, Text(f"unavailable: {reason}", style="red"))
    console.print(table)


@app.command()
def show(model: ModelName):
    """Show a model's card."""
    from rich.markdown import Markdown

    from bayesquake.model.registry import card

    console.print(Markdown(card(model)))


@app.command()
def simulate(
    model: ModelName,
    out: Annotated[Path, typer.Option(metavar="DATA.nc", help="Where to write the data.")],
    seed: Seed = 0,
    settings: Settings = None,
):
    """Simulate a data set, with parameters drawn from the prior."""
    import jax

    from bayesquake.io.files import require_writable
    from bayesquake.model.registry import load_model
    from bayesquake.model.simulation import simulate_accepted
    from bayesquake.results.netcdf import write_netcdf

    require_writable(out)
    loaded = load_model(model)
    options = parse_settings(settings)
    design = {name: options.pop(name) for name in list(options) if name in loaded.design}
    parameters, dataset, refused = simulate_accepted(loaded, jax.random.key(seed), design, options)
    dataset.attrs |= {
        "simulated_by": model,
        "seed": seed,
        **{f"true_{name}": value for name, value in parameters.items()},
    }
    write_netcdf(dataset, out)
    sizes = ", ".join(f"{dim} {size}" for dim, size in dataset.sizes.items())
    console.print(f"{out}: {sizes} ({refused} simulations outside the design's limits)")


@app.command()
def fit(
    model: ModelName,
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="Files the model's reader knows.")
    ],
    out: Annotated[Path, typer.Option(metavar="RESULT.nc", help="Where to write the result.")],
    driver: Annotated[str | None, typer.Option(help=DRIVER_HELP)] = None,
    chains: Annotated[int | None, typer.Option(help="Number of chains.")] = None,
    warmup: Annotated[int | None, typer.Option(help="Warm-up steps of each chain.")] = None,
    draws: Annotated[int | None, typer.Option(help="Kept draws of each chain.")] = None,
    seed: Seed = 0,
    priors: Priors = None,
    fixed: Fixed = None,
    settings: Settings = None,
    resume: Resume = False,
):
    """Fit a model to data and write the posterior as NetCDF.

    Blocks of draws are kept in RESULT.nc.blocks until the result is written.
    """
    from bayesquake.inference.fit import fit as run_fit
    from bayesquake.io.files import require_writable
    from bayesquake.model.options import options_of
    from bayesquake.model.registry import load_model
    from bayesquake.results.blocks import remove_blocks
    from bayesquake.results.netcdf import write_netcdf

    require_writable(out)
    blocks = out.with_name(f"{out.name}.blocks")
    loaded = load_model(model)
    options = parse_settings(settings)
    reader = {name: options.pop(name) for name in list(options) if name in options_of(loaded.read)}
    dataset = loaded.read(data[0] if len(data) == 1 else data, **reader)
    arguments = {
        "driver": driver,
        "chains": chains,
        "warmup": warmup,
        "draws": draws,
        "seed": seed,
        "priors": chosen_priors(priors, fixed),
        **options,
    }
    if resume and not blocks.exists() and is_complete(out, loaded, dataset, arguments):
        console.print(f"{out}: is complete already")
        return
    with resumable(blocks):
        with progress_bar(f"{model}: sampling") as progress:
            result = run_fit(
                loaded, dataset, progress=progress, checkpoint=blocks, resume=resume, **arguments
            )
        write_netcdf(result, out)
    sizes = result["posterior"].sizes
    console.print(
        f"{out}: {sizes['chain']} chains of {sizes['draw']} draws, "
        f"{result.attrs['gradient_count']} gradients, compiled in "
        f"{result.attrs['compile_seconds']:.1f} s, ran in {result.attrs['run_seconds']:.1f} s"
    )
    if result.attrs.get("interrupted"):
        console.print(f"interrupted before all draws were made; {RESUME}", soft_wrap=True)
    else:
        remove_blocks(blocks)


@app.command()
def check(result: ResultFile):
    """Check convergence; exit status 1 if a threshold is missed."""
    from bayesquake.results.netcdf import open_result

    if not print_checks(open_result(result)):
        raise typer.Exit(1)


@app.command()
def calibrate(
    model: ModelName,
    replicates: Annotated[int, typer.Option(help="Number of simulated data sets.")],
    out: Annotated[Path, typer.Option(metavar="CALIBRATION.nc", help="Where to write the ranks.")],
    driver: Annotated[str, typer.Option(help=DRIVER_HELP)] = "nuts",
    chains: Annotated[int | None, typer.Option(help="Number of chains of each fit.")] = None,
    warmup: Annotated[int, typer.Option(help="Warm-up steps of each chain.")] = 200,
    draws: Annotated[int, typer.Option(help="Kept draws of each chain.")] = 300,
    seed: Seed = 0,
    priors: Priors = None,
    fixed: Fixed = None,
    posterior: Annotated[
        Path | None,
        typer.Option(metavar="RESULT.nc", help="Calibrate at this posterior, not at the prior."),
    ] = None,
    settings: Settings = None,
    resume: Resume = False,
):
    """Fit simulated data and see whether posteriors hold the truth as often as they say.

    Finished chunks are kept in CALIBRATION.nc.chunks until the ranks are written.
    """
    from bayesquake.diagnostics.calibration import calibrate as run_calibration
    from bayesquake.diagnostics.ranks import calibration_table
    from bayesquake.io.files import require_writable
    from bayesquake.model.registry import load_model
    from bayesquake.results.netcdf import open_result, write_netcdf

    require_writable(out)
    chunks = out.with_name(f"{out.name}.chunks")
    if chunks.exists() and not resume:
        raise ResultError(f"{chunks}: holds an unfinished run; add --resume or delete the folder")
    loaded = load_model(model)
    design, options = split_design(loaded, parse_settings(settings))
    with resumable(chunks), folder_of_parts(chunks):
        with progress_bar(f"{model}: calibrating") as progress:
            calibration = run_calibration(
                loaded,
                replicates,
                driver=driver,
                posterior=None if posterior is None else open_result(posterior),
                seed=seed,
                priors=chosen_priors(priors, fixed),
                design=design,
                chains=chains,
                warmup=warmup,
                draws=draws,
                directory=chunks,
                progress=progress,
                **options,
            )
        write_netcdf(calibration, out)
    shutil.rmtree(chunks)
    print_frame(calibration_table(calibration["ranks"].to_dataset()), f"{replicates} replicates")
    console.print(f"{out}: written")


@app.command()
def report(
    result: ResultFile,
    out: Annotated[Path, typer.Option(metavar="REPORT.html", help="Where to write the report.")],
):
    """Write a result as one HTML page, readable offline."""
    from bayesquake.reporting.html import report as write_report
    from bayesquake.results.netcdf import open_result

    write_report(open_result(result), out)
    console.print(f"{out}: written")


@app.command()
def provenance(result: ResultFile):
    """Print what made a result: versions, commit, hashes, configuration, seed, device."""
    from bayesquake.results.netcdf import open_result

    table = Table("attribute", "value", box=None)
    for name, value in open_result(result).attrs.items():
        table.add_row(name, str(value))
    console.print(table)


@app.command()
def refit(
    result: ResultFile,
    out: Annotated[Path, typer.Option(metavar="AGAIN.nc", help="Where to write the new result.")],
):
    """Make a result again from its file alone: its data, configuration and seed."""
    from bayesquake.diagnostics.refit import refit as run_again
    from bayesquake.io.files import require_writable
    from bayesquake.results.netcdf import open_result, write_netcdf

    require_writable(out)
    stored = open_result(result)
    with progress_bar(f"{stored.attrs['model']}: again") as progress:
        again = run_again(stored, progress=progress)
    write_netcdf(again, out)
    console.print(f"{out}: written")


@app.command()
def reproduce(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Such as morikawa2021.")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer draws, minutes at most.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the figures and tables.")
    ] = None,
    entry: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Run this entry only; may be given again."),
    ] = None,
):
    """Redo the figures of a paper."""
    package = importlib.import_module("bayesquake.experiments")
    known = sorted(
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if module.ispkg and module.name != "benchmarks"
    )
    if experiment not in known:
        raise ModelNotFoundError(
            f"there is no experiment named {experiment!r}; installed: {', '.join(known)}"
        )
    folder = Path(f"{experiment}_results") if out is None else out
    with progress_bar(experiment) as progress:
        importlib.import_module(f"bayesquake.experiments.{experiment}").reproduce(
            folder, quick=quick, progress=progress, entries=entry
        )
    console.print(f"{folder}: written")


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder; a temporary one by default.")
    ] = None,
    seed: Seed = 2,
):
    """Simulate an aftershock sequence, fit it, check the fit and write a report."""
    import jax

    from bayesquake.diagnostics.convergence import summary_table
    from bayesquake.inference.fit import fit as run_fit
    from bayesquake.model.registry import load_model
    from bayesquake.reporting.html import report as write_report
    from bayesquake.results.netcdf import write_netcdf

    began = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="bayesquake_demo_")) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    model = load_model("aftershock_rate")
    parameters, dataset = model.simulate(jax.random.key(seed), DEMO_DESIGN, DEMO_PARAMETERS)
    console.print(
        f"Simulated the first day after an M {dataset.attrs['M0']:.1f} main shock: "
        f"{dataset.sizes['event']} detected events."
    )
    with progress_bar("sampling") as progress:
        result = run_fit(
            model, dataset, draws=700, warmup=200, seed=seed, progress=progress, basis_size=48
        )
    truth = {name: parameters[name] for name in ("log_K", "p", "log_c", "beta", "log_sigma")}
    table = Table("quantity", "truth", "mean", "sd", "5 %", "95 %", "unit", title="Posterior")
    summary = summary_table(result)
    for name, true in truth.items():
        row = summary.loc[name]
        numbers = [f"{x:.3f}" for x in (true, row["mean"], row["sd"], row["q5"], row["q95"])]
        table.add_row(name, *numbers, row["unit"])
    console.print(table)
    print_tables(model, result)
    print_checks(result)
    write_netcdf(result, folder / "posterior.nc")
    write_report(result, folder / "report.html")
    console.print(
        f"Wrote {folder / 'posterior.nc'} and {folder / 'report.html'} "
        f"in {time.perf_counter() - began:.0f} s."
    )


DEMO_DESIGN = {"M0": 7.0, "T": 1.0}
DEMO_PARAMETERS = {
    "log_K": -4.9,
    "p": 1.08,
    "log_c": -4.2,
    "beta": 2.0,
    "log_sigma": -1.4,
    "mu_1d": 1.8,
    "mu_slope": -0.7,
    "eta": 0.25,
    "ell": 0.6,
}


def print_tables(model, result):
    """Print the model's own tables of a result."""
    for title, tabulate in model.tables.items():
        cells = tabulate(result)
        table = Table(cells.index.name, *cells.columns, title=title)
        for row in cells.itertuples():
            table.add_row(*row)
        console.print(table)


def print_checks(result):
    """Print the checks of a result and return whether all passed."""
    from bayesquake.diagnostics.convergence import check as run_check

    checks = run_check(result)
    table = Table("check", "value", "threshold", "verdict", "meaning", title="Checks")
    verdicts = {True: "[green]pass[/]", False: "[red]fail[/]", None: "note"}
    for row in checks.rows:
        table.add_row(
            row.name, f"{row.value:.4g}", row.threshold, verdicts[row.passed], row.meaning
        )
    console.print(table)
    return checks.passed


def print_frame(frame, title):
    """Print a table of numbers, and of what is true or false, whose rows have names."""
    table = Table(title=title, box=None)
    table.add_column(frame.index.name, no_wrap=True)
    for column in frame.columns:
        table.add_column(column.replace("_", " "))
    for name, *values in frame.itertuples():
        cells = (str(value) if isinstance(value, bool) else f"{value:.3g}" for value in values)
        table.add_row(name, *cells)
    console.print(table)


@contextlib.contextmanager
def resumable(folder):
    """Say what an interrupted command leaves, and end it with status 130."""
    try:
        yield
    except KeyboardInterrupt:
        errors.print(
            f"interrupted; {RESUME if folder.exists() else 'nothing was written'}", soft_wrap=True
        )
        raise typer.Exit(130) from None


@contextlib.contextmanager
def folder_of_parts(folder):
    """Make a folder that does not outlive a command which puts nothing into it."""
    folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def is_complete(path, model, dataset, arguments):
    """Return whether a file holds the whole result of a fit with these arguments.

    Raises
    ------
    ResultError
        It holds the whole result of another; the message names the difference.
    """
    from bayesquake.inference.plan import planned
    from bayesquake.results.identity import difference, request
    from bayesquake.results.netcdf import open_result

    if not path.exists():
        return False
    attributes = open_result(path).attrs
    if attributes.get("interrupted"):
        return False
    plan = planned(model, dataset, **arguments)
    changed = difference(request(attributes), request(plan.attributes))
    if changed:
        raise ResultError(
            f"{path}: is complete already, but {changed}; give another --out, or leave out "
            "--resume to replace it"
        )
    return True


COMMAND_OPTIONS = ("chains", "warmup", "draws", "seed", "driver", "priors", "posterior")
COMMAND_FLAGS = ("resume",)
NO_OPTIONS = ("checkpoint", "design", "directory", "progress")
"""Arguments of the functions behind the commands that the commands give themselves."""

WORDS = {"true": "True", "false": "False", "none": "None"}


def parse_settings(settings):
    """Return ``key=value`` settings as a dict, values read as Python literals where they are.

    Raises
    ------
    OptionError
        A setting has no ``=``, or is not for the model.
    """
    parsed = {}
    for setting in settings or []:
        name, separator, value = setting.partition("=")
        if not separator or not name.isidentifier():
            raise OptionError(f"--set {setting}: write it as key=value, for example end_days=1.0")
        if name in COMMAND_OPTIONS:
            raise OptionError(f"--set {setting}: write it as --{name} {value}")
        if name in COMMAND_FLAGS:
            raise OptionError(f"--set {setting}: write it as --{name}")
        if name in NO_OPTIONS:
            raise OptionError(f"--set {setting}: {name} is no option of the model")
        try:
            parsed[name] = ast.literal_eval(WORDS.get(value.lower(), value))
        except (ValueError, SyntaxError):
            parsed[name] = value
    return parsed


def chosen_priors(path, fixed):
    """Return the priors of a TOML file with those of fixed parameters, None without either.

    Raises
    ------
    OptionError
        A fixed parameter has no number.
    """
    if not fixed:
        return path
    from bayesquake.model.priors import read_priors

    priors = {} if path is None else read_priors(path)
    for setting in fixed:
        name, _, text = setting.partition("=")
        try:
            priors[name] = float(text)
        except ValueError:
            raise OptionError(
                f"--fix {setting}: write it as name=number, for example p=1.1"
            ) from None
    return priors


def split_design(model, options):
    """Split options into the design of simulations and the rest; some may be of both."""
    from bayesquake.model.options import options_of

    design = {name: value for name, value in options.items() if name in model.design}
    both = options_of(model.prepare)
    rest = {name: value for name, value in options.items() if name not in design or name in both}
    return design, rest


@contextlib.contextmanager
def progress_bar(description):
    """Show a progress bar; yields a function ``(done, total, statistics=None)``."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:g}/{task.total:g}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=errors) as bars:
        task = bars.add_task(f"{description} (compiling)", total=1, completed=0, note="")

        def advance(done, total, statistics=None):
            note = ""
            if statistics and "diverging" in statistics:
                note = f"{int(statistics['diverging'].sum())} divergences in the last block"
            bars.update(task, description=description, total=total, completed=done, note=note)

        yield advance


def main():
    """Run the command line; the entry point of the `bayesquake` script."""
    keep_compilations()
    warnings.showwarning = lambda message, *_: errors.print(
        f"warning: {message}", markup=False, soft_wrap=True
    )
    try:
        app(standalone_mode=True)
    except BayesquakeError as problem:
        if DEBUG:
            raise
        errors.print(f"error: {problem}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
