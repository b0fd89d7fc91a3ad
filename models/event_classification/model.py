r"""The generative model: a space-time ETAS process with magnitudes.

.. math:: \lambda(t, x) = \mu(x) + \sum_{t_j < t} g(t - t_j, |x - x_j|, \Delta m_j)

with the triggering of module `triggering` and the background of module `background`.
Magnitudes above m_ref are exponential with rate β, truncated at M. An event's class,
background or offspring of one earlier event, is integrated out; given the parameters the
classes of all events are independent (module `classification`). The prior weighs against
branching ratios above one by :math:`-(\max(n - 1, 0)/0.05)^2/2`.
"""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions.transforms import OrderedTransform

from .background import Field
from .likelihood import log_likelihood, log_magnitude_density
from .parameters import NATURAL, natural_values, scalar_sites

__all__ = ["SUPERCRITICAL_SCALE", "event_classification", "log_subcritical"]

SUPERCRITICAL_SCALE = 0.05
"""How far above one the branching ratio may reach, as a standard deviation."""


def event_classification(data, priors):
    """Declare the model on one catalogue.

    Parameters
    ----------
    data : arrays.Catalogue
    priors : dict of numpyro.distributions.Distribution
        Those of the sites that the form has, by name.
    """
    field = isinstance(data.background, Field)
    names = scalar_sites(
        taper=data.form is not None, space=data.events.position is not None, field=field
    )
    sites = {name: numpyro.sample(name, priors[name]) for name in names}
    values = natural_values(sites, data.magnitudes.span)
    for name in NATURAL:
        if name in values:
            numpyro.deterministic(name, values[name])
    if field:
        size = data.background.at_events.shape[1]
        values["z"] = numpyro.sample("z", dist.Normal().expand([size]).to_event(1))
    if data.classes is not None:
        values |= mark_parameters(data, priors)

    numpyro.factor("subcritical", log_subcritical(values["branching_ratio"]))
    numpyro.factor("log_likelihood", log_likelihood(values, data))
    numpyro.factor("magnitudes", log_magnitude_density(values["beta"], data.magnitudes))


def log_subcritical(n_br):
    """Return the log of the factor that weighs against branching ratios above one."""
    return -0.5 * (jnp.maximum(n_br - 1, 0.0) / SUPERCRITICAL_SCALE) ** 2


def mark_parameters(data, priors):
    """Declare the marks of background classes and of offspring, in standard deviations of marks.

    Classes are in ascending order of the mean of their first mark, which tells them apart: the
    prior is that of the first mean and of the logs of the distances between neighbours.
    """
    classes, marks = data.classes.shape[0], data.events.marks.shape[0]

    def sample(name, shape, transform=None):
        distribution = priors[name].expand(shape).to_event(len(shape))
        if transform is not None:
            distribution = dist.TransformedDistribution(distribution, transform)
        return numpyro.sample(name, distribution)

    mean = sample("class_mean", [classes], OrderedTransform())[:, None]
    if marks > 1:
        further = sample("class_mean_further", [classes, marks - 1])
        mean = jnp.concatenate([mean, further], axis=1)
    weight = dist.Dirichlet(jnp.ones(classes))
    width = jnp.exp(sample("log_class_width", [classes, marks]))
    return {
        "class_means": numpyro.deterministic("class_means", mean),
        "class_widths": numpyro.deterministic("class_widths", width),
        "class_weight": numpyro.sample("class_weight", weight),
        "mark_width": numpyro.deterministic(
            "mark_width", jnp.exp(sample("log_mark_width", [marks]))
        ),
    }
