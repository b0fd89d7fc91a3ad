import itertools
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesquake.errors import OptionError
from bayesquake.experiments.declustering import entries, reproduce, study
from bayesquake.experiments.declustering.declustering_map import (
    area_under_curve,
    classification_scores,
)
from bayesquake.experiments.declustering.gibbs_vs_nuts import log_complete
from bayesquake.experiments.declustering.scaling import PATHS, VALUES, random_events
from bayesquake.model.registry import load_model
from bayesquake.models.event_classification.likelihood import log_likelihood
from bayesquake.models.event_classification.triggering import triggering_kernel

TRUTH = VALUES | {"mu": 3e-5, "beta": 2.3}


def test_summing_out_the_parents_gives_the_likelihood():
    """The density that Gibbs sampling moves in, summed over all forests of six events."""
    model = load_model("event_classification")
    dataset = model.simulate(jax.random.key(1), {"T": 300.0}, TRUTH)[1].isel(event=slice(0, 6))
    arrays = jax.tree.map(jnp.asarray, model.prepare(dataset))
    forests = np.array(list(itertools.product(*(range(-1, i) for i in range(6)))))
    parent = np.full((len(forests), arrays.events.time.size), -1)
    parent[:, :6] = forests
    complete = jax.jit(jax.vmap(lambda p: log_complete(TRUTH, p, arrays)))(parent)
    total = jax.scipy.special.logsumexp(complete)
    assert float(total) == pytest.approx(float(jax.jit(log_likelihood)(TRUTH, arrays)), rel=1e-12)


def test_area_under_curve_is_the_chance_that_a_positive_scores_higher():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 5, 40).astype(float), rng.uniform(size=40) < 0.4
    higher = score[positive][:, None] - score[~positive]
    assert area_under_curve(score, positive) == pytest.approx(
        ((higher > 0) + 0.5 * (higher == 0)).mean()
    )


def test_honest_probabilities_have_no_calibration_error_and_the_smallest_brier_score():
    rng = np.random.default_rng(1)
    phi = rng.uniform(size=50_000)
    background = rng.uniform(size=phi.size) < phi
    honest, bold = (
        classification_scores(given, background) for given in (phi, (phi > 0.5).astype(float))
    )
    assert honest["calibration_error"] < 0.02 < bold["calibration_error"]
    assert honest["brier"] < bold["brier"]
    assert honest["true_share"] == pytest.approx(honest["mean_phi"], abs=0.01)


@pytest.mark.parametrize(("ours", "plain"), [("tiles", "row blocks"), ("sweep", "plain in time")])
def test_the_paths_that_are_timed_give_the_same_rates(ours, plain):
    space, path = PATHS[ours]
    events = random_events(256, space)
    kernel = triggering_kernel(VALUES, space=space)
    expected = jax.jit(PATHS[plain][1])(kernel, events)
    assert jnp.allclose(jax.jit(path)(kernel, events), expected, rtol=1e-8)


def test_both_modes_have_settings_for_every_entry():
    config = tomllib.loads(study.CONFIG.read_text(encoding="utf-8"))
    for mode in ("full", "quick"):
        assert set(config[mode]) == set(entries.ENTRIES)


def test_entries_without_their_data_are_skipped_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setattr("bayesquake.experiments.entries.accompanying_data", lambda name: None)
    summary = reproduce(tmp_path, quick=True, entries=("peer_bias", "sanjac_residuals"))
    assert all(line.startswith("skipped") for line in summary.values())


def test_an_entry_of_a_wrong_name_is_named_before_anything_runs(tmp_path):
    with pytest.raises(OptionError, match=r"peer_bia \(did you mean peer_bias\?\)"):
        reproduce(tmp_path, quick=True, entries=("edge_effect", "peer_bia"))
    assert list(tmp_path.iterdir()) == []
