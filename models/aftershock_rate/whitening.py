r"""Conditional whitening: the coordinates in which the posterior is nearly round.

The linear latents :math:`v = (\mu_{center}, b_\mu, z)` make the detection curve
:math:`\mu = B(\eta, \ell)\,v` at the knots. The core parameters
:math:`\theta = (p, \ln c, \beta, \ln\sigma, \ln N)` are standardised around a reference
mode, :math:`\theta = \hat\theta + L u`. Given η, ℓ and θ the posterior of v is nearly
Gaussian with precision :math:`C C^T = P_0 + B^T H B`, where H is the curvature of ln L in
μ at the mode, and the sampler moves in

.. math:: r = C^T v - C^{-1}\left[B^T (h + J L u) + P_0 m_0\right], \qquad
          h = H\hat\mu + \partial_\mu \ln L, \quad J = \partial_\mu \partial_\theta \ln L,

so that u and r are nearly standard normal whatever η and ℓ are. This removes the funnel
in η and the ridge between the first basis functions and the line. The map is exact, with
log Jacobian :math:`\sum_j \ln L_{jj} - \sum_j \ln C_{jj}`, for any fixed H, h, J and L: a
poor mode costs speed, never correctness. They are computed once per catalogue, with η and
ℓ held.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from . import gp
from .likelihood import Parameters, log_likelihood
from .model import MAGNITUDE_OF_COUNT

__all__ = ["Curvature", "condition", "forward", "initial", "inverse", "start"]

REFERENCE_ETA, REFERENCE_ELL = 0.3, 0.7
"""Amplitude (mag) and length (decade) of g held while the reference mode is sought."""

LOWEST_PRECISION = 0.1
"""Smallest eigenvalue kept in the precision of the core: a standard deviation of 3."""

START_SPREAD = 1.5
"""Spread of the starting points, in posterior standard deviations of the core."""

CORE = ("p", "log_c", "beta", "log_sigma", "log_N")
HELD = ("eta", "ell")
LINEAR = ("mu_center", "mu_slope", "z")


class Curvature(NamedTuple):
    """What the map needs beyond the catalogue, with A = [1, x - x_c, E] the fixed design.

    Attributes
    ----------
    precision : (latent, latent)
        AᵀHA.
    information : (latent,)
        Aᵀh.
    core_information : (latent, core)
        AᵀJL.
    prior_precision, prior_information : (latent, latent), (latent,)
        P0 and P0 m0 of v = (mu_center, mu_slope, z).
    core_mode, core_root : dict of scalars, (core, core)
        Mode and L of the unconstrained core, those of its parameters that are not fixed.
    held_mode : dict of scalars
        Unconstrained reference values of η and ℓ, where they are not fixed.
    """

    precision: Any
    information: Any
    core_information: Any
    prior_precision: Any
    prior_information: Any
    core_mode: Any
    core_root: Any
    held_mode: Any


def start(base, data, priors):
    """Return a position from which the reference mode is easily reached."""
    return base.unconstrain(_starting_values(data, priors), data)


def condition(base, data, priors, mode):
    """Return the data with the whitening arrays of their reference mode.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
        The model in its own unconstrained coordinates.
    data : grid.CatalogueArrays
    priors : dict of numpyro.distributions.Distribution
    mode : (dim,)
        Reference mode, in those coordinates, with η and ℓ as in `start`.
    """
    mode = base.unravel(mode)
    core_mode = {name: mode[name] for name in CORE if name in mode}

    def log_posterior(core):
        return base.log_density(base.ravel({**mode, **_named(core, core_mode)}), data)

    def log_likelihood_of(core, mu):
        values = base.constrain(base.ravel({**mode, **_named(core, core_mode)}), data)
        core_parameters = {name: values[name] for name in Parameters._fields if name != "mu"}
        return log_likelihood(Parameters(**core_parameters, mu=mu), data)

    core = _vector(mode, core_mode)
    values = base.constrain(base.ravel(mode), data)
    mu = values["mu"]

    A = _design(data)
    slope = jax.grad(log_likelihood_of, argnums=1)
    H = _at_least(-_tridiagonal_hessian(lambda m: slope(core, m), mu), 0.0)
    h = H @ mu + slope(core, mu)
    if data.mean_line is not None:
        intercept, gradient = data.mean_line
        h = h - H @ (intercept + gradient * data.knots)
    J = jax.jacfwd(slope)(core, mu)
    P0, m0 = _prior_of_latents(data, priors)
    held_mode = {name: mode[name] for name in HELD if name in mode}
    without_core = Curvature(
        A.T @ H @ A, A.T @ h, A.T @ J, P0, P0 @ m0, core_mode, jnp.eye(len(core)), held_mode
    )
    _, BtJ, C = _informations(values, without_core, data)
    explained = solve_triangular(C, BtJ, lower=True)
    core_curvature = -jax.hessian(log_posterior)(core)
    core_precision = _at_least(core_curvature - explained.T @ explained, LOWEST_PRECISION)
    L = jnp.linalg.cholesky(jnp.linalg.inv(core_precision))
    return data._replace(
        whitening=without_core._replace(
            core_information=A.T @ J @ L,
            core_root=L,
        )
    )


def forward(sites, values, data):
    """Map whitened unconstrained sites to the model's own.

    Parameters
    ----------
    sites : dict of arrays
        Unconstrained sites, with u in place of the core and r of (mu_center, mu_slope, z).
    values : dict of arrays
        Constrained sites, of which ``eta`` and ``ell`` are read.
    data : grid.CatalogueArrays

    Returns
    -------
    sites : dict of arrays
    log_determinant : scalar
        Σ ln L_jj - Σ ln C_jj.
    """
    w = data.whitening
    u = _vector(sites, w.core_mode)
    information, BtJL, C = _informations(values, w, data)
    centre = solve_triangular(C, information + BtJL @ u, lower=True)
    v = solve_triangular(C, centre + _pack(sites), lower=True, trans="T")
    log_determinant = _log_diagonal(w.core_root) - _log_diagonal(C)
    core = _named(_vector(w.core_mode, w.core_mode) + w.core_root @ u, w.core_mode)
    return {**sites, **core, **_unpack(v, sites)}, log_determinant


def inverse(sites, values, data):
    """Map the model's unconstrained sites to whitened ones, the inverse of `forward`."""
    w = data.whitening
    shift = _vector(sites, w.core_mode) - _vector(w.core_mode, w.core_mode)
    u = solve_triangular(w.core_root, shift, lower=True)
    information, BtJL, C = _informations(values, w, data)
    centre = solve_triangular(C, information + BtJL @ u, lower=True)
    return {**sites, **_named(u, w.core_mode), **_unpack(C.T @ _pack(sites) - centre, sites)}


