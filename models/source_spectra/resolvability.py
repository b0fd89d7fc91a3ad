r"""What given frequencies can say of corner frequencies, before there are data.

A bin whose powers have ν1 and ν2 degrees of freedom holds the Fisher information
:math:`w = \nu_1 \nu_2 / (2 (\nu_1 + \nu_2 + 2))` on the location of its log ratio, whatever
that is. The information on :math:`\theta = (\ln f_1, d, m)` is therefore
:math:`\sum w J J^T` over bins, with

.. math:: J = \left(2 n (s_1 - s_2),\ -2 n s_2,\ 2\right), \qquad
          s_i = 1 / (1 + (f_i / f)^{n g}),

and its inverse bounds the variances of unbiased estimates (Cramér and Rao).
"""

import numpy as np
from scipy.special import expit

__all__ = ["corner_frequency_sd", "location_information"]

LN_FC1, LN_FC2 = (1.0, 0.0, 0.0), (1.0, 1.0, 0.0)
"""ln f1 and ln f2 as combinations of (ln f1, d, m)."""

SMALLEST_EIGENVALUE = 1e-12
"""Relative to the largest. A direction that the data leave open gets a large, finite variance."""


def location_information(nu1, nu2):
    """Return the Fisher information of a log power ratio on its location.

    Parameters
    ----------
    nu1, nu2 : array
        Degrees of freedom.
    """
    return nu1 * nu2 / (2.0 * (nu1 + nu2 + 2.0))


def corner_frequency_sd(freq, information, fc1, fc2, n=2.0, g=2.0, prior_sd=None):
    """Return the standard deviations that ln f1 and ln f2 will have, the moment ratio unknown too.

    Parameters
    ----------
    freq : (freq,) array
        Frequencies (Hz).
    information : array, broadcast to (freq,)
        `location_information` at each frequency, summed over traces.
    fc1, fc2 : array
        Corner frequencies (Hz), of shapes that broadcast.
    n, g : float
        Fall-off and sharpness of the spectra.
    prior_sd : sequence of three floats, optional
        Prior standard deviations of ln f1, d and m, whose precision adds to the information.

    Returns
    -------
    sd_ln_fc1, sd_ln_fc2 : arrays of the shape of ``fc1`` and ``fc2`` together
        Without a prior, large where the frequencies leave a corner frequency open.
    """
    fc1, fc2 = np.broadcast_arrays(np.asarray(fc1, float), np.asarray(fc2, float))
    s1, s2 = (expit(n * g * np.log(freq / fc[..., None])) for fc in (fc1, fc2))
    J = np.stack([2.0 * n * (s1 - s2), -2.0 * n * s2, np.full_like(s1, 2.0)], axis=-1)
    fisher = np.einsum("f,...fi,...fj->...ij", np.broadcast_to(information, np.shape(freq)), J, J)
    if prior_sd is not None:
        fisher = fisher + np.diag(1.0 / np.square(prior_sd))
    eigenvalues, vectors = np.linalg.eigh(fisher)
    floor = SMALLEST_EIGENVALUE * eigenvalues[..., -1:]
    variances = [
        (np.einsum("i,...ik->...k", combination, vectors) ** 2 / np.maximum(eigenvalues, floor))
        for combination in (LN_FC1, LN_FC2)
    ]
    return tuple(np.sqrt(variance.sum(axis=-1)) for variance in variances)
