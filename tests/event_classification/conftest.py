"""Simulated catalogues that several tests share, and the density of a catalogue in plain NumPy."""

import jax
import numpy as np
import pytest

import bayesquake as bq

TRUTH = {
    "mu": 2e-5,
    "k": 0.25,
    "alpha": 1.3,
    "c": 0.01,
    "p": 1.2,
    "d": 0.7,
    "gamma": 0.9,
    "q": 1.7,
    "beta": 2.3,
}


@pytest.fixture(scope="session")
def model():
    return bq.load_model("event_classification")


@pytest.fixture(scope="session")
def truth():
    """Natural parameters of the catalogues."""
    return dict(TRUTH)


@pytest.fixture(scope="session")
def simulated(model):
    """One catalogue of some 450 events in a square of 100 km, as the likelihood has it."""
    return model.simulate(jax.random.key(4), {"T": 1200.0}, TRUTH)


@pytest.fixture(scope="session")
def dense_triggered_rate():
    """G at every event as a sum over an (event, event) array."""

    def rate(values, time, squared_distance, dm, pair_weight=1.0):
        v = values
        delay = time[:, None] - time
        later = delay > 0
        delay = np.where(later, delay, 1.0)
        decay = (v["p"] - 1) / v["c"] * (1 + delay / v["c"]) ** -v["p"]
        D = v["d"] * np.exp(v["gamma"] * dm)
        space = (v["q"] - 1) / (np.pi * D) * (1 + squared_distance / D) ** -v["q"]
        g = v["k"] * np.exp(v["alpha"] * dm) * decay * space
        return np.where(later, g * pair_weight, 0.0).sum(axis=1)

    return rate
