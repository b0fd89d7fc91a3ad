"""The likelihood is the plain one, and does not depend on how a catalogue is written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import bayesquake as bq
from bayesquake.errors import OptionError
from bayesquake.model.priors import Prior
from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.compensator import (
    terms_and_times,
    transformed_times,
)
from bayesquake.models.event_classification.dataset import event_dataset
from bayesquake.models.event_classification.likelihood import (
    expected_events,
    log_likelihood,
    log_magnitude_density,
    rates,
)
from bayesquake.models.event_classification.region import is_near
from bayesquake.models.event_classification.triggering import branching_ratio

value = jax.jit(log_likelihood)


def moved(dataset, order=None, days=0.0, angle=0.0):
    """The same events in another order, at other times, or with the whole plane turned."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x, y = turn @ np.stack([dataset["x_km"], dataset["y_km"]])
    order = np.arange(x.size) if order is None else order
    return event_dataset(
        time_days=dataset["time_days"].to_numpy()[order] + days,
        x_km=x[order],
        y_km=y[order],
        magnitude=dataset["magnitude"].to_numpy()[order],
        target=dataset["target"].to_numpy()[order] == 1,
        polygon_km=dataset["polygon"].to_numpy() @ turn.T,
        T0=dataset.attrs["T0"] + days,
        T1=dataset.attrs["T1"] + days,
        m_c=dataset.attrs["m_c"],
        delta_m=dataset.attrs["delta_m"],
    )


def test_log_likelihood_equals_the_plain_sum(simulated, truth, dense_triggered_rate):
    dataset = simulated[1]
    time, x, y = (dataset[name].to_numpy() for name in ("time_days", "x_km", "y_km"))
    dm = dataset["magnitude"].to_numpy() - 3.0
    r2 = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    rate = truth["mu"] + dense_triggered_rate(truth, time, r2, dm)
    T = dataset.attrs["T1"]
    come = 1 - (1 + (T - time) / truth["c"]) ** (1 - truth["p"])
    offspring = truth["k"] * np.exp(truth["alpha"] * dm) * come
    plain = np.log(rate).sum() - truth["mu"] * 1e4 * T - offspring.sum()
    found = value(truth, prepare(dataset, edge_correction=False))
    assert float(found) == pytest.approx(plain, rel=1e-11)


def test_a_rotated_shifted_and_reordered_catalogue_has_the_same_likelihood(
    model, simulated, truth, tmp_path
):
    dataset = simulated[1]
    found = float(value(truth, prepare(dataset)))
    assert float(value(truth, prepare(moved(dataset, days=512.0)))) == pytest.approx(
        found, rel=1e-9
    )
    assert float(value(truth, prepare(moved(dataset, angle=0.7)))) == pytest.approx(found, rel=1e-9)
    table = dataset[["time_days", "x_km", "y_km", "magnitude"]].to_dataframe()
    table.sample(frac=1.0, random_state=0).to_csv(tmp_path / "shuffled.csv", index=False)
    read = model.read(
        tmp_path / "shuffled.csv",
        sort=True,
        polygon=dataset["polygon"].to_numpy(),
        start=dataset.attrs["T0"],
        end=dataset.attrs["T1"],
        completeness_magnitude=dataset.attrs["m_c"],
        magnitude_rounding=0.0,
    )
    assert float(value(truth, prepare(read))) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("space", [True, False])
def test_the_tapered_form_with_an_endless_taper_is_the_plain_form(simulated, truth, space):
    plain = value(truth, prepare(simulated[1], space=space))
    endless = value(truth | {"tau": jnp.inf}, prepare(simulated[1], space=space, taper=True))
    assert float(endless) == pytest.approx(float(plain), rel=1e-9)


@pytest.mark.parametrize(
    "options", [{}, {"background": "density"}, {"background": "field", "basis_size": 3}]
)
def test_terms_of_single_events_add_up(simulated, truth, options):
    arrays = prepare(simulated[1], **options)
    field = {"field_amplitude": 0.8, "field_length": 0.4, "z": np.linspace(-1, 1, 9)}
    values = truth | (field if options.get("background") == "field" else {})
    terms, _ = jax.jit(terms_and_times)(values, arrays)
    assert float(terms.sum()) == pytest.approx(float(value(values, arrays)), abs=2e-4)


@pytest.mark.parametrize("options", [{}, {"taper": True}, {"space": False}])
def test_transformed_times_end_at_the_expected_number_of_targets(model, truth, options):
    """Λ at the end of the window, where padding stands, with history and with events outside."""
    design = {"exact": False, "history_days": 300.0, "burn_in_days": 200.0, "buffer_km": 10.0}
    dataset = model.simulate(jax.random.key(1), design, truth)[1]
    middle = np.array([[10.0, 0.0], [90.0, 0.0], [90.0, 70.0], [10.0, 100.0]])
    inside = is_near(middle, dataset["x_km"], dataset["y_km"], 0.0)
    dataset = dataset.assign(polygon=(dataset["polygon"].dims, middle, {"units": "km"}))
    dataset["target"] = dataset["target"] * inside
    arrays = prepare(dataset, **options)
    values = truth | ({"tau": 300.0} if "taper" in options else {})
    Lambda = np.asarray(jax.jit(transformed_times)(values, arrays))
    assert arrays.events.time[-1] == dataset.attrs["T1"]
    expected = float(jax.jit(expected_events)(values, arrays))
    assert Lambda[-1] == pytest.approx(expected, rel=2e-6)


