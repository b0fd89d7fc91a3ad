"""The scalars whose ranks and coverage are checked."""

from ..model import DIRECTIONS, placed
from ..simulation import of_shifts
from ..velocities import velocities

__all__ = ["calibrated"]

EVENTS = 3
"""Events that are ranked: all are alike."""


def calibrated(values, data):
    """Return scales, velocities and some hypocentres, by name.

    Parameters
    ----------
    values : mapping
        Of the parameters with priors at least.
    data : data.arrays.PickArrays
    """
    values = of_shifts(values, data)
    place = placed(values, data) | {"origin_time": values["origin_time"]}
    ranked = range(min(EVENTS, data.centre.shape[-1]))
    names = ("vp",) if data.log_vs is None else ("vp", "vs")
    two = len(data.sign) > 1
    shared = {name: values[name] for name in (("contrast", "profile_share") if two else ())}
    speed = velocities(values, data)
    ratio = {"vpvs": values["vpvs"]} if data.log_vs is None else {}
    return {
        **ratio,
        **shared,
        "tau": values["tau"],
        **(
            {}
            if data.population is None
            else {f"spread[{name}]": values["spread"][k] for k, name in enumerate(DIRECTIONS)}
        ),
        **({} if data.bends is None else {"bend_spread": values["bend_spread"]}),
        **({} if data.s_delay is None else {"mean_s_delay": values["mean_s_delay"]}),
        **{f"sigma[{phase}]": values["sigma"][k] for k, phase in enumerate("PS")},
        **{f"{name}[{k}]": speed[name][k] for name in names for k in range(len(data.tops))},
        **{f"{name}[{i}]": place[name][i] for name in place for i in ranked},
    }
