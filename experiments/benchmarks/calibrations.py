"""Simulation-based calibration of the eight groups, ours and that of simuk, under one call."""

import dataclasses
from collections.abc import Callable

from bayesquake.diagnostics.calibration import calibrate

from .eight_groups import EIGHT_GROUPS
from .samplers import EIGHT_SCHOOLS, generative, pymc_model

__all__ = ["CALIBRATIONS", "Calibration"]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A way to calibrate, with its settings.

    Attributes
    ----------
    name : str
    packages : tuple of str
        That it needs.
    run : callable
        ``(simulations, warmup, draws, seed)``, which returns our data set of ranks or, for
        the others, nothing.
    settled : bool
        Whether it takes the given warm-up and draws instead of its own defaults.
    """

    name: str
    packages: tuple[str, ...]
    run: Callable
    settled: bool = True


def ours(driver):
    """Return our calibration by a driver, one chain per simulation."""

    def run(simulations, warmup, draws, seed):
        result = calibrate(
            EIGHT_GROUPS, simulations, driver=driver, warmup=warmup, draws=draws, seed=seed
        )
        return result["ranks"].to_dataset()

    return run


def simuk_pymc(**settings):
    """Return the calibration of simuk on the PyMC model, one chain per simulation."""

    def run(simulations, warmup, draws, seed):
        sample_kwargs = {"chains": 1, "cores": 1, "tune": warmup, "draws": draws, **settings}
        _simuk(pymc_model(EIGHT_SCHOOLS), simulations, seed, sample_kwargs=sample_kwargs)

    return run


def simuk_numpyro(simulations, warmup, draws, seed):
    """Calibrate by simuk on the NumPyro model, one chain per simulation."""
    from numpyro.infer import NUTS

    declared = generative(EIGHT_GROUPS)

    def model(error, y=None):
        declared({"error": error, "y": y})

    sample_kwargs = {"num_warmup": warmup, "num_samples": draws, "progress_bar": False}
    arrays = dict(EIGHT_SCHOOLS.arrays)
    _simuk(NUTS(model), simulations, seed, sample_kwargs=sample_kwargs, data_dir=arrays)


def simuk_defaults(simulations, warmup, draws, seed):
    """Calibrate by simuk on the PyMC model with everything left at its default."""
    _simuk(pymc_model(EIGHT_SCHOOLS), simulations, seed)


def _simuk(model, simulations, seed, **settings):
    import simuk

    simuk.SBC(
        model, num_simulations=simulations, seed=seed, progress_bar=False, **settings
    ).run_simulations()


CALIBRATIONS = (
    Calibration("nuts", ("bayesquake",), ours("nuts")),
    Calibration("simuk, PyMC", ("simuk", "pymc"), simuk_pymc(nuts_sampler="pymc")),
    Calibration(
        "simuk, PyMC by nutpie", ("simuk", "pymc", "nutpie"), simuk_pymc(nuts_sampler="nutpie")
    ),
    Calibration("simuk, NumPyro", ("simuk", "numpyro"), simuk_numpyro),
    Calibration("simuk, defaults", ("simuk", "pymc"), simuk_defaults, settled=False),
)