def test_without_space_events_outside_the_polygon_neither_trigger_nor_count(simulated, truth):
    dataset = simulated[1]
    half = dataset["polygon"].to_numpy() * [0.5, 1.0]
    inside = is_near(half, dataset["x_km"], dataset["y_km"], 0.0)
    cut = dataset.assign(polygon=(dataset["polygon"].dims, half, {"units": "km"}))
    cut["target"] = dataset["target"] * inside
    found = value(truth, prepare(cut, space=False))
    alone = value(truth, prepare(cut.isel(event=np.flatnonzero(inside)), space=False))
    assert float(found) == pytest.approx(float(alone), rel=1e-10)


def test_transformed_times_integrate_the_rate_over_time(simulated, truth):
    """Λ between two neighbouring events is the integral of the rate there."""
    arrays = prepare(simulated[1], space=False)
    values = truth
    Lambda = np.asarray(jax.jit(transformed_times)(values, arrays))
    time, dm = (np.asarray(x) for x in (arrays.events.time, arrays.events.dm))
    n = simulated[1].sizes["event"]

    def rate(t):
        past = time[:n] < t
        delay = t - time[:n][past]
        decay = (values["p"] - 1) / values["c"] * (1 + delay / values["c"]) ** -values["p"]
        return (
            values["mu"] * 1e4
            + (values["k"] * np.exp(values["alpha"] * dm[:n][past]) * decay).sum()
        )

    for i in (5, n // 2, n - 2):
        a, b = time[i], time[i + 1]
        integral = quad(
            lambda s, a=a: rate(a + np.exp(s)) * np.exp(s),
            np.log(1e-12),
            np.log(b - a),
            limit=200,
        )[0]
        assert Lambda[i + 1] - Lambda[i] == pytest.approx(integral, rel=1e-4, abs=1e-4)
    assert Lambda[n - 1] < float(expected_events(values, arrays))


def test_at_the_mode_background_probabilities_balance_the_background(model, simulated):
    """The score of ln μ at the mode: Σ φ = μV + (ln μ - mean)/sd²."""
    dataset = simulated[1]
    target = bq.target(model, dataset)
    values = target.constrain(jnp.zeros(target.dim), target.data)
    background, triggered = jax.jit(rates)(values, target.data)
    phi = background / (background + triggered)
    V = float(target.data.area * target.data.duration)
    balance = float(values["mu"]) * V + (float(values["log_mu"]) + 10.0) / 9.0
    assert float((target.data.target * phi).sum()) == pytest.approx(balance, rel=1e-5)


def test_at_the_maximum_of_the_likelihood_as_many_events_are_expected_as_seen(model, simulated):
    """Scaling μ and k together moves both terms alike: with flat priors Λ = n at the maximum."""
    dataset = simulated[1]
    wide = {name: Prior("Normal", (("loc", 0.0), ("scale", 1e4))) for name in ("log_mu", "log_k")}
    target = bq.target(model, dataset, priors=wide)
    values = target.constrain(jnp.zeros(target.dim), target.data)
    expected = float(jax.jit(expected_events)(values, target.data))
    assert expected == pytest.approx(float(target.data.target.sum()), rel=1e-5)


@pytest.mark.parametrize("step", [0.0, 0.1])
def test_the_density_of_magnitudes_is_that_of_their_bins(step):
    beta, span = 2.1, 3.0
    dm = np.linspace(0.5 * step, span - 0.5 * step, 31)
    found = jax.vmap(lambda m: log_magnitude_density(beta, (1.0, m, span, step)))(dm)
    if step:
        edges = np.exp(-beta * (dm + 0.5 * step * np.array([[-1], [1]])))
        density = (edges[0] - edges[1]) / step
    else:
        density = beta * np.exp(-beta * dm)
    assert np.allclose(np.exp(found), density / (1 - np.exp(-beta * span)), rtol=1e-12)


@pytest.mark.parametrize("alpha", [1.0, 2.3, 2.3 - 1e-8, 3.0])
def test_the_branching_ratio_is_the_mean_productivity(alpha):
    k, beta, span = 0.2, 2.3, 4.5
    offspring = quad(lambda m: k * np.exp(alpha * m) * beta * np.exp(-beta * m), 0, span)[0]
    expected = offspring / (1 - np.exp(-beta * span))
    assert float(branching_ratio(k, alpha, beta, span)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": "flat"}, "constant, density, field"),
        ({"space": False, "background": "field"}, "needs space"),
        ({"basis_size": 1}, "at least 2"),
        ({"taper": 1}, "True or False"),
        ({"classes": 2}, "marks"),
    ],
)
def test_options_that_make_no_model_are_refused(simulated, options, message):
    with pytest.raises(OptionError, match=message):
        prepare(simulated[1], **options)
