"""The likelihood is that of its equation, whatever the padding, the cells and the rounding."""

import jax
import numpy as np
import pytest
import xarray as xr
from scipy.special import log_ndtr

from bayesquake.models.aftershock_rate import grid
from bayesquake.models.aftershock_rate.likelihood import (
    Parameters,
    cumulative_events,
    expected_events_of_cells,
    log_likelihood,
    log_likelihood_of_cells,
)
from bayesquake.physics.detection_function import log_fraction_above
from bayesquake.physics.omori import log_omori_integral

M0, T, KNOTS = 6.8, 2.0, 97
VARIANTS = ("continuous", "rounded", "cut", "rounded and cut")

cells_of = jax.jit(log_likelihood_of_cells)
total_of = jax.jit(log_likelihood)
gradient_of = jax.jit(jax.grad(log_likelihood))
cumulative_of = jax.jit(cumulative_events)
expected_of = jax.jit(expected_events_of_cells)


def catalogue(variant="continuous", n=120, seed=0, cut=2.5):
    """Return a catalogue with events before 1e-4 day, simultaneous events and a last one at T."""
    rng = np.random.default_rng(seed)
    t = np.sort(np.r_[3e-5, 0.5, 0.5, 10 ** rng.uniform(-3.5, np.log10(T), n), T])
    magnitude = rng.normal(2.6 - 0.6 * np.log10(t), 0.3) + rng.exponential(0.5, t.size)
    delta = 0.1 if "rounded" in variant else 0.0
    if delta:
        magnitude = magnitude.round(1)
    Mc = cut if "cut" in variant else np.nan
    kept = ~(magnitude < Mc)
    return xr.Dataset(
        {"t": ("event", t[kept]), "mag": ("event", magnitude[kept])},
        attrs={"M0": M0, "T": T, "Mc": Mc, "delta_m": delta},
    )


def prepared(variant="continuous", **options):
    return grid.prepare(
        catalogue(variant), **({"basis_size": 8, "knots": KNOTS, "length": 128} | options)
    )


def parameters(seed=1):
    x = np.linspace(-4, np.log10(T), KNOTS)
    wiggle = 0.2 * np.sin(2 * x + np.random.default_rng(seed).uniform(0, 6))
    return Parameters(-4.3, 1.07, -4.5, 1.9, np.log(0.24), 2.5 - 0.6 * x + wiggle)


def seen_rate(t, values, data):
    """Return the rate of catalogued events (1/day) at times t, in NumPy."""
    log_K, p, log_c, beta, log_sigma, mu = values
    sigma = np.exp(log_sigma)
    mu_t = np.interp(np.log10(np.maximum(t, 1e-4)), data.knots, mu)
    if data.lower_magnitude is None:
        log_fraction = -beta * (mu_t - M0) + 0.5 * (beta * sigma) ** 2
    else:
        log_fraction = log_fraction_above(data.lower_magnitude, mu_t, sigma, beta, M0)
    return np.exp(log_K - p * np.log(t + np.exp(log_c)) + log_fraction)


