"""Targets are reached by name, and their priors can be overridden."""

import numpyro.distributions as dist
import pytest

import bayesquake as bq
from bayesquake.errors import ModelNotFoundError, PriorError
from bayesquake.priors import PRIORS, Prior, read_priors, resolve_priors


def test_submodules_do_not_hide_the_functions_of_the_public_face():
    import bayesquake.report
    import bayesquake.target  # noqa: F401

    assert callable(bq.target)
    assert callable(bq.report)


def test_an_unknown_model_is_an_error_that_lists_the_known():
    with pytest.raises(ModelNotFoundError, match="aftershock_rate"):
        bq.load_model("nonsense")


def test_priors_are_overridden_by_distribution_prior_and_file(tmp_path):
    model = bq.load_model("aftershock_rate")
    file = tmp_path / "priors.toml"
    file.write_text('[p]\ndistribution = "Normal"\nloc = 1.12\nscale = 0.11\n')
    expected = {"loc": 1.12, "scale": 0.11}
    given = [
        {"p": dist.Normal(1.12, 0.11)},
        {"p": Prior("Normal", tuple(expected.items()))},
        read_priors(file),
    ]
    for overrides in given:
        resolved = resolve_priors(model, overrides)
        assert dict(resolved["p"].parameters) == pytest.approx(expected)
        assert resolved["log_c"] == PRIORS[model.priors["log_c"]]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"q": dist.Normal(0, 1)}, "no prior named 'q'"),
        ({"p": Prior("Gaussian", ())}, "unknown to NumPyro"),
        ({"p": Prior("Normal", (("loc", 0.0), ("scale", -1.0)))}, "invalid"),
        ({"log_K": Prior("HalfNormal", (("scale", 1.0),))}, "whole real line"),
        ({"p": 3.0}, "float"),
    ],
)
def test_a_prior_that_cannot_be_used_is_an_error(overrides, message):
    with pytest.raises(PriorError, match=message):
        resolve_priors(bq.load_model("aftershock_rate"), overrides)
