r"""The minimum-information model of orientation and depth.

:math:`p(x, y) = e^{\theta^T h(x, y) - a(x) - b(y) - \psi} r(x) s(y)`: of all densities with the
marginals r and s that have a given mean of h it is the nearest to independence. The marginals
stay free; their empirical ones enter the likelihood of θ.
"""

import numpyro

from .likelihood import log_likelihood
from .statistics import eigenvalues

__all__ = ["orientation_dependence"]


def orientation_dependence(data, priors):
    """Declare the model on one set of mechanisms.

    Parameters
    ----------
    data : arrays.MechanismArrays
    priors : dict of numpyro.distributions.Distribution
        Prior of every component of ``theta``.
    """
    theta = numpyro.sample("theta", priors["theta"].expand([data.s.shape[-1]]).to_event(1))
    if data.forms.shape[-4]:
        numpyro.deterministic("eigenvalue", eigenvalues(theta, data.forms))
    numpyro.factor("log_likelihood", log_likelihood(theta, data))
