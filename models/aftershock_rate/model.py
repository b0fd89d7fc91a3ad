r"""The generative model of a detected aftershock sequence.

Aftershocks occur at the Omori-Utsu rate with Gutenberg-Richter magnitudes,
:math:`\lambda(t, M) = K (t + c)^{-p} \, \beta e^{-\beta (M - M_0)}`, and are detected with
probability :math:`\Phi((M - \mu(t)) / \sigma)`, where
:math:`\mu(t) = a + b_\mu x + g(x)` with :math:`x = \log_{10} t` and g a Matérn-3/2
Gaussian process. K and a are sampled through quantities that the data fix well:
the log number of events above magnitude 3 in the later half of the time grid, and μ
at its centre. Both shifts leave the prior of ln K and a as it is stated.
"""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions.transforms import AffineTransform

from bayesquake.physics.omori import log_omori_integral

from . import gp
from .likelihood import Parameters, log_likelihood

__all__ = ["MAGNITUDE_OF_COUNT", "aftershock_rate"]

MAGNITUDE_OF_COUNT = 3.0
"""log_N counts the events above this magnitude."""


def aftershock_rate(data, priors):
    """Declare the model on one catalogue.

    Parameters
    ----------
    data : grid.CatalogueArrays
        The padded catalogue on its time grid.
    priors : dict of numpyro.distributions.Distribution
        Priors of ``log_K``, ``p``, ``log_c``, ``beta``, ``log_sigma``, ``mu_1d``,
        ``mu_slope``, ``eta`` and ``ell``.
    """
    x_centre = 0.5 * (data.knots[0] + data.knots[-1])

    p = numpyro.sample("p", priors["p"])
    log_c = numpyro.sample("log_c", priors["log_c"])
    beta = numpyro.sample("beta", priors["beta"])
    log_sigma = numpyro.sample("log_sigma", priors["log_sigma"])
    eta = numpyro.sample("eta", priors["eta"])
    ell = numpyro.sample("ell", priors["ell"])

    log_N_over_K = log_omori_integral(10.0**x_centre, data.T, log_c, p) + beta * (
        data.M0 - MAGNITUDE_OF_COUNT
    )
    log_N = numpyro.sample("log_N", shifted(priors["log_K"], log_N_over_K))
    log_K = numpyro.deterministic("log_K", log_N - log_N_over_K)

    if data.mean_line is None:
        mu_slope = numpyro.sample("mu_slope", priors["mu_slope"])
        mu_center = numpyro.sample("mu_center", shifted(priors["mu_1d"], mu_slope * x_centre))
        mu_1d = numpyro.deterministic("mu_1d", mu_center - mu_slope * x_centre)
    else:
        mu_1d, mu_slope = data.mean_line
    z = numpyro.sample("z", dist.Normal().expand([gp.size(data.process)]).to_event(1))
    g = gp.knot_values(data.process, eta, ell, z)
    mu = numpyro.deterministic("mu", mu_1d + mu_slope * data.knots + g)

    numpyro.deterministic("K", jnp.exp(log_K))
    numpyro.deterministic("c", jnp.exp(log_c))
    numpyro.deterministic("b_value", beta / np.log(10))
    numpyro.deterministic("sigma", jnp.exp(log_sigma))
    numpyro.factor(
        "log_likelihood", log_likelihood(Parameters(log_K, p, log_c, beta, log_sigma, mu), data)
    )


def shifted(prior, offset):
    """Return the distribution of a prior's variable plus an offset."""
    return dist.TransformedDistribution(prior, AffineTransform(offset, 1.0))
