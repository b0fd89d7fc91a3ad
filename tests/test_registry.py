"""Models are found by their folders, and a broken folder is its own model's trouble alone."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bayesquake as bq
from bayesquake.errors import ModelNotFoundError, ModelUnavailableError
from bayesquake.model import registry

BROKEN = {
    "half_written": ("def declare(:\n", "SyntaxError: invalid syntax"),
    "wants_a_package": ("import no_such_package\n", "No module named 'no_such_package'"),
    "has_no_model": ("", "has no attribute 'MODEL'"),
}


@pytest.fixture
def further_folder(tmp_path, monkeypatch):
    """A folder with broken models, which the environment names."""
    for name, (source, _) in BROKEN.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source)
    package = importlib.import_module(registry.PACKAGE)
    monkeypatch.setattr(package, "__path__", list(package.__path__))
    monkeypatch.setenv("BAYESQUAKE_MODELS", str(tmp_path))
    yield tmp_path
    registry._attempt.cache_clear()


@pytest.mark.parametrize("name", registry.model_names())
def test_every_installed_folder_holds_a_model(name):
    assert bq.load_model(name).name == name


def test_a_broken_folder_makes_its_model_alone_unavailable(further_folder):
    others = set(bq.list_models())
    assert {"aftershock_rate", "source_spectra"} <= others
    assert not others & set(BROKEN)
    reasons = registry.unavailable_models()
    assert set(reasons) == set(BROKEN)
    for name, (_, reason) in BROKEN.items():
        assert reason in reasons[name]
        with pytest.raises(ModelUnavailableError, match=f"{name}.*install what is missing or mend"):
            bq.load_model(name)


def test_the_command_line_lists_the_reason_and_goes_on(further_folder):
    command = Path(sys.executable).with_name("bayesquake")
    environment = os.environ | {"COLUMNS": "200"}
    listed = subprocess.run([command, "list"], capture_output=True, text=True, env=environment)
    assert listed.returncode == 0
    assert "No module named 'no_such_package'" in listed.stdout
    assert "aftershock_rate" in listed.stdout


def test_an_unknown_model_is_named_with_the_nearest():
    with pytest.raises(ModelNotFoundError, match=r"aftershok_rate \(did you mean aftershock_rate"):
        bq.load_model("aftershok_rate")


def test_a_model_without_a_card_says_where_to_write_it(further_folder):
    with pytest.raises(ModelNotFoundError, match=r"has_no_model/card\.md"):
        registry.card("has_no_model")


def test_models_work_where_arviz_was_imported_first():
    script = (
        "import arviz, bayesquake as bq, jax\n"
        "model = bq.load_model('hypocenter_velocity')\n"
        "model.simulate(jax.random.key(1), {'events': 1, 'stations': 4, 'p_share': 1.0})\n"
        "import numpyro.distributions\n"
        "assert hasattr(numpyro.distributions, 'distribution')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
