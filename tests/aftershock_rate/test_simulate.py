"""The simulator draws from the model: directly, or by thinning the complete catalogue."""

import jax
import numpy as np
import pytest
from scipy.stats import ks_2samp, kstest, norm

from bayesquake.errors import OptionError, SimulationError
from bayesquake.models.aftershock_rate import grid
from bayesquake.models.aftershock_rate.likelihood import (
    Parameters,
    cumulative_events,
    expected_events_of_cells,
)
from bayesquake.models.aftershock_rate.simulate import (
    DESIGN,
    draw_parameters,
    expected_detected,
    knots_of,
    mu_at,
    simulate,
    simulate_complete,
    simulate_detected,
)
from bayesquake.physics.detection_function import magnitude_cdf

KNOTS = knots_of(DESIGN)
PARAMETERS = {
    "log_K": -4.0,
    "p": 1.1,
    "log_c": -4.5,
    "beta": 2.0,
    "log_sigma": np.log(0.25),
    "mu": 2.2 - 0.6 * KNOTS + 0.2 * np.sin(2 * KNOTS),
}
COMPLETE_FLOOR = 0.5
"""Magnitude far below the smallest μ: what lies lower is never detected."""


def repeated(draw, repetitions):
    """Join the events of many catalogues; return the counts as well."""
    catalogues = [draw() for _ in range(repetitions)]
    t, magnitude = (np.concatenate(parts) for parts in zip(*catalogues, strict=True))
    return t, magnitude, np.array([len(times) for times, _ in catalogues])


def test_direct_and_thinned_simulators_agree():
    direct_rng, thinned_rng = np.random.default_rng(1), np.random.default_rng(2)

    def thinned():
        t, magnitude, detected = simulate_complete(thinned_rng, PARAMETERS, DESIGN, COMPLETE_FLOOR)
        return t[detected], magnitude[detected]

    t1, m1, n1 = repeated(lambda: simulate_detected(direct_rng, PARAMETERS, DESIGN), 20)
    t2, m2, n2 = repeated(thinned, 20)
    assert ks_2samp(t1, t2).pvalue > 0.01
    assert ks_2samp(m1, m2).pvalue > 0.01
    expected = expected_detected(PARAMETERS, DESIGN)
    for counts in (n1, n2):
        assert abs(counts.mean() - expected) < 4 * np.sqrt(expected / counts.size)


def test_simulated_magnitudes_follow_their_law_and_times_their_rate():
    parameters, dataset = simulate(jax.random.key(4), {"T": 1.0}, PARAMETERS)
    t, magnitude = dataset["t"].to_numpy(), dataset["mag"].to_numpy()
    mu = mu_at(t, parameters["mu"], DESIGN)
    sigma = np.exp(parameters["log_sigma"])
    assert kstest(magnitude_cdf(magnitude, mu, sigma, parameters["beta"]), "uniform").pvalue > 0.01

    data = grid.prepare(dataset, basis_size=8)
    values = Parameters(**PARAMETERS)
    cumulative = np.asarray(jax.jit(cumulative_events)(values, data))[: t.size]
    earliest, cells = jax.jit(expected_events_of_cells)(values, data)
    assert kstest(cumulative / float(earliest + cells.sum()), "uniform").pvalue > 0.01
    assert expected_detected(PARAMETERS, DESIGN) == pytest.approx(
        float(earliest + cells.sum()), rel=1e-4
    )


def test_a_key_names_one_catalogue():
    design = {"minimum_events": 1, "maximum_events": 5000}
    first, again = (simulate(jax.random.key(7), design, PARAMETERS)[1] for _ in range(2))
    other = simulate(jax.random.key(8), design, PARAMETERS)[1]
    assert first.identical(again)
    assert first.sizes["event"] != other.sizes["event"] or not first.identical(other)


def test_prior_draws_follow_the_priors_and_their_process_the_line():
    rng = np.random.default_rng(0)
    draws = [draw_parameters(rng, DESIGN) for _ in range(100)]
    p = np.array([draw["p"] for draw in draws])
    assert kstest(p, norm(1.05, 0.13).cdf).pvalue > 0.01
    line = np.array([d["mu_1d"] + d["mu_slope"] * KNOTS for d in draws])
    eta = np.array([d["eta"] for d in draws])
    scaled = (np.array([d["mu"] for d in draws]) - line) / eta[:, None]
    assert kstest(scaled[:, 48], norm.cdf).pvalue > 0.01


def test_cut_and_rounding_of_the_design_are_applied():
    design = {"completeness_magnitude": 3.0, "magnitude_rounding": 0.1}
    _, dataset = simulate(jax.random.key(0), design, PARAMETERS)
    magnitude = dataset["mag"].to_numpy()
    assert magnitude.min() >= 3.0
    np.testing.assert_allclose(magnitude, magnitude.round(1), atol=1e-12)
    assert dataset.attrs["Mc"] == 3.0
    assert dataset.attrs["delta_m"] == 0.1


def test_designs_that_cannot_be_met_are_refused():
    with pytest.raises(OptionError, match="duration"):
        simulate(jax.random.key(0), {"duration": 3.0}, PARAMETERS)
    with pytest.raises(SimulationError, match="memory"):
        simulate(jax.random.key(0), None, PARAMETERS | {"log_K": 12.0})
    with pytest.raises(SimulationError, match="outside"):
        simulate(jax.random.key(0), None, PARAMETERS | {"log_K": -12.0})
