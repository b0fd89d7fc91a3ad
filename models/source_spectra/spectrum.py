r"""The amplitude spectrum of a seismic source, and what follows from its corner frequency.

An event of seismic moment M0 and corner frequency :math:`f_c` has the displacement spectrum

.. math:: S(f) = M_0 \left[1 + (f / f_c)^{n g}\right]^{-1/g},

with fall-off n and sharpness g: Brune n = 2, g = 1; Boatwright n = 2, g = 2. Everything here
is in natural logs, in which the spectrum is a softplus function of :math:`\ln f - \ln f_c`.
"""

import jax.numpy as jnp
import numpy as np

from .softplus import softplus, softplus_difference

__all__ = [
    "RUPTURE_MODELS",
    "SHAPES",
    "STRESS_DROP_FACTOR",
    "log_source_spectrum",
    "log_spectral_ratio",
    "log_stress_drop",
    "log_stress_drop_ratio",
]

SHAPES = {"brune": (2.0, 1.0), "boatwright": (2.0, 2.0)}
"""Fall-off n and sharpness g by name."""

RUPTURE_MODELS = {
    "brune_s": 0.3724,
    "kaneko_shearer_p": 0.38,
    "kaneko_shearer_s": 0.26,
    "madariaga_p": 0.32,
    "madariaga_s": 0.21,
    "sato_hirasawa_p": 0.42,
    "sato_hirasawa_s": 0.29,
}
"""k in f_c = k β / r by rupture model and phase, all but Brune's at a rupture speed of 0.9 β.

Brune 1970, doi:10.1029/JB075i026p04997; Madariaga 1976; Sato & Hirasawa 1973; Kaneko & Shearer
2014, doi:10.1093/gji/ggu030. Codes that use 0.42 and 0.2766 without the factor 7/16 mean
Madariaga's constants times (16/7)^(1/3), not those of Sato and Hirasawa.
"""

STRESS_DROP_FACTOR = 7 / 16
"""Of a circular crack (Eshelby 1957, doi:10.1098/rspa.1957.0133)."""


def log_source_spectrum(log_f, log_fc, n, g):
    """Return ln(S / M0), the log of the spectrum of unit moment.

    Parameters
    ----------
    log_f, log_fc : array
        Natural logs of frequency and corner frequency (Hz).
    n, g : array
        Fall-off and sharpness.
    """
    return -softplus(n * g * (log_f - log_fc)) / g


def log_spectral_ratio(log_f, ln_fc1, dln_fc, ln_moment_ratio, n, g):
    r"""Return the log of the power ratio of two sources.

    .. math:: 2 m + (2/g) [\mathrm{softplus}(x_2) - \mathrm{softplus}(x_1)],
              \qquad x_i = n g (\ln f - \ln f_i)

    Parameters
    ----------
    log_f : array
        Natural log of frequency (Hz).
    ln_fc1 : array
        Natural log of the corner frequency of event 1 (Hz).
    dln_fc : array
        d = ln(f2 / f1).
    ln_moment_ratio : array
        m = ln(M01 / M02).
    n, g : array
        Fall-off and sharpness.
    """
    x1 = n * g * (log_f - ln_fc1)
    x2 = x1 - n * g * dln_fc
    return 2.0 * ln_moment_ratio + (2.0 / g) * softplus_difference(x2, x1)


def log_stress_drop(log_moment, ln_fc, log_k, log_shear_velocity):
    r"""Return ln Δσ of a circular crack, Δσ = (7/16) M0 (f_c / (k β))³ in Pa.

    Parameters
    ----------
    log_moment, ln_fc, log_shear_velocity : array
        Natural logs of the moment (N m), the corner frequency (Hz) and β (m/s).
    log_k : array
        Natural log of the constant of the rupture model, see `RUPTURE_MODELS`.
    """
    return np.log(STRESS_DROP_FACTOR) + log_moment + 3.0 * (ln_fc - log_k - log_shear_velocity)


def log_stress_drop_ratio(ln_moment_ratio, dln_fc):
    """Return ln(Δσ1 / Δσ2) = m - 3 d, free of M0, β and k."""
    return jnp.asarray(ln_moment_ratio) - 3.0 * dln_fc
