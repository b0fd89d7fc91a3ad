"""The velocity profiles of the stations, changed one by one after the search for the mode.

Once station terms and hypocentres have followed, a station that was given the wrong profile hardly
shows it, and its label seems certain. Each is therefore tried with the other profile, all unknowns
climbing again, and the change stands that makes the Gaussian around the mode hold most.
"""

import jax
import jax.numpy as jnp

from .search import all_at_once, evidence_at, probable_profiles, scales, with_profiles

__all__ = ["relabelled"]

CLIMBS = 2
"""Climbs with all unknowns, and settings of the scales, after each change."""

MOST_SWEEPS = 20


def relabelled(base, position, arrow, data, priors):
    """Return the mode with the best profiles of the stations, and H there.

    In each sweep all stations are tried one by one; together, those that were better by themselves
    in the last one; and all at once with the contrast of the layers turned around.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
        The model in its own unconstrained coordinates.
    position : (dim,)
        Where the search has ended.
    arrow : physics.arrow.Arrow
        H there.
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution

    Returns
    -------
    position : (dim,)
    arrow : physics.arrow.Arrow
    """

    def climbed(position, arrow, member):
        known = with_profiles(data, member)
        level = jnp.zeros_like(position)

        def again(_, carry):
            there = all_at_once(base, carry[0], level, known, priors)
            return scales(base, there, known, priors)

        there, arrow = jax.lax.fori_loop(0, CLIMBS, again, (position, arrow))
        return there, arrow, evidence_at(base, there, arrow, known)

    def unfinished(carry):
        *_, won, sweeps = carry
        return won & (sweeps < MOST_SWEEPS)

    def sweep(carry):
        found, member, better, _, sweeps = carry
        position, arrow, evidence = found
        alone = jnp.eye(len(better), dtype=bool)
        flips = jnp.concatenate([alone, better[None], jnp.ones_like(better)[None]])
        members = jnp.where(flips[:, None], 1 - member, member)
        around = turned_around(base, position, data, priors)
        positions = jnp.tile(position, (len(flips), 1)).at[-1].set(around)
        there = jax.lax.map(lambda one: climbed(one[0], arrow, one[1]), (positions, members))
        best = jnp.argmax(there[-1])
        won = there[-1][best] > evidence
        better = won & (there[-1][: len(better)] > evidence) & ~flips[best]
        chosen = jax.tree.map(lambda new, old: jnp.where(won, new[best], old), there, found)
        return chosen, jnp.where(won, members[best], member), better, won, sweeps + 1

    member = jnp.round(probable_profiles(base, position, data))
    none = jnp.zeros(member.shape[1], bool)
    carry = (position, arrow, -jnp.inf), member, none, True, 0
    return jax.lax.while_loop(unfinished, sweep, carry)[0][:2]


def turned_around(base, position, data, priors):
    """Return a position with the opposite contrast in every layer, as far as the order allows."""
    values = base.constrain(position, data)
    contrast = jnp.full_like(values["contrast"], priors["contrast"].mean)
    layers = {"contrast": contrast, "layer_contrast": -values["layer_contrast"]}
    return base.unconstrain({**values, **layers}, data)
