r"""The two-stage estimate of Omi et al. (2013), the yardstick of the joint model.

Convention: times are days after the main shock and magnitudes refer to its magnitude
M0, as in the joint model; magnitudes count as continuous. The first stage smooths the
50 % detection magnitude over the *event index*, so that time spacing does not matter,
from the magnitudes alone:

.. math:: \ln p(M, \mu) = \sum_i \left[\ln\beta - \beta (M_i - \mu_i)
          - \frac{\beta^2\sigma^2}{2} + \ln\Phi\frac{M_i - \mu_i}{\sigma}\right]
          - \frac{n - 2}{2} \ln 2\pi V - \frac{|D_2 \mu|^2}{2 V},

with :math:`D_2` the second difference. β, σ and V maximise its Laplace marginal. The
second stage freezes the shape, :math:`\mu = \hat\mu + \mu_1`, and maximises the
likelihood of times and magnitudes times the priors over β, μ₁, σ, K, p and c, with μ
constant on :math:`(t_{i-1}, t_i]` and after the last event. Priors of c and σ are
densities in c and σ (not in their logs); K and μ₁ are flat.

References: Omi et al. 2013, doi:10.1038/srep02218.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.optimize import minimize
from scipy.special import log_ndtr

from bayesquake.errors import BayesquakeError, OptionError, PriorError
from bayesquake.model.priors import read_priors, resolved
from bayesquake.physics.detection_function import log_detected_density, log_detected_fraction
from bayesquake.physics.omori import log_exprel, omori_utsu_log_rate

from .forecast import log_expected_count
from .priors import PRIORS as DEFAULTS

__all__ = ["TwoStageFit", "fit_two_stage"]

PRIORS = ("p", "log_c", "beta", "log_sigma")
LARGEST_STEP = 1.0
"""Newton steps in μ are shortened to at most this (mag)."""

NEWTON_ITERATIONS = 200
NEWTON_TOLERANCE = 1e-9
"""Convergence of μ (mag): the next Newton step would be its square."""

LARGEST_GAIN = 1e-8
"""The log posterior that a further Newton step of the second stage may still gain."""

HESSIAN_STEP = 1e-5
"""Half step of the central differences of the gradient: relative error near 1e-9."""

SMALLEST_V, V_SCALE = 5e-8, 1e-8
"""Soft floor of V: the term exp(-(V - 5e-8) / 1e-8) is subtracted (mag²)."""

SMOOTHNESS_STARTS = 10.0 ** np.arange(-7, 0)
"""Variances V of the second difference (mag²) of which the most probable starts the first stage."""


@dataclasses.dataclass(frozen=True)
class TwoStageFit:
    """Maximum a posteriori estimate of the two stages.

    Attributes
    ----------
    beta, sigma, K, p, c : float
        β (1/mag), width of the detection curve (mag), productivity (day^(p-1)),
        exponent, and c (day) of the second stage.
    mu1 : float
        Shift of the first-stage detection curve (mag).
    mu : (event,)
        50 % detection magnitude at the events, including the shift (mag).
    V : float
        Variance of its second difference over the event index (mag²).
    first_stage : dict
        ``beta`` (1/mag), ``sigma`` (mag) and ``log_marginal`` of the first stage, the last
        with the priors of β and σ.
    log_posterior : float
        Log of likelihood times normalised priors at the maximum.
    standard_errors : dict
        Laplace standard errors of beta, mu1, sigma, K, p and c with the shape of μ held.
    M0 : float
        Main-shock magnitude, the reference of K.
    """

    beta: float
    sigma: float
    K: float
    p: float
    c: float
    mu1: float
    mu: np.ndarray
    V: float
    first_stage: dict
    log_posterior: float
    standard_errors: dict
    M0: float

    def expected_count(self, start, end, magnitude):
        """Return the expected true events above a magnitude between two times (day)."""
        values = {
            "log_K": np.log(self.K),
            "p": self.p,
            "log_c": np.log(self.c),
            "beta": self.beta,
        }
        return np.exp(log_expected_count(values, self.M0, start, end, magnitude))


def fit_two_stage(dataset, *, priors=None):
    """Fit a catalogue by the two-stage method.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `data.read` or `simulate`: ``t`` (day), ``mag`` on dim ``event``; attributes
        ``M0``, ``T`` (day), ``Mc``.
    priors : mapping or path, optional
        Changes to the priors of ``p``, ``log_c``, ``beta`` and ``log_sigma``.

    Returns
    -------
    TwoStageFit

    Raises
    ------
    PriorError
        A prior of another parameter is given, or a distribution cannot be used.
    OptionError
        The catalogue was cut at a completeness magnitude, which the method does not know.
    BayesquakeError
        A maximisation did not converge.
    """
    priors = two_stage_priors(priors)
    if not np.isnan(dataset.attrs["Mc"]):
        raise OptionError(
            f"the catalogue is cut at Mc = {dataset.attrs['Mc']:g}, and the two-stage method "
            "models whole catalogues; read it without completeness_magnitude"
        )
    t, magnitude = np.asarray(dataset["t"], float), np.asarray(dataset["mag"], float)
    M0, T = float(dataset.attrs["M0"]), float(dataset.attrs["T"])

    first, mu0 = smooth_detection(magnitude, priors)
    values, covariance, log_posterior = maximise_rate(t, magnitude, M0, T, mu0, first, priors)
    log_K, p, log_c, beta, log_sigma, mu1 = values
    spread = np.sqrt(np.diag(covariance))
    K, c, sigma = np.exp(log_K), np.exp(log_c), np.exp(log_sigma)
    return TwoStageFit(
        beta=float(beta),
        sigma=float(sigma),
        K=float(K),
        p=float(p),
        c=float(c),
        mu1=float(mu1),
        mu=mu0 + mu1,
        V=first["V"],
        first_stage={name: first[name] for name in ("beta", "sigma", "log_marginal")},
        log_posterior=log_posterior,
        # The posterior is stationary in its own coordinates, where exp is locally linear.
        standard_errors=dict(
            zip(
                ("K", "p", "c", "beta", "sigma", "mu1"),
                (spread * [K, 1, c, 1, sigma, 1]).tolist(),
                strict=True,
            )
        ),
        M0=M0,
    )


def two_stage_priors(overrides):
    """Return the four priors as NumPyro distributions, of p, ln c, β and ln σ."""
    if overrides is not None and not hasattr(overrides, "items"):
        overrides = read_priors(overrides)
    unknown = [name for name in overrides or {} if name not in PRIORS]
    if unknown:
        raise PriorError(
            f"the two-stage fit has no prior named {unknown[0]!r}; choose from {', '.join(PRIORS)}"
        )
    chosen = resolved(DEFAULTS, overrides, "aftershock_rate")
    return {name: chosen[name].distribution() for name in PRIORS}


def smooth_detection(magnitude, priors):
    """Estimate the detection curve from the magnitudes alone (first stage).

    Parameters
    ----------
    magnitude : (event,)
        Magnitudes in the order of time.
    priors : dict of numpyro.distributions.Distribution

    Returns
    -------
    values : dict
        ``beta`` (1/mag), ``sigma`` (mag), ``V`` (mag²), ``log_marginal``.
    mu : (event,)
        Most probable 50 % detection magnitude at those values.
    """
    log_prior = jax.jit(lambda beta, log_sigma: detection_log_prior(priors, beta, log_sigma))
    mu = np.full(magnitude.shape, magnitude.mean())

    def negative_log_marginal(values):
        nonlocal mu
        beta, log_sigma, log_V = values
        # Below V_SCALE the soft floor costs 55 and the banded solve loses its digits.
        if not (beta > 0 and log_V > np.log(V_SCALE)):
            return np.inf
        log_marginal, mu = laplace_marginal(magnitude, beta, log_sigma, log_V, mu)
        return -log_marginal - float(log_prior(beta, log_sigma))

    typical = float(priors["beta"].mean), float(priors["log_sigma"].mean)
    starts = [np.array([*typical, np.log(V)]) for V in SMOOTHNESS_STARTS]
    best = minimize(
        negative_log_marginal,
        min(starts, key=negative_log_marginal),
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-8, "maxiter": 2000},
    )
    if not (best.success and np.isfinite(best.fun)):
        raise BayesquakeError(
            f"the first stage of the two-stage fit found no maximum in β, σ and V "
            f"({best.message}); check the magnitudes for gross errors"
        )
    beta, log_sigma, log_V = best.x
    _, mu = laplace_marginal(magnitude, beta, log_sigma, log_V, mu)
    values = {
        "beta": float(beta),
        "sigma": float(np.exp(log_sigma)),
        "V": float(np.exp(log_V)),
        "log_marginal": -float(best.fun),
    }
    return values, mu


def detection_log_prior(priors, beta, log_sigma):
    """Return the log prior density of β and σ (the latter per magnitude unit)."""
    return priors["beta"].log_prob(beta) + priors["log_sigma"].log_prob(log_sigma) - log_sigma


def laplace_marginal(magnitude, beta, log_sigma, log_V, mu):
    """Integrate μ out of the first stage by Laplace's method.

    Parameters
    ----------
    magnitude : (event,)
    beta, log_sigma, log_V : floats
        β (1/mag), ln σ (σ: mag), ln V (V: mag²).
    mu : (event,)
        Where Newton's method starts (mag).

    Returns
    -------
    log_marginal : float
        With the soft floor of V, without priors.
    mu : (event,)
        The most probable μ.

    Raises
    ------
    BayesquakeError
        Newton's method did not converge.
    """
    sigma, V = np.exp(log_sigma), np.exp(log_V)
    n = magnitude.size
    roughness = second_difference_gram(n)
    for _ in range(NEWTON_ITERATIONS):
        z = (magnitude - mu) / sigma
        hazard = np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(z))
        curvature = roughness / V
        curvature[-1] += hazard * (z + hazard) / sigma**2
        factor = cholesky_banded(curvature)
        gradient = beta - hazard / sigma - apply_roughness(mu) / V
        step = cho_solve_banded((factor, False), gradient)
        largest = np.abs(step).max()
        mu = mu + step * min(1.0, LARGEST_STEP / max(largest, LARGEST_STEP))
        if largest < NEWTON_TOLERANCE:
            break
    else:
        raise BayesquakeError(
            f"the detection curve did not converge at β = {beta:.3g}, σ = {sigma:.3g}, "
            f"V = {V:.3g}; check the magnitudes for gross errors"
        )
    penalised = (
        n * (np.log(beta) - 0.5 * (beta * sigma) ** 2)
        + np.sum(-beta * (magnitude - mu) + log_ndtr((magnitude - mu) / sigma))
        - 0.5 * (n - 2) * np.log(2 * np.pi * V)
        - np.sum(np.diff(mu, 2) ** 2) / (2 * V)
    )
    half_log_determinant = np.log(factor[-1]).sum()
    floor = np.exp(-(V - SMALLEST_V) / V_SCALE)
    return penalised + 0.5 * n * np.log(2 * np.pi) - half_log_determinant - floor, mu


def second_difference_gram(n):
    """Return D₂ᵀD₂ in upper banded storage, (3, event)."""
    inner = np.ones(n - 2)
    diagonal, first, second = np.zeros(n), np.zeros(n), np.zeros(n)
    diagonal[:-2] += inner
    diagonal[1:-1] += 4 * inner
    diagonal[2:] += inner
    first[1:-1] -= 2 * inner
    first[2:] -= 2 * inner
    second[2:] += inner
    return np.stack([second, first, diagonal])


def apply_roughness(mu):
    """Return D₂ᵀD₂ μ, (event,)."""
    difference = np.diff(mu, 2)
    result = np.zeros_like(mu)
    result[:-2] += difference
    result[1:-1] -= 2 * difference
    result[2:] += difference
    return result


def maximise_rate(t, magnitude, M0, T, mu0, first, priors):
    """Maximise the posterior with the shape of μ held (second stage).

    Returns
    -------
    values : (6,)
        ln K (K: day^(p-1)), p, ln c (c: day), β (1/mag), ln σ (σ: mag), μ₁ (mag).
    covariance : (6, 6)
        Inverse curvature at the maximum, in the same coordinates.
    log_posterior : float

    Raises
    ------
    BayesquakeError
        The maximisation did not converge.
    """
    edges = np.concatenate([[0.0], t, [T]])
    mu_of_interval = np.append(mu0, mu0[-1])
    density = functools.partial(
        second_stage_log_density,
        arrays=(t, magnitude, mu0, edges[:-1], edges[1:], mu_of_interval),
        M0=M0,
        priors=priors,
    )
    value_and_gradient = jax.jit(jax.value_and_grad(lambda values: -density(values)))

    def gradient(values):
        return np.asarray(value_and_gradient(values)[1])

    def hessian(values):
        steps = HESSIAN_STEP * np.eye(values.size)
        rows = [gradient(values + step) - gradient(values - step) for step in steps]
        return (np.array(rows) + np.array(rows).T) / (4 * HESSIAN_STEP)

    log_sigma = np.log(first["sigma"])
    values = np.array([0.0, priors["p"].mean, priors["log_c"].mean, first["beta"], log_sigma, 0.0])
    expected_at_unit_K = t.size + gradient(values)[0]
    values[0] = np.log(t.size / expected_at_unit_K)
    found = minimize(
        lambda values: float(value_and_gradient(values)[0]),
        values,
        jac=gradient,
        hess=hessian,
        method="trust-exact",
        options={"gtol": 1e-6, "maxiter": 500},
    )
    # Judged by the gain still to be had: the optimiser itself gives up at rounding error.
    covariance = np.linalg.inv(hessian(found.x))
    gain = 0.5 * gradient(found.x) @ covariance @ gradient(found.x)
    if not (0 <= gain < LARGEST_GAIN and (np.diag(covariance) > 0).all()):
        raise BayesquakeError(
            f"the second stage of the two-stage fit did not converge ({found.message}); "
            "tighten the priors of p and log_c"
        )
    return found.x, covariance, -float(found.fun)


def second_stage_log_density(values, *, arrays, M0, priors):
    """Return the log of likelihood times priors; μ is constant between events.

    Parameters
    ----------
    values : (6,)
        ln K, p, ln c, β, ln σ, μ₁.
    arrays : tuple
        Times (day), magnitudes and first-stage μ of the events, each (event,); start and
        end (day) and first-stage μ of the intervals between them, each (event + 1,).
    M0 : float
    priors : dict of numpyro.distributions.Distribution
    """
    log_K, p, log_c, beta, log_sigma, mu1 = values
    t, magnitude, mu0, start, end, mu_of_interval = arrays
    sigma, c, q = jnp.exp(log_sigma), jnp.exp(log_c), 1 - p

    events = omori_utsu_log_rate(t, log_K, log_c, p) + log_detected_density(
        magnitude, mu0 + mu1, sigma, beta, M0
    )
    # Intervals between simultaneous events are empty, so the integral is not taken in logs.
    span = jnp.log1p((end - start) / (start + c))
    omori_integral = span * jnp.exp(q * jnp.log(start + c) + log_exprel(q * span))
    seen = jnp.exp(log_K + log_detected_fraction(mu_of_interval + mu1, sigma, beta, M0))
    return (
        events.sum()
        - (seen * omori_integral).sum()
        + priors["p"].log_prob(p)
        + (priors["log_c"].log_prob(log_c) - log_c)
        + detection_log_prior(priors, beta, log_sigma)
    )
