"""A certified posterior is the posterior: its quantiles are the known ones."""

import numpy as np
import pytest

from bayesquake.batch.evidence import no_evidence
from bayesquake.batch.triaged import TriageSettings
from bayesquake.experiments.benchmarks.battery import FAMILIES, WRONG, random_problems, trial
from bayesquake.results.evidence import energy_fraction

FEW = 4


@pytest.mark.parametrize("name", FAMILIES)
def test_no_certificate_is_wrong(name):
    found = trial(name, random_problems(name, 3, FEW, seed=1), seed=1, width=FEW)
    certified = found[found["tier"] > 0]
    assert (certified["error"] < WRONG).all()
    # In a funnel no chain of this length reaches the neck as often as it should.
    assert len(certified) >= (0 if name == "funnel" else FEW - 1)


def test_a_certificate_looks_at_every_row():
    """A problem is certified that keeps all limits; each of the others misses one."""
    good = {"r_hat": 1.0, "ess_bulk": 1e3, "ess_tail": 1e3, "still": 0, "divergences": 0}
    good |= {"e_bfmi": 1.0, "field_error": 0.01}
    spoilt = {"r_hat": 1.02, "ess_bulk": 300, "ess_tail": 300, "still": 1, "divergences": 0.002}
    spoilt |= {"e_bfmi": 0.2, "field_error": 0.1}
    evidence = no_evidence(1 + len(good))._replace(
        **{
            name: np.where(np.arange(1 + len(good)) == 1 + place, spoilt[name], value)
            for place, (name, value) in enumerate(good.items())
        }
    )
    assert TriageSettings().certify(evidence).tolist() == [True] + [False] * len(good)


def test_exact_draws_answer_for_their_rule_alone():
    evidence = no_evidence(3)._replace(change=np.array([0.01, 0.2, np.nan]))
    assert TriageSettings().certify(evidence).tolist() == [True, False, False]


def test_energy_that_hardly_changes_between_draws_is_seen():
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(2, 4, 2000))
    steps[1] = np.cumsum(steps[1], axis=1)
    free, slow = energy_fraction(steps)
    assert free > 1.5
    assert slow < 0.1
