"""The test of scatter has the right size when the degrees of freedom are right."""

import numpy as np
import pytest

from bayesquake.models.source_spectra.dispersion import (
    discrepancy,
    discrepancy_cumulants,
    tail_probability,
)

BINS, REPLICATES = 20, 20_000


@pytest.mark.parametrize("nu", [(2.0, 2.0), (10.0, 2.0), (5.6, 6.3), (4.0, 8.0, 2.0)])
def test_tail_probability_is_uniform_for_the_right_degrees_of_freedom(nu):
    rng = np.random.default_rng(1)
    nu = np.array(nu)[:, None]
    log_power = np.log(rng.gamma(nu / 2, size=(len(nu), REPLICATES * BINS)) / (nu / 2))
    nu = np.broadcast_to(nu, log_power.shape)
    D = np.asarray(discrepancy(log_power, np.zeros_like(nu), nu, np.ones_like(nu)))
    cumulants = [BINS * c[0] for c in discrepancy_cumulants(nu[:, :1], np.ones((len(nu), 1)))]
    p = np.asarray(tail_probability(D.reshape(REPLICATES, BINS).sum(axis=1), *cumulants))
    for level in (0.01, 0.1, 0.5, 0.9):
        error = 4 * np.sqrt(level * (1 - level) / REPLICATES) + 0.05 * min(level, 1 - level)
        assert abs((p < level).mean() - level) < error


def test_an_event_without_data_does_not_enter():
    rng = np.random.default_rng(2)
    log_power, nu = rng.normal(size=(3, 6)), rng.uniform(2, 12, (3, 6))
    mask = np.ones((3, 6))
    mask[1] = 0.0
    kept = [0, 2]
    zero = np.zeros((3, 6))
    all_of = discrepancy(log_power, zero, nu, mask)
    assert np.allclose(all_of, discrepancy(log_power[kept], zero[kept], nu[kept], mask[kept]))
    for a, b in zip(
        discrepancy_cumulants(nu, mask),
        discrepancy_cumulants(nu[kept], mask[kept]),
        strict=True,
    ):
        assert np.allclose(a, b)
