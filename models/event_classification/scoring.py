r"""Log scores of events after the fit, in time and in space.

A window after that of the fit is scored as the likelihood scores its own: with all earlier
events as sources, the same reference magnitude, and the time from the last event to the end of
the window counted. With :math:`\Lambda(t) = \int_S \lambda(t, x)\,dx`,

.. math:: \ln L = \Big[\sum_i \ln \Lambda(t_i) - \int \Lambda\,dt\Big]
          + \sum_i \ln \frac{\lambda(t_i, x_i)}{\Lambda(t_i)},

what the times score, and what the places, with marks if there are any, score given the times.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayesquake.io.catalog import content_hash

from .arrays import mark_units
from .background import expected_background
from .compensator import inside_polygon
from .likelihood import expected_events, log_intensity
from .pairs import over_tiles, pair_rates, tile_size
from .triggering import triggering_kernel

__all__ = ["held_out_scores", "score_parts", "window_after"]


class Sources(NamedTuple):
    """Events and the share of their offspring inside the polygon."""

    events: Any
    inside: Any


def window_after(dataset, start, end):
    """Return a data set whose targets are the events of a polygon in another window.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of all events, to the end of that window or later.
    start, end : float
        Days.

    Returns
    -------
    xarray.Dataset
        Without the events after the end; those before the start are history. Marks keep the units
        that they have in the whole.
    """
    kept = dataset.isel(event=dataset["time_days"].to_numpy() <= end)
    if kept.attrs.get("marks"):
        _, centre, scale = mark_units(dataset)
        kept = kept.assign_attrs(mark_means=centre, mark_sds=scale)
    target = (kept["target"] == 1) & (kept["time_days"] >= start)
    kept = kept.assign(
        target=target.astype(kept["target"].dtype).assign_attrs(kept["target"].attrs)
    )
    kept = kept.assign_attrs(T0=float(start), T1=float(end))
    columns = ("time_days", "x_km", "y_km", "magnitude", "target", "polygon")
    window = [kept.attrs[name] for name in ("T0", "T1", "m_c", "delta_m")]
    return kept.assign_attrs(content_hash=content_hash(*(kept[x] for x in columns), window))


def rate_in_polygon(values, data):
    """Return Λ at the time of every event, (event,), in 1/day."""
    kernel = triggering_kernel(values, space=False)._replace(log_mark_width=None)
    events = data.events._replace(position=None, curvature=None, marks=None)

    def add(total, sources, targets):
        return total + pair_rates(kernel, targets.events, sources.events) @ sources.inside

    size = data.events.time.size
    sources = Sources(events, jnp.broadcast_to(inside_polygon(values, data), (size,)))
    triggered = over_tiles(add, jnp.zeros(tile_size(size)), sources, size)
    background = expected_background(values, data.background, data.area, data.duration)
    return background / data.duration + triggered


def score_parts(values, data):
    """Return the log likelihood of the times, and that of the places given the times.

    Parameters
    ----------
    values : mapping
        Constrained parameters.
    data : arrays.Catalogue
        Of a form with space.
    """
    log_in_polygon = jnp.log(rate_in_polygon(values, data))
    in_time = (data.target * log_in_polygon).sum() - expected_events(values, data)
    in_space = jnp.where(data.target > 0, log_intensity(values, data) - log_in_polygon, 0.0)
    return in_time, in_space.sum()


@jax.jit
def _of_draws(values, data):
    return jax.lax.map(lambda draw: score_parts(draw, data), values)


def held_out_scores(values, data):
    """Score a window by the mean over the posterior of its likelihood.

    Parameters
    ----------
    values : mapping
        Constrained draws, each (draw, ...); one draw is a plugged-in parameter vector.
    data : arrays.Catalogue
        Of the held-out window, see `window_after`; with a constant background or a field, for a
        kernel density would be made of the very events that it scores.

    Returns
    -------
    xarray.Dataset
        ``total``, ``time`` and ``space``, in nats per target event: the logs of the posterior
        means of the likelihood, of the part of the times, and of the part of the places.
    """
    count = float(data.target.sum())
    parts = [np.asarray(part) for part in _of_draws(values, data)]
    scored = {"total": parts[0] + parts[1], "time": parts[0], "space": parts[1]}
    return xr.Dataset(
        {
            name: (
                (),
                float((logsumexp(part) - np.log(part.size)) / count),
                {"units": "nat", "long_name": f"log score per event, {name}"},
            )
            for name, part in scored.items()
        }
    )
