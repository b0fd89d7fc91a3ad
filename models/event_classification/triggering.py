r"""How an event triggers others: the two forms of the space-time kernel.

With :math:`\Delta m = m - m_{ref}` and :math:`D = d\,e^{\gamma \Delta m}` the rate of direct
offspring at delay t and distance r is

.. math:: g = k e^{\alpha \Delta m} \, \frac{(t + c)^{-p} e^{-t/\tau}}{I} \,
          \frac{q - 1}{\pi D} \left(1 + \frac{r^2}{D}\right)^{-q}, \qquad
          I = \int_0^\infty (t + c)^{-p} e^{-t/\tau} dt.

Form B has no taper and :math:`p > 1`, so that :math:`I = c^{1-p}/(p - 1)`. Form A has the
taper and :math:`p = 1 + \omega` of any sign of ω. Both are one expression in the coefficients
of `Kernel`, whose logarithm is linear in most of them.

References
----------
Ogata 1998, doi:10.1023/A:1003403601725; Zhuang, Ogata & Vere-Jones 2002,
doi:10.1198/016214502760046925; Mizrahi, lmizrahi/etas, doi:10.5281/zenodo.6583992 (form A).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from bayesquake.physics.omori import log_omori_total, omori_fraction, tapered_omori_integral

__all__ = [
    "Kernel",
    "Tapered",
    "branching_ratio",
    "from_form_a",
    "productivity",
    "time_fraction",
    "to_form_a",
    "triggering_kernel",
]

SMALL_GAP = 1e-6
"""|β - α| M below which the branching ratio takes its limit; relative error below 1e-6."""


class Tapered(NamedTuple):
    """Marks arrays of form A; form B has None in its place."""


class Kernel(NamedTuple):
    r"""Coefficients of ln g = A + a Δm - p ln(t + c) - q ln(1 + r²/D) - t/τ.

    Attributes
    ----------
    log_amplitude, magnitude_slope : scalars
        A, with g in 1/(day km²) or, without space, in 1/day; a (1/mag).
    c, p, decay_rate : scalars
        c (day); p; 1/τ (1/day).
    log_d, gamma, q : scalars
        ln D at Δm = 0 (D in km²); growth of ln D (1/mag); q.
    log_mark_width : (mark,) or None
        Logs of the widths by which marks of offspring scatter around their parent's.
    """

    log_amplitude: Any
    magnitude_slope: Any
    c: Any
    p: Any
    log_d: Any
    gamma: Any
    q: Any
    decay_rate: Any
    log_mark_width: Any = None


def triggering_kernel(values, *, space):
    """Return the coefficients of g.

    Parameters
    ----------
    values : mapping
        ``k``, ``alpha``, ``c``, ``p`` and, with space, ``d``, ``gamma``, ``q``; ``tau`` (day)
        makes it form A. ``mark_width``, if marks are used.
    space : bool
        Whether g is a density in space too.
    """
    log_amplitude = jnp.log(values["k"]) - log_time_integral(values)
    log_mark_width = jnp.log(values["mark_width"]) if "mark_width" in values else None
    if not space:
        return Kernel(
            log_amplitude,
            values["alpha"],
            values["c"],
            values["p"],
            jnp.zeros(()),
            jnp.zeros(()),
            jnp.zeros(()),
            decay_rate(values),
            log_mark_width,
        )
    log_d, gamma, q = jnp.log(values["d"]), values["gamma"], values["q"]
    return Kernel(
        log_amplitude + jnp.log(q - 1) - jnp.log(jnp.pi) - log_d,
        values["alpha"] - gamma,
        values["c"],
        values["p"],
        log_d,
        gamma,
        q,
        decay_rate(values),
        log_mark_width,
    )


def decay_rate(values):
    """Return 1/τ (1/day), zero in form B."""
    return 1 / values["tau"] if "tau" in values else jnp.zeros(())


def log_time_integral(values):
    """Return ln I, I in day^(1-p)."""
    log_c, p = jnp.log(values["c"]), values["p"]
    if "tau" not in values:
        return log_omori_total(log_c, p)
    return log_tapered_total(log_c, p, decay_rate(values))


def log_tapered_total(log_c, p, decay_rate):
    """Return ln I of form A, which without a taper is that of form B."""
    endless = decay_rate == 0.0
    tapered = tapered_omori_integral(0.0, jnp.inf, log_c, p, jnp.where(endless, 1.0, decay_rate))
    return jnp.where(endless, log_omori_total(log_c, jnp.where(endless, p, 2.0)), jnp.log(tapered))


def productivity(values, dm):
    """Return the expected direct offspring k e^{α Δm} of events."""
    return values["k"] * jnp.exp(values["alpha"] * dm)


def time_fraction(values, start, end):
    """Return the share of an event's offspring that fall in [start, end] days after it."""
    log_c, p = jnp.log(values["c"]), values["p"]
    if "tau" not in values:
        return omori_fraction(start, end, log_c, p)
    return tapered_omori_integral(start, end, log_c, p, decay_rate(values)) / jnp.exp(
        log_time_integral(values)
    )


def branching_ratio(k, alpha, beta, span):
    r"""Return the mean number of direct offspring of an event.

    .. math:: n = k \frac{\beta}{\beta - \alpha} \,
              \frac{1 - e^{-(\beta - \alpha) M}}{1 - e^{-\beta M}}

    Parameters
    ----------
    k, alpha, beta : scalars
    span : scalar
        M, the largest magnitude above the reference magnitude.
    """
    x = (beta - alpha) * span
    near = jnp.abs(x) < SMALL_GAP
    safe = jnp.where(near, 1.0, x)
    relative = jnp.where(near, 1.0 - 0.5 * x, -jnp.expm1(-safe) / safe)
    return k * beta * span * relative / -jnp.expm1(-beta * span)


def from_form_a(k0, a, omega, tau, c, d, gamma, rho):
    """Return k, α, p and q of a kernel k0 e^{a Δm} e^{-t/τ} (t+c)^{-(1+ω)} (r²+D)^{-(1+ρ)}.

    Returns
    -------
    dict
        With ``k``, ``alpha``, ``c``, ``p``, ``tau``, ``d``, ``gamma`` and ``q``.
    """
    integral = jnp.exp(log_tapered_total(jnp.log(c), 1 + omega, 1 / jnp.asarray(tau)))
    return {
        "k": k0 * jnp.pi / rho * d ** (-rho) * integral,
        "alpha": a - rho * gamma,
        "c": c,
        "p": 1 + omega,
        "tau": tau,
        "d": d,
        "gamma": gamma,
        "q": 1 + rho,
    }


def to_form_a(values):
    """Return k0, a, ω, τ, c, d, γ and ρ, the inverse of `from_form_a`."""
    omega, rho, d = values["p"] - 1, values["q"] - 1, values["d"]
    integral = jnp.exp(log_time_integral(values))
    return {
        "k0": values["k"] * rho / jnp.pi * d**rho / integral,
        "a": values["alpha"] + rho * values["gamma"],
        "omega": omega,
        "tau": values.get("tau", jnp.inf),
        "c": values["c"],
        "d": d,
        "gamma": values["gamma"],
        "rho": rho,
    }
