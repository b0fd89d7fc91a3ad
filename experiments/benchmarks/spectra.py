"""Throughput of `source_spectra`, beside emcee and SciPy's curve_fit, and its memory.

One run on one machine; every program is called once to compile before it is measured. Times
are CPU seconds of the process. What the chains of the triage do not settle is drawn again by
quadrature, and that is part of its time.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
from arviz_stats.base import array_stats

import bayesquake as bq
from bayesquake.batch.lanes import in_lanes
from bayesquake.batch.modes import modes_program
from bayesquake.batch.shard import batched
from bayesquake.batch.tiers import EXACT
from bayesquake.batch.triage import triage_driver
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.model.priors import resolve_priors
from bayesquake.models.source_spectra import MODEL
from bayesquake.models.source_spectra.problems import TRIAGE

__all__ = ["measure"]

PAIRS = 500
SIZES = (100, 1000, 5000)
DRAWS = 200
WALKERS, STEPS, BURN_IN = 16, 500, 100
EMCEE_PAIRS, CURVE_FIT_PAIRS = 12, 100
"""Pairs that the peers fit, scaled to one; each takes its time apart from all others."""

LAPLACE_WIDTH, SMALLEST_IMPORTANCE, SEARCHES = 128, 10, 3
"""Pairs at once, importance draws and starts of the search for the mode alone."""

MEMORY_PAIRS, MEMORY_DRAWS = 5000, 100
NAMES = ("ln_fc1", "dln_fc", "ln_moment_ratio")


def simulated(pairs, seed=0):
    """Return pairs from the prior, ν = 10, 60 frequencies."""
    return MODEL.simulate(jax.random.key(seed), {"pairs": pairs})[1]


def by_triage(dataset, seed=1):
    """Return CPU seconds per pair, the effective draws of each, and how they were made."""
    target = bq.target(MODEL, dataset)
    with recorded_compilations() as compiled:
        triage_driver(target, draws=DRAWS, seed=seed, **TRIAGE)
    began = time.process_time()
    made = triage_driver(target, draws=DRAWS, seed=seed, **TRIAGE)
    seconds = (time.process_time() - began) / dataset.sizes["pair"]
    table = made.groups["triage"]
    rows = {row.name: row.value for row in made.checks(None)}
    exact = made.positions.shape[0] * made.positions.shape[1]
    ess = np.nan_to_num(np.minimum(rows["bulk ESS"], rows["tail ESS"]), nan=exact)
    return {
        "seconds_each": seconds,
        "effective_draws": float(ess.mean()),
        "effective_draws_per_second": float(ess.mean() / seconds),
        "exact_share": float((table["tier"] == EXACT).mean()),
        "uncertified": int((table["tier"] == 0).sum()),
        "compile_seconds": compiled.seconds,
        "compilations": compiled.count,
    }


def one_by_one(dataset, chains=2, draws=400, seed=1):
    """Return CPU seconds of `fit` on pairs of one data set, and of `fit_many` on a set for each."""
    pairs = [dataset.isel(pair=[i]) for i in range(dataset.sizes["pair"])]
    settings = {"chains": chains, "draws": draws, "seed": seed}
    runs = {
        "together": lambda: bq.fit(MODEL, dataset, **settings),
        "one_each": lambda: bq.fit_many(MODEL, pairs, **settings),
    }
    found = {}
    for name, run in runs.items():
        run()
        began = time.process_time()
        tier = run()["triage"]["tier"].to_numpy()
        found[name] = {
            "seconds": time.process_time() - began,
            "uncertified": int((tier == 0).sum()),
            "exact_share": float((tier == EXACT).mean()),
        }
    return found | {"ratio": found["one_each"]["seconds"] / found["together"]["seconds"]}


def by_laplace(dataset):
    """Return CPU seconds per pair of the search for the mode, three starts, with its Hessian."""
    split = bq.target(MODEL, dataset).split()
    target = split.target
    search = batched(
        modes_program(
            target.log_density,
            target.initial,
            target.dim,
            1,
            SEARCHES,
            SMALLEST_IMPORTANCE,
            target.slopes,
            TRIAGE["iterations"],
        ),
        (0, 0),
    )
    keys = jax.random.split(jax.random.key(0), dataset.sizes["pair"])
    for _ in range(2):
        began = time.process_time()
        in_lanes(lambda lane: search(*lane), (keys, split.data), LAPLACE_WIDTH)
        seconds = time.process_time() - began
    return {"seconds_each": seconds / dataset.sizes["pair"]}


def log_posterior(theta, log_f, y, nu, priors):
    """Return the log posterior of a pair in NumPy, theta of shape (..., 3)."""
    ln_fc1, d, m = (theta[..., i, None] for i in range(3))
    x1 = 4.0 * (log_f - ln_fc1)
    t = y - 2.0 * m - np.logaddexp(0.0, x1 - 4.0 * d) + np.logaddexp(0.0, x1)
    log_likelihood = (0.5 * nu * t - nu * np.logaddexp(0.0, t)).sum(axis=-1)
    loc, scale = priors
    return log_likelihood - 0.5 * (((theta - loc) / scale) ** 2).sum(axis=-1)


def by_emcee(dataset, vectorized):
    """Return CPU seconds and effective draws per pair of emcee, started at the mode."""
    import emcee

    priors = [resolve_priors(MODEL)[name].distribution() for name in NAMES]
    moments = tuple(
        np.array([float(getattr(p, part)) for p in priors]) for part in ("loc", "scale")
    )
    log_f = np.log(dataset["freq"].to_numpy())
    result = bq.fit(MODEL, dataset.isel(pair=slice(EMCEE_PAIRS)), draws=50, seed=0)
    modes = result["laplace"]["map"].sel(param=list(NAMES)).to_numpy()
    rng = np.random.default_rng(0)
    seconds, effective = [], []
    for pair in range(EMCEE_PAIRS):
        y = dataset["log_power_ratio"].to_numpy()[pair, 0]
        start = modes[pair] + 0.05 * rng.normal(size=(WALKERS, 3))
        began = time.process_time()
        sampler = emcee.EnsembleSampler(
            WALKERS, 3, log_posterior, args=(log_f, y, 10.0, moments), vectorize=vectorized
        )
        sampler.run_mcmc(start, STEPS)
        seconds.append(time.process_time() - began)
        chain = np.moveaxis(sampler.get_chain(discard=BURN_IN), 1, 0)
        tau = emcee.autocorr.integrated_time(sampler.get_chain(discard=BURN_IN), quiet=True)
        by_time = chain.shape[0] * chain.shape[1] / tau.max()
        by_arviz = np.min(array_stats.ess(chain, chain_axis=0, draw_axis=1, method="bulk"))
        effective.append(max(by_time, by_arviz))
    return {
        "seconds_each": float(np.mean(seconds)),
        "effective_draws": float(np.mean(effective)),
        "effective_draws_per_second": float(np.mean(effective) / np.mean(seconds)),
    }


def by_curve_fit(dataset):
    """Return CPU seconds per pair of least squares on log ratios, one start, no derivatives."""
    from scipy.optimize import OptimizeWarning, curve_fit

    log_f = np.log(dataset["freq"].to_numpy())

    def location(log_f, ln_fc1, d, m):
        x1 = 4.0 * (log_f - ln_fc1)
        return 2.0 * m + np.logaddexp(0.0, x1 - 4.0 * d) - np.logaddexp(0.0, x1)

    ratios = dataset["log_power_ratio"].to_numpy()[:CURVE_FIT_PAIRS, 0]
    start = (np.log(5.0), np.log(3.0), 0.5 * np.median(ratios[:, :15]))
    began, failed = time.process_time(), 0
    for y in ratios:
        try:
            curve_fit(location, log_f, y, p0=start)
        except (RuntimeError, OptimizeWarning):
            failed += 1
    return {"seconds_each": (time.process_time() - began) / len(ratios), "failed": failed}


def peak_memory():
    """Return the peak memory (GiB) of a process that fits many pairs and its result's size."""
    command = [sys.executable, "-m", __spec__.name, "--peak-memory"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure():
    """Return every measurement, by name."""
    # First, while this process is small: a child's peak counts its parent's at the fork.
    memory = peak_memory()
    dataset = simulated(PAIRS)
    found = {
        "memory": memory,
        "triage": by_triage(dataset),
        "one data set each": one_by_one(dataset),
        "laplace": by_laplace(dataset),
        "emcee": by_emcee(dataset, vectorized=False),
        "emcee, vectorized": by_emcee(dataset, vectorized=True),
        "curve_fit": by_curve_fit(dataset),
    }
    return found | {f"triage of {size}": by_triage(simulated(size)) for size in SIZES}


def main():
    """Measure, print, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="Folder of the measurements as JSON.")
    parser.add_argument("--peak-memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_memory:
        result = bq.fit(MODEL, simulated(MEMORY_PAIRS), draws=MEMORY_DRAWS, seed=0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(json.dumps({"peak_gib": peak, "result_gib": result.nbytes / 1024**3}))
        return
    found = measure()
    for name, numbers in found.items():
        print(name, json.dumps(numbers))
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "spectra.json").write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
