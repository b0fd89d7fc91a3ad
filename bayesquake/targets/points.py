"""Parameters that their priors fix: no sites of the sampled space, but still in the result."""

import jax
import numpyro.distributions as dist
from numpyro.primitives import Messenger

__all__ = ["at_points"]


class at_points(Messenger):
    """Turn sites whose distribution is one point into deterministic values.

    A distribution that is a point moved by a transform, or as an array, counts.
    """

    def process_message(self, message):
        """Give a site its only value."""
        if message["type"] == "sample" and not message["is_observed"]:
            distribution = message["fn"]
            if message["value"] is None and _is_point(distribution):
                message["type"] = "deterministic"
                message["value"] = distribution.sample(jax.random.key(0))


def _is_point(distribution):
    inner = getattr(distribution, "base_dist", None)
    return isinstance(distribution, dist.Delta) or (inner is not None and _is_point(inner))