def integrate_between_knots(values, data, left, right):
    """Integrate the rate over every [left, right] in x, by 40-point quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    x = left[:, None] + 0.5 * (right - left)[:, None] * (1 + nodes)
    measure = 0.5 * (right - left)[:, None] * weights * 10.0**x * np.log(10)
    return (seen_rate(10.0**x, values, data) * measure).sum(axis=1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_terms_of_the_cells_sum_to_the_log_likelihood(variant):
    data = prepared(variant)
    assert float(cells_of(parameters(), data).sum()) == pytest.approx(
        float(total_of(parameters(), data)), rel=1e-10
    )


def test_cells_left_out_take_their_events_and_their_integral_with_them():
    data = prepared()
    cells = np.asarray(cells_of(parameters(), data))
    kept = np.ones(KNOTS - 1)
    kept[[0, 40, 41, 90]] = 0
    partial = float(total_of(parameters(), data._replace(cell_weight=kept)))
    assert partial == pytest.approx(cells[kept == 1].sum(), rel=1e-10)


def test_events_term_is_the_sum_of_the_log_rates():
    data, values = prepared(), parameters()
    dataset = catalogue()
    t, magnitude = dataset["t"].to_numpy(), dataset["mag"].to_numpy()
    log_K, p, log_c, beta, log_sigma, mu = values
    mu_i = np.interp(np.log10(np.maximum(t, 1e-4)), data.knots, mu)
    events = (
        log_K
        - p * np.log(t + np.exp(log_c))
        + np.log(beta)
        - beta * (magnitude - M0)
        + log_ndtr((magnitude - mu_i) / np.exp(log_sigma))
    )
    earliest, cells = expected_of(values, data)
    assert float(total_of(values, data)) == pytest.approx(
        events.sum() - float(earliest) - float(cells.sum()), rel=1e-12
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradient_equals_finite_differences(variant):
    data, values, step = prepared(variant), parameters(), 1e-5
    gradient = gradient_of(values, data)
    for name in Parameters._fields[:5]:
        here = getattr(values, name)
        up, down = (
            float(total_of(values._replace(**{name: here + s}), data)) for s in (step, -step)
        )
        assert float(getattr(gradient, name)) == pytest.approx(
            (up - down) / (2 * step), rel=1e-6, abs=1e-5
        )
    direction = np.random.default_rng(0).standard_normal(KNOTS)
    up, down = (
        float(total_of(values._replace(mu=values.mu + s * direction), data)) for s in (step, -step)
    )
    assert float(np.asarray(gradient.mu) @ direction) == pytest.approx(
        (up - down) / (2 * step), rel=1e-6, abs=1e-5
    )


@pytest.mark.parametrize("variant", ["continuous", "rounded and cut"])
def test_padding_does_not_change_the_likelihood_or_its_gradient(variant):
    values = parameters()
    short, long = prepared(variant, length=128), prepared(variant, length=256)
    assert float(total_of(values, long)) == pytest.approx(float(total_of(values, short)), rel=1e-13)
    for a, b in zip(gradient_of(values, short), gradient_of(values, long), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("variant", ["continuous", "cut"])
def test_expected_events_equal_fine_quadrature(variant):
    data, values = prepared(variant), parameters()
    earliest, cells = expected_of(values, data)
    fine = integrate_between_knots(values, data, data.knots[:-1], data.knots[1:])
    np.testing.assert_allclose(cells, fine, rtol=1e-6)
    assert float(cells.sum()) == pytest.approx(fine.sum(), rel=1e-7)
    flat = seen_rate(0.0, values, data) * np.exp(values.p * values.log_c)
    assert float(earliest) == pytest.approx(
        flat * np.exp(float(log_omori_integral(0.0, 1e-4, values.log_c, values.p))), rel=1e-12
    )


def test_cumulative_events_increase_by_the_integral_of_the_rate():
    data, values = prepared(), parameters()
    n = int(data.mask.sum())
    cumulative = np.asarray(cumulative_of(values, data))[:n]
    x = np.log10(data.t[:n])
    inside = np.flatnonzero(x[:-1] > -4)
    breaks = np.sort(np.r_[x[inside[0] :], data.knots[data.knots > x[inside[0]]]])
    pieces = np.r_[0.0, integrate_between_knots(values, data, breaks[:-1], breaks[1:]).cumsum()]
    fine = pieces[np.searchsorted(breaks, x[inside[0] :])]
    np.testing.assert_allclose(
        cumulative[inside[0] :] - cumulative[inside[0]], fine, rtol=1e-5, atol=1e-7
    )
    assert cumulative[0] == pytest.approx(
        seen_rate(0.0, values, data)
        * np.exp(values.p * values.log_c)
        * np.exp(float(log_omori_integral(0.0, data.t[0], values.log_c, values.p))),
        rel=1e-12,
    )


def test_cumulative_events_at_the_end_of_the_window_are_all_expected_events():
    data, values = prepared(), parameters()
    n = int(data.mask.sum())
    cumulative = np.asarray(cumulative_of(values, data))[:n]
    earliest, cells = expected_of(values, data)
    assert (np.diff(cumulative) >= 0).all()
    assert cumulative[-1] == pytest.approx(float(earliest + cells.sum()), rel=1e-12)


def test_cut_far_below_every_event_leaves_the_likelihood_unchanged():
    values = parameters()
    whole, cut = catalogue(), catalogue()
    cut.attrs["Mc"] = -3.0
    options = {"basis_size": 8, "knots": KNOTS}
    assert float(total_of(values, grid.prepare(cut, **options))) == pytest.approx(
        float(total_of(values, grid.prepare(whole, **options))), rel=1e-12
    )


def test_likelihood_of_rounded_magnitudes_tends_to_the_continuous_one():
    dataset = catalogue()
    dataset.attrs["delta_m"] = 1e-4
    options = {"basis_size": 8, "knots": KNOTS}
    binned, continuous = (
        float(total_of(parameters(), grid.prepare(dataset, likelihood=name, **options)))
        for name in ("binned", "continuous")
    )
    assert binned == pytest.approx(continuous, rel=1e-7)


@pytest.mark.parametrize("cut", [2.95, 3.0])
def test_a_cut_between_rounded_magnitudes_starts_at_the_edge_of_the_next_bin(cut):
    dataset = xr.Dataset(
        {"t": ("event", np.linspace(0.1, 0.9, 12)), "mag": ("event", np.full(12, 3.0))},
        attrs={"M0": 7.0, "T": 1.0, "Mc": cut, "delta_m": 0.1},
    )
    assert np.isclose(grid.prepare(dataset).lower_magnitude, 2.95)


def test_rounded_magnitudes_are_binned_with_a_warning_where_continuous_is_asked():
    dataset = xr.Dataset(
        {"t": ("event", np.linspace(0.1, 0.9, 12)), "mag": ("event", np.full(12, 3.0))},
        attrs={"M0": 7.0, "T": 1.0, "Mc": np.nan, "delta_m": 0.1},
    )
    with pytest.warns(grid.RoundedMagnitudesWarning, match="0.1"):
        assert grid.prepare(dataset, likelihood="continuous").rounding is not None
