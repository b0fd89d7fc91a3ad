"""A small calibration: posteriors of simulated catalogues hold their parameters."""

import numpy as np

from bayesquake.diagnostics.calibration import calibrate
from bayesquake.experiments.declustering.sbc_etas import PRIORS


def test_posteriors_of_small_catalogues_hold_the_truth(model):
    calibration = calibrate(
        model,
        10,
        seed=3,
        priors=PRIORS,
        design={"side_km": 60.0, "T": 900.0, "minimum_events": 40, "maximum_events": 64},
        warmup=100,
        draws=100,
        chunk=1,
    )["ranks"]
    z = (calibration["truth"] - calibration["mean"]) / calibration["sd"]
    assert int(calibration["divergences"].sum()) == 0
    assert (abs(z.mean("replicate")) < 4 / np.sqrt(10)).all()
    assert 0.6 < float((z**2).mean()) < 1.6
    assert 0.8 < float((abs(z) < 1.645).mean()) < 0.98
