"""R-hat and effective sample sizes of many quantities at once.

The statistics are ArviZ's, whose functions take one quantity at a time; here the ranks, the
Fourier transforms and Geyer's sums run over many quantities together, which matters when
thousands of posteriors are to be judged.

References
----------
Vehtari et al. 2021, doi:10.1214/20-BA1221 (rank-normalised R-hat, bulk and tail ESS);
Geyer 1992, doi:10.1214/ss/1177011137 (initial monotone sequence).
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from scipy import fft
from scipy.special import ndtri

__all__ = ["Convergence", "convergence", "effective_draws"]

TAIL = (0.05, 0.95)
"""Probabilities of the two quantiles whose effective sample size is the tail ESS."""

NUMBERS_AT_ONCE = 20_000
"""Numbers worked on together: few enough to stay in a processor's cache."""


class Convergence(NamedTuple):
    """Statistics of convergence, one of each per quantity."""

    r_hat: Any
    ess_bulk: Any
    ess_tail: Any


def convergence(draws):
    """Return the rank-normalised split R-hat and the bulk and tail effective sample sizes.

    Parameters
    ----------
    draws : (quantity, chain, draw) array
        At least 2 chains of at least 4 draws.

    Returns
    -------
    Convergence
        Of (quantity,) arrays; NaN for a quantity that is not finite, and R-hat NaN for one
        that does not vary.
    """
    size = max(1, NUMBERS_AT_ONCE // draws[0].size)
    parts = [_convergence(draws[first : first + size]) for first in range(0, len(draws), size)]
    return Convergence(*(np.concatenate(parts_of) for parts_of in zip(*parts, strict=True)))


def effective_draws(draws):
    """Return the effective sample sizes of means, (quantity,), of (quantity, chain, draw) draws."""
    size = max(1, NUMBERS_AT_ONCE // draws[0].size)
    return np.concatenate(
        [_ess(_split(draws[first : first + size])) for first in range(0, len(draws), size)]
    )


def _convergence(draws):
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves, axis=(1, 2), keepdims=True))
    scores = _normal_scores(halves)
    tails = [
        _ess(_split((draws <= quantile[:, None, None]).astype(float)))
        for quantile in np.quantile(draws, TAIL, axis=(1, 2))
    ]
    finite = np.isfinite(draws).all(axis=(1, 2))
    return tuple(
        np.where(finite, statistic, np.nan)
        for statistic in (
            np.maximum(_rhat(scores), _rhat(_normal_scores(folded))),
            _ess(scores),
            np.minimum(*tails),
        )
    )


def _split(draws):
    half = draws.shape[2] // 2
    return np.concatenate([draws[:, :, :half], draws[:, :, -half:]], axis=1)


def _normal_scores(draws):
    """Return the normal scores of the ranks over all chains, ties sharing their mean rank."""
    quantities, count = len(draws), draws[0].size
    flat = draws.reshape(quantities, count)
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    changes = ordered[:, 1:] != ordered[:, :-1]
    place = np.arange(count)
    first = np.zeros(flat.shape, int)
    np.multiply(changes, place[1:], out=first[:, 1:])
    np.maximum.accumulate(first, axis=1, out=first)
    last = np.full(flat.shape, count - 1)
    np.copyto(last[:, :-1], place[:-1], where=changes)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    scores = np.empty(flat.shape)
    np.put_along_axis(scores, order, _score_of_tie(count)[first + last], axis=1)
    return scores.reshape(draws.shape)


@functools.lru_cache(maxsize=8)
def _score_of_tie(count):
    """Return the normal scores of mean ranks: entry i + j is of the tie of places i to j."""
    rank = 0.5 * np.arange(2 * count - 1) + 1
    return ndtri((rank - 3 / 8) / (count + 1 / 4))


def _rhat(draws):
    length = draws.shape[2]
    between = draws.mean(axis=2).var(axis=1, ddof=1)
    within = draws.var(axis=2, ddof=1).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(between / within + (length - 1) / length)


def _ess(draws):
    _, chains, length = draws.shape
    total = chains * length
    means = draws.mean(axis=2)
    padded = fft.next_fast_len(2 * length, real=True)
    spectrum = fft.rfft(draws - means[:, :, None], padded, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    covariance = fft.irfft(power, padded, axis=1)[:, :length] / length
    pooled = covariance[:, 0] + means.var(axis=1, ddof=1)
    unbiased = covariance[:, 0] * length / (length - 1)
    constant = np.ptp(draws, axis=(1, 2)) < np.finfo(float).resolution
    pooled[constant] = 1.0
    correlation = 1 - (unbiased[:, None] - covariance) / pooled[:, None]
    correlation[:, 0] = 1.0
    time = np.maximum(_integrated_time(correlation), 1 / np.log10(total))
    return np.where(constant, total, total / time)


def _integrated_time(correlation):
    """Return Geyer's integrated autocorrelation time, correlations given from lag 0."""
    quantities, length = correlation.shape
    even = correlation[:, : 2 * (length // 2) : 2]
    pairs = even + correlation[:, 1::2]
    longest = max(0, (length - 3) // 2)
    ended = ~(pairs > 0)
    cut = np.where(ended.any(axis=1), ended.argmax(axis=1), longest)
    cut = np.minimum(cut, longest)
    kept = np.arange(pairs.shape[1]) < cut[:, None]
    monotone = np.where(kept, np.minimum.accumulate(pairs, axis=1), 0.0).sum(axis=1)
    at_cut = np.arange(quantities), cut
    last = np.where((even[at_cut] > 0) | (pairs[at_cut] >= 0), even[at_cut], 0.0)
    return -1 + 2 * monotone + last
