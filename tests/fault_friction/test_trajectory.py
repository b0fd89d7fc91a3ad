"""Trajectories against independent integrators, and the exactness of their derivatives."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from bayesquake.models.fault_friction.physics.frozen import (
    embedded_error,
    followed,
    grid_of,
    motion_on,
)
from bayesquake.models.fault_friction.physics.laws import Fault, Motion, motion_rate
from bayesquake.models.fault_friction.physics.stiffness import planar_full_space
from bayesquake.models.fault_friction.physics.trajectory import TOLERANCE, YEAR, trajectory

LAWS = pytest.mark.parametrize("law", ["aging", "slip"])
PLATE_RATE = 0.065 / YEAR
DAMPING = 40e9 / 6e3


@pytest.fixture(scope="module")
def slow_slip(shared_data):
    """The recorded twin: 20 x 20 cells, three slow slip events in 25 years."""
    with np.load(shared_data / "friction" / "lsse20_reference.npz") as file:
        record = {name: file[name] for name in file.files}
    stiffness = planar_full_space((20, 20), 6e3, 40e9, 0.25)
    a = np.exp(record["lnA_Pa"])
    slip = np.exp(record["lnL_m"])
    fault = Fault(a, a + record["BminusA_Pa"], slip, stiffness, PLATE_RATE, DAMPING)
    q, s = record["lnV_over_Vpl"], record["ln_thetaVpl_over_L"]
    return SimpleNamespace(fault=fault, times=record["t_s"] - record["t_s"][0], q=q, s=s)


def five_cells():
    """A chain of five cells with three fields, some weakening, and times of observation."""
    rng = np.random.default_rng(7)
    stiffness = planar_full_space((5, 1), 80e3, 40e9, 0.25)
    fields = rng.normal(size=15) + np.repeat([0, 0, 0.5], 5)
    start = Motion(1 + 0.3 * rng.normal(size=5), -0.5 + 0.3 * rng.normal(size=5), np.zeros(5))
    return stiffness, fields, start, np.linspace(0, 6, 13) * YEAR


def fault_of(fields, stiffness):
    """Return the fault of white fields (3 cells,), with steady weakening near the middle."""
    a, difference, slip = jnp.reshape(fields, (3, -1))
    a = 1e5 * jnp.exp(0.3 * a)
    slip = 0.03 * jnp.exp(0.3 * slip)
    return Fault(a, a + 8e4 + 1e4 * difference, slip, stiffness, PLATE_RATE, DAMPING)


def steps_of(path):
    return np.asarray(path.step_ends)[: int(path.steps)]


def test_the_recorded_twin_is_followed_for_25_years(slow_slip):
    start = Motion(slow_slip.q[0], slow_slip.s[0], np.zeros(400))
    path = trajectory(slow_slip.fault, start, slow_slip.times)
    assert abs(path.motion.log_slip_rate - slow_slip.q).max() < 1e-6
    assert abs(path.motion.log_state - slow_slip.s).max() < 1e-6
    ends, peaks = steps_of(path), np.asarray(path.peaks)
    tops = [i for i in range(1, len(ends) - 1) if peaks[i - 1] < peaks[i] >= peaks[i + 1]]
    events = np.array([ends[i] for i in tops if peaks[i] > 4]) / YEAR
    np.testing.assert_allclose(np.diff(events), 8.206, atol=0.02)
    np.testing.assert_allclose(np.exp(peaks[tops][peaks[tops] > 4]), 83.3, atol=0.7)


def test_slow_slip_events_begin_when_the_twin_was_spun_up(slow_slip):
    x = (np.arange(20) - 9.5) * 6e3
    bump = np.exp(-((x[:, None] - 5e3) ** 2 + x**2) / 2e8).ravel()
    start = Motion(-0.1 + 0.05 * bump, np.full(400, 0.1), np.zeros(400))
    path = trajectory(slow_slip.fault, start, np.array([0, 62.0]) * YEAR)
    ends, peaks = steps_of(path), np.asarray(path.peaks)
    tops = [i for i in range(1, len(ends) - 1) if peaks[i - 1] < peaks[i] >= peaks[i + 1]]
    events = [ends[i] / YEAR for i in tops if peaks[i] > 0.5]
    np.testing.assert_allclose(events[-4:], [37.0, 44.0, 51.2, 58.7], atol=0.1)


@LAWS
def test_a_trajectory_agrees_with_scipy(law):
    stiffness, fields, start, times = five_cells()
    fault = jax.tree.map(np.asarray, fault_of(fields, stiffness))
    healing = {
        "aging": lambda q, s: np.exp(-s) - np.exp(q),
        "slip": lambda q, s: -np.exp(q) * (q + s),
    }[law]

    def rate(t, y):
        q, s, _ = y.reshape(3, 5)
        slip_rate = PLATE_RATE * np.exp(q)
        s_rate = PLATE_RATE / fault.characteristic_slip * healing(q, s)
        stress_rate = -stiffness @ (slip_rate - PLATE_RATE)
        q_rate = (stress_rate - fault.b * s_rate) / (fault.a + DAMPING * slip_rate)
        return np.concatenate([q_rate, s_rate, slip_rate - PLATE_RATE])

    exact = solve_ivp(
        rate, (0, times[-1]), np.concatenate(start), "DOP853", times, rtol=1e-11, atol=1e-12
    )
    path = trajectory(fault, start, times, law=law, tolerance=1e-9)
    np.testing.assert_allclose(np.hstack(path.motion), exact.y.T, atol=1e-6)


def test_a_trajectory_that_cannot_be_followed_ends_in_infinities_not_in_numbers():
    stiffness, fields, start, times = five_cells()
    path = trajectory(fault_of(fields, stiffness), start, times, most_steps=10)
    reached = np.isfinite(path.motion.log_slip_rate).all(axis=1)
    assert reached[0]
    assert not reached[-1]
    assert steps_of(path)[-1] < times[~reached][0]


@LAWS
def test_frozen_steps_give_the_trajectory_that_they_were_made_for(law):
    stiffness, fields, start, times = five_cells()
    fault = fault_of(fields, stiffness)
    path = trajectory(fault, start, times, law=law)
    grid = grid_of(steps_of(path), times)
    frozen = motion_on(grid, fault, start, len(times), law=law)
    np.testing.assert_allclose(np.hstack(frozen), np.hstack(path.motion), atol=1e-11)
    assert embedded_error(grid, fault, start, law=law).max() < TOLERANCE
    np.testing.assert_allclose(grid.steps.sum(), times[-1])


def test_the_embedded_error_tells_that_steps_do_not_serve_another_fault():
    stiffness, fields, start, times = five_cells()
    grid = grid_of(steps_of(trajectory(fault_of(fields, stiffness), start, times)), times)
    others = fault_of(fields - np.repeat([0, 0, 0.6], 5), stiffness)
    assert embedded_error(grid, others, start).max() > 10 * TOLERANCE


def misfit_of(stiffness, start, times, grid, law, tableau=None):
    """Return a smooth function of white fields: the misfit of slip and slip rates."""
    weights = np.random.default_rng(3).normal(size=(2, len(times), len(start.slip)))

    def misfit(fields):
        fault = fault_of(fields, stiffness)
        kept = {"law": law, "observe": lambda motion: motion}
        if tableau is None:
            motion = motion_on(grid, fault, start, len(times), **kept)
        else:
            motion = followed(grid, fault, start, len(times), *kept.values(), tableau)
        rates = (motion.log_slip_rate - weights[0]) ** 2
        return (rates + (10 * motion.slip - weights[1]) ** 2).sum() + fields @ fields / 2

    return misfit


@LAWS
def test_gradients_and_hessian_products_are_exact(law):
    stiffness, fields, start, times = five_cells()
    path = trajectory(fault_of(fields, stiffness), start, times, law=law)
    grid = grid_of(steps_of(path), times)
    exact_derivatives(jax.jit(misfit_of(stiffness, start, times, grid, law)), fields)


def test_gradients_and_hessian_products_of_1200_unknowns_are_exact(slow_slip):
    first = np.searchsorted(slow_slip.times, 11 * YEAR)
    times = slow_slip.times[first:] - slow_slip.times[first]
    start = Motion(slow_slip.q[first], slow_slip.s[first], np.zeros(400))
    times = times[times < 8 * YEAR][::4]
    fields = 0.05 * np.random.default_rng(2).normal(size=1200)
    fault = slow_slip.fault

    def moved(fields):
        a, difference, slip = jnp.reshape(fields, (3, -1))
        a = fault.a * jnp.exp(0.3 * a)
        b = a + fault.b - fault.a + 3e4 * difference
        return fault._replace(
            a=a, b=b, characteristic_slip=fault.characteristic_slip * jnp.exp(0.3 * slip)
        )

    path = trajectory(moved(fields), start, times)
    grid = grid_of(steps_of(path), times)
    observed = np.asarray(trajectory(fault, start, times).motion.log_slip_rate)
    observed = observed + 0.1 * np.random.default_rng(4).normal(size=observed.shape)

    @jax.jit
    def cost(fields):
        q = motion_on(grid, moved(fields), start, len(times), observe=lambda m: m.log_slip_rate)
        return ((q - observed) ** 2).sum() / 0.02 + fields @ fields / 2

    exact_derivatives(cost, fields)


def exact_derivatives(cost, fields):
    """Compare derivatives with differences of fourth order, along unit directions."""
    gradient = jax.jit(jax.grad(cost))
    product = jax.jit(lambda x, v: jax.jvp(gradient, (x,), (v,))[1])
    along, across = np.random.default_rng(1).normal(size=(2, fields.size))
    along, across = along / np.linalg.norm(along), across / np.linalg.norm(across)

    def differences(function, step):
        near = function(fields + step * along) - function(fields - step * along)
        far = function(fields + 2 * step * along) - function(fields - 2 * step * along)
        return (8 * near - far) / (12 * step)

    slope, curved = gradient(fields) @ along, product(fields, along)
    steps = (1e-3, 1e-4, 1e-5)
    assert min(abs(differences(cost, h) / slope - 1) for h in steps) < 1e-9
    away = (np.linalg.norm(differences(gradient, h) - curved) for h in steps)
    assert min(away) < 1e-9 * np.linalg.norm(curved)
    one, other = across @ curved, along @ product(fields, across)
    assert abs(one - other) < 1e-12 * np.linalg.norm(curved)


RUNGE_KUTTA_4 = SimpleNamespace(
    a_lower=(np.array([0.5]), np.array([0, 0.5]), np.array([0, 0, 1.0])),
    b_sol=np.array([1, 2, 2, 1]) / 6,
)


def partner_derivatives(rate, end_cost, start, along, steps):
    r"""Return gradient and Hessian product by the partner method, integrated backwards by hand.

    The adjoint :math:`\lambda' = -f_x^T \lambda` and its tangent
    :math:`\xi' = -f_x^T \xi - (f_{xx} d)^T \lambda` take the coefficients
    :math:`A_{ij} = b_j - b_j a_{ji} / b_i` (Sanz-Serna 2016), all weights b being positive.
    """
    a, b = np.zeros((4, 4)), RUNGE_KUTTA_4.b_sol
    for i, row in enumerate(RUNGE_KUTTA_4.a_lower, start=1):
        a[i, : len(row)] = row
    stages = []
    x, d = start, along
    for h in steps:
        stage_x, stage_d, rates, slopes = [], [], [], []
        for i in range(4):
            stage_x.append(x + h * sum(a[i, j] * rates[j] for j in range(i)))
            stage_d.append(d + h * sum(a[i, j] * slopes[j] for j in range(i)))
            here, there = jax.jvp(rate, (stage_x[i],), (stage_d[i],))
            rates.append(here)
            slopes.append(there)
        stages.append((h, stage_x, stage_d))
        x = x + h * sum(b[i] * rates[i] for i in range(4))
        d = d + h * sum(b[i] * slopes[i] for i in range(4))

    def back(x, adjoint):
        return jax.vjp(rate, x)[1](adjoint)[0]

    adjoint, tangent = jax.jvp(jax.grad(end_cost), (x,), (d,))
    for h, stage_x, stage_d in reversed(stages):
        pulls, moves = [None] * 4, [None] * 4
        for i in (3, 2, 1, 0):
            later = range(i + 1, 4)
            one = adjoint + h * sum(b[j] * a[j, i] / b[i] * pulls[j] for j in later)
            two = tangent + h * sum(b[j] * a[j, i] / b[i] * moves[j] for j in later)
            pulls[i], moves[i] = jax.jvp(back, (stage_x[i], one), (stage_d[i], two))
        adjoint = adjoint + h * sum(b[i] * pulls[i] for i in range(4))
        tangent = tangent + h * sum(b[i] * moves[i] for i in range(4))
    return adjoint, tangent


@LAWS
def test_differentiation_agrees_with_the_partner_method_by_hand(law):
    stiffness, fields, start, times = five_cells()
    fault = fault_of(fields, stiffness)
    steps = steps_of(trajectory(fault, start, times[:5], law=law))
    grid = grid_of(steps, times[:5])
    weights = np.random.default_rng(5).normal(size=10)

    def rate(y):
        q, s = y.reshape(2, 5)
        return jnp.stack(motion_rate(Motion(q, s, s), fault, law)[:2]).ravel()

    def end_cost(y):
        return ((y - weights) ** 2).sum()

    def cost(y):
        start = Motion(*y.reshape(2, 5), jnp.zeros(5))
        end = followed(grid, fault, start, 5, law, lambda m: jnp.stack(m[:2]), RUNGE_KUTTA_4)[-1]
        return end_cost(end.ravel())

    y = jnp.concatenate(start[:2])
    along = jnp.asarray(np.random.default_rng(6).normal(size=10))
    gradient, product = jax.jvp(jax.jit(jax.grad(cost)), (y,), (along,))
    by_hand = partner_derivatives(rate, end_cost, y, along, np.diff([0, *steps]))
    for ours, theirs in zip((gradient, product), by_hand, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * abs(theirs).max())


def test_memory_of_a_gradient_grows_as_the_square_root_of_the_steps():
    stiffness = planar_full_space((50, 1), 80e3, 40e9, 0.25)
    fields, start, times = np.zeros(150), Motion(*np.zeros((3, 50))), np.array([0.0, 1.0]) * YEAR

    def peak(count):
        grid = grid_of(np.linspace(0, 1, count + 1)[1:] * YEAR, times)
        slope = jax.jit(jax.grad(misfit_of(stiffness, start, times, grid, "aging")))
        return slope.lower(fields).compile().memory_analysis().temp_size_in_bytes

    assert peak(16384) < 2.2 * peak(4096)