def initial(key, data):
    """Return whitened unconstrained sites dispersed around the reference mode."""
    key_core, key_held, key_latent = jax.random.split(key, 3)
    w = data.whitening
    u = START_SPREAD * jax.random.normal(key_core, (len(w.core_mode),))
    noise = 0.5 * jax.random.normal(key_held, (len(w.held_mode),))
    held = _named(_vector(w.held_mode, w.held_mode) + noise, w.held_mode)
    r = jax.random.normal(key_latent, w.information.shape)
    sites = {} if data.mean_line is not None else {"mu_center": 0.0, "mu_slope": 0.0}
    return {**_named(u, w.core_mode), **held, **_unpack(r, sites)}


def _informations(values, curvature, data):
    """Return Bᵀh + P0 m0, BᵀJL and C at the given η and ℓ."""
    lines = curvature.precision.shape[0] - gp.size(data.process)
    S = gp.coefficient_root(data.process, values["eta"], values["ell"])
    if S.ndim == 1:
        D = jnp.concatenate([jnp.ones(lines), S])
        BtHB = D[:, None] * curvature.precision * D
        Bth, BtJL = D * curvature.information, D[:, None] * curvature.core_information
    else:
        D = jax.scipy.linalg.block_diag(jnp.eye(lines), S)
        BtHB = D.T @ curvature.precision @ D
        Bth, BtJL = D.T @ curvature.information, D.T @ curvature.core_information
    C = jnp.linalg.cholesky(curvature.prior_precision + BtHB)
    return Bth + curvature.prior_information, BtJL, C


