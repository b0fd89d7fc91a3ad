"""Gibbs sampling of branches against NUTS on the likelihood with branches summed out.

Given the parents of all events the parameters of background, productivity, decay in time and in
space are nearly independent, and each block moves by Metropolis steps; given the parameters the
parents are drawn at once. Steps are scaled during warm-up. Both sample the same posterior.

References
----------
Ross 2021, Bulletin of the Seismological Society of America 111
"""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from arviz_stats.base import array_stats

import bayesquake as bq
from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.classification import draw_parents
from bayesquake.models.event_classification.likelihood import (
    expected_events,
    log_magnitude_density,
)
from bayesquake.models.event_classification.model import log_subcritical
from bayesquake.models.event_classification.triggering import triggering_kernel
from bayesquake.targets.target import target_of_arrays

from .study import model, simulated_catalogue

__all__ = ["gibbs", "log_complete", "run"]

BLOCKS = (
    ("log_mu",),
    ("log_k", "alpha"),
    ("log_c", "log_p_minus_1"),
    ("log_d", "gamma", "log_q_minus_1"),
    ("log_beta",),
)
STEPS = 5
"""Metropolis steps of every block between two draws of the parents."""

ACCEPTANCE = 0.3
FIRST_SCALE = 0.1


def run(study, folder):
    """Sample both ways, and compare moments and effective draws per second."""
    settings = study.mode["gibbs_vs_nuts"]
    dataset, _ = simulated_catalogue(study, "sim_small")
    first = int(dataset["target"].to_numpy().argmax())
    dataset = dataset.isel(event=slice(first, first + settings["events"]))
    dataset.attrs["T1"] = float(dataset["time_days"][-1])
    seed = study.config["seed"]
    began = time.perf_counter()
    result = bq.fit(
        model(),
        dataset,
        seed=seed,
        warmup=settings["warmup"],
        draws=settings["draws"],
        classification_draws=1,
        forecast_days=0.0,
    )
    nuts_seconds = time.perf_counter() - began
    names = [name for block in BLOCKS for name in block]
    nuts = {name: result["posterior"][name].to_numpy() for name in names}
    arrays = prepare(dataset)
    plain = target_of_arrays(dataclasses.replace(model(), coordinates=None), arrays)
    start = {name: jnp.asarray(draws[:, 0]) for name, draws in nuts.items()}
    start = jax.vmap(plain.unconstrain, (0, None))(start, arrays)
    program = jax.jit(
        jax.vmap(
            lambda key, x: gibbs(key, x, plain, settings["gibbs_warmup"], settings["gibbs_draws"])
        )
    )
    keys = jax.random.split(jax.random.key(seed), len(start))
    compiled = program.lower(keys, start).compile()
    began = time.perf_counter()
    drawn = {name: np.asarray(values) for name, values in compiled(keys, start).items()}
    gibbs_seconds = time.perf_counter() - began
    table = pd.DataFrame(
        {
            name: {
                "mean, nuts": nuts[name].mean(),
                "mean, gibbs": drawn[name].mean(),
                "sd, nuts": nuts[name].std(),
                "sd, gibbs": drawn[name].std(),
                "ess, nuts": float(array_stats.ess(nuts[name])),
                "ess, gibbs": float(array_stats.ess(drawn[name])),
            }
            for name in names
        }
    ).T
    table.round(4).to_csv(folder / "moments.csv", index_label="parameter")
    sampling = float(result.attrs.get("sampling_seconds", nuts_seconds))
    rates = table["ess, nuts"].min() / sampling, table["ess, gibbs"].min() / gibbs_seconds
    error = table["sd, nuts"] * np.sqrt(1 / table["ess, nuts"] + 1 / table["ess, gibbs"])
    apart = ((table["mean, nuts"] - table["mean, gibbs"]) / error).abs().max()
    return (
        f"means apart by at most {apart:.1f} Monte-Carlo errors; smallest ESS per second "
        f"{rates[0]:.2f} by NUTS, {rates[1]:.3f} by Gibbs ({rates[0] / rates[1]:.0f} times)"
    )


def log_complete(values, parent, data):
    """Return the log density of catalogue and parents, without that of the magnitudes."""
    kernel = triggering_kernel(values, space=True)
    source = jnp.maximum(parent, 0)
    events = data.events
    dm = events.dm[source]
    later = jnp.where(parent < 0, 1.0, events.time - events.time[source])
    r2 = ((events.position - events.position[:, source]) ** 2).sum(axis=0)
    log_D = kernel.log_d + kernel.gamma * dm
    log_g = (
        kernel.log_amplitude + kernel.magnitude_slope * dm - kernel.p * jnp.log(later + kernel.c)
    )
    log_g = log_g - kernel.q * jnp.log1p(r2 * jnp.exp(-log_D))
    log_rate = jnp.where(parent < 0, jnp.log(values["mu"]), log_g)
    return (data.target * log_rate).sum() - expected_events(values, data)


def gibbs(key, position, target, warmup, draws):
    """Return one chain of draws, a dict of (draw,), after a warm-up that scales the steps."""
    data = target.data
    blocks = [np.array([target.coordinates.index(name) for name in block]) for block in BLOCKS]

    def density(position, parent):
        values = target.constrain(position, data)
        rest = log_magnitude_density(values["beta"], data.magnitudes)
        rest = rest + log_subcritical(values["branching_ratio"])
        return target.log_prior(position, data) + log_complete(values, parent, data) + rest

    def sweep(carry, step):
        position, log_scale = carry
        key, rate = step
        key_parents, key_moves = jax.random.split(key)
        parent = draw_parents(key_parents, target.constrain(position, data), data)

        def move(state, key):
            position, current, log_scale = state
            for i, block in enumerate(blocks):
                key, key_step, key_accept = jax.random.split(key, 3)
                noise = jnp.exp(log_scale[i]) * jax.random.normal(key_step, block.shape)
                proposed = position.at[block].add(noise)
                there = density(proposed, parent)
                chance = jnp.exp(jnp.minimum(there - current, 0.0))
                chance = jnp.where(jnp.isfinite(there), chance, 0.0)
                taken = jax.random.uniform(key_accept) < chance
                position = jnp.where(taken, proposed, position)
                current = jnp.where(taken, there, current)
                log_scale = log_scale.at[i].add(rate * (chance - ACCEPTANCE))
            return (position, current, log_scale), None

        start = (position, density(position, parent), log_scale)
        (position, _, log_scale), _ = jax.lax.scan(move, start, jax.random.split(key_moves, STEPS))
        return (position, log_scale), position

    rate = jnp.concatenate([0.3 / jnp.sqrt(1 + jnp.arange(warmup)), jnp.zeros(draws)])
    steps = (jax.random.split(key, warmup + draws), rate)
    first = (position, jnp.full(len(blocks), jnp.log(FIRST_SCALE)))
    _, positions = jax.lax.scan(sweep, first, steps)
    names = [name for block in BLOCKS for name in block]
    values = jax.vmap(target.constrain, (0, None))(positions[warmup:], data)
    return {name: values[name] for name in names}
