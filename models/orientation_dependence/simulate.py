r"""The simulator: depths assigned to mechanisms by Metropolis swaps.

Given both sets of values, the pairing σ has the probability
:math:`\propto e^{\sum_i \theta^T h(x_i, y_{\sigma(i)})}` whatever the marginals are. Swaps
of two depths leave it invariant; a sweep tries n/2 disjoint ones at once.

References
----------
Sei & Yano 2024, doi:10.3150/23-BEJ1687 (conditional likelihood of the pairing)
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.errors import OptionError
from bayesquake.model.priors import resolve_priors

from .arrays import standardised
from .data import as_dataset
from .statistics import statistic_named

__all__ = ["DESIGN", "random_frames", "replicate", "simulate", "swap"]

DESIGN = {
    "events": 158,
    "statistic": "frame_bingham",
    "median_depth_km": 30.0,
    "log_depth_spread": 0.7,
    "sweeps": 1000,
}
"""Design of simulated mechanisms: number, statistic, log-normal depths (median in km, sd of the
natural log), and sweeps of swaps. Frames are uniform over all rotations."""


def simulate(key, design=None, parameters=None, *, priors=None):
    """Simulate mechanisms and depths, from the prior or at a given θ.

    Parameters
    ----------
    key : jax.random.key
    design : mapping, optional
        Changes to `DESIGN`.
    parameters : mapping, optional
        ``theta`` (stat,), or one number for all components.
    priors : mapping or path, optional
        Priors in place of the defaults.

    Returns
    -------
    parameters : dict
    dataset : xarray.Dataset
        As from `data.read`.

    Raises
    ------
    OptionError
        The design or the parameters have an unknown entry.
    """
    from . import MODEL

    unknown = [*(set(design or {}) - set(DESIGN)), *(set(parameters or {}) - {"theta"})]
    if unknown:
        raise OptionError(
            f"there is no {', '.join(sorted(unknown))} in the design or the parameters; choose "
            f"from {', '.join(DESIGN)} and theta"
        )
    design = DESIGN | dict(design or {})
    statistic = statistic_named(design["statistic"])
    key_theta, key_frames, key_depths, key_swaps = jax.random.split(key, 4)
    shape = (len(statistic.terms),)
    if parameters:
        theta = np.broadcast_to(np.asarray(parameters["theta"], float), shape)
    else:
        prior = resolve_priors(MODEL, priors)["theta"].distribution()
        theta = np.asarray(prior.sample(key_theta, shape))
    events = int(design["events"])
    frame = np.asarray(random_frames(key_frames, events))
    normal = np.asarray(jax.random.normal(key_depths, (events,)))
    depth = design["median_depth_km"] * np.exp(design["log_depth_spread"] * normal)
    place = paired(key_swaps, theta, frame, depth, statistic, int(design["sweeps"]))
    attributes = {"axes": "given", "exchanged": 0, "source": "simulated"}
    return {"theta": theta}, as_dataset(frame, depth[place], **attributes)


def replicate(key, values, dataset, *, statistic="frame_bingham"):
    """Pair the depths and mechanisms of a data set anew, at one posterior draw.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        ``theta`` (stat,).
    dataset : xarray.Dataset
    statistic : str
    """
    frame, depth = dataset["frame"].to_numpy(), dataset["depth"].to_numpy()
    chosen = statistic_named(statistic)
    place = paired(key, np.asarray(values["theta"]), frame, depth, chosen, DESIGN["sweeps"])
    kept = {name: dataset.attrs[name] for name in ("axes", "exchanged", "source")}
    return as_dataset(frame, depth[place], **kept)


def random_frames(key, events):
    """Return frames uniform over all rotations, (event, axis, xyz)."""
    first, second = jax.random.normal(key, (2, events, 3))
    first /= jnp.linalg.norm(first, axis=1, keepdims=True)
    second -= (first * second).sum(axis=1, keepdims=True) * first
    second /= jnp.linalg.norm(second, axis=1, keepdims=True)
    return jnp.stack([first, second], axis=1)


def paired(key, theta, frame, depth_km, statistic, sweeps):
    """Return which depth every frame gets, (event,)."""
    u = statistic.of_frames(frame) @ theta
    return np.asarray(swap(key, u, standardised(depth_km), sweeps))


@functools.partial(jax.jit, static_argnames="sweeps")
def swap(key, u, z, sweeps):
    """Draw a pairing of probability ∝ exp Σ u_i z_σ(i), by sweeps from a random one.

    Parameters
    ----------
    key : jax.random.key
    u, z : (event,)
    sweeps : int

    Returns
    -------
    sigma : (event,) of int
    """
    half = u.size // 2

    def sweep(sigma, key):
        key_pairs, key_accept = jax.random.split(key)
        order = jax.random.permutation(key_pairs, u.size)
        i, j = order[:half], order[half : 2 * half]
        gain = (u[i] - u[j]) * (z[sigma[j]] - z[sigma[i]])
        accepted = jnp.log(jax.random.uniform(key_accept, (half,))) < gain
        exchanged_i = jnp.where(accepted, sigma[j], sigma[i])
        exchanged_j = jnp.where(accepted, sigma[i], sigma[j])
        return sigma.at[i].set(exchanged_i).at[j].set(exchanged_j), None

    key_start, key_sweeps = jax.random.split(key)
    start = jax.random.permutation(key_start, u.size)
    return jax.lax.scan(sweep, start, jax.random.split(key_sweeps, sweeps))[0]