def _log_diagonal(triangle):
    return jnp.log(jnp.diagonal(triangle)).sum()


def _vector(sites, among):
    """Return those sites that are among others, in the order of the module's names."""
    return jnp.stack([sites[name] for name in (*CORE, *HELD) if name in among])


def _named(vector, among):
    """Return the components of a vector under their names, the inverse of `_vector`."""
    names = [name for name in (*CORE, *HELD) if name in among]
    return dict(zip(names, vector, strict=True))


def _pack(sites):
    return jnp.concatenate([jnp.atleast_1d(sites[name]) for name in LINEAR if name in sites])


def _unpack(v, sites):
    if "mu_center" not in sites:
        return {"z": v}
    return {"mu_center": v[0], "mu_slope": v[1], "z": v[2:]}


def _design(data):
    """Return A = [1, x - x_c, E] at the knots, (knot, latent)."""
    knots = jnp.asarray(data.knots)
    E = (
        data.process.functions
        if isinstance(data.process, gp.HilbertProcess)
        else jnp.eye(knots.shape[0])
    )
    if data.mean_line is not None:
        return jnp.asarray(E)
    x = knots - 0.5 * (knots[0] + knots[-1])
    return jnp.concatenate([jnp.ones_like(x)[:, None], x[:, None], E], axis=1)


def _prior_of_latents(data, priors):
    """Return a Gaussian precision and mean for v; exact where the priors are normal."""
    latents = gp.size(data.process)
    if data.mean_line is not None:
        return jnp.eye(latents), jnp.zeros(latents)
    x_centre = 0.5 * (data.knots[0] + data.knots[-1])
    precision_a = 1 / priors["mu_1d"].variance
    precision_b = 1 / priors["mu_slope"].variance
    line = jnp.array(
        [
            [precision_a, -x_centre * precision_a],
            [-x_centre * precision_a, x_centre**2 * precision_a + precision_b],
        ]
    )
    slope = priors["mu_slope"].mean
    mean = jnp.zeros(latents + 2).at[0].set(priors["mu_1d"].mean + slope * x_centre)
    return jax.scipy.linalg.block_diag(line, jnp.eye(latents)), mean.at[1].set(slope)


def _starting_values(data, priors):
    """Return constrained sites from which the mode is easily reached."""
    observed = data.mask.sum()
    ranked = jnp.sort(jnp.where(data.mask > 0, data.magnitude, jnp.inf))
    typical = ranked[(0.3 * observed).astype(int)]
    slope = priors["mu_slope"].mean
    beta = priors["beta"].mean
    line = {} if data.mean_line is not None else {"mu_center": typical, "mu_slope": slope}
    return line | {
        "p": priors["p"].mean,
        "log_c": priors["log_c"].mean,
        "beta": beta,
        "log_sigma": priors["log_sigma"].mean,
        "log_N": jnp.log(observed) + beta * (typical - MAGNITUDE_OF_COUNT),
        "eta": jnp.asarray(REFERENCE_ETA),
        "ell": jnp.asarray(REFERENCE_ELL),
        "z": jnp.zeros(gp.size(data.process)),
    }


def _tridiagonal_hessian(gradient, mu):
    """Return the Hessian in μ, tridiagonal by construction, from three products."""
    index = np.arange(mu.shape[0])
    probes = np.stack([(index % 3 == colour).astype(float) for colour in range(3)])
    products = jax.vmap(lambda probe: jax.jvp(gradient, (mu,), (probe,))[1])(probes)
    band = np.abs(index[:, None] - index[None, :]) <= 1
    return jnp.where(band, products[index % 3].T, 0.0)


def _at_least(matrix, lowest):
    """Return the symmetric matrix with its eigenvalues raised to a lowest value."""
    values, vectors = jnp.linalg.eigh(0.5 * (matrix + matrix.T))
    return (vectors * jnp.maximum(values, lowest)) @ vectors.T
