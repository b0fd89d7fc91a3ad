"""CONTRIBUTING shows a model that works."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODEL = Path(__file__).parent / "models" / "attenuation"


def test_the_model_in_contributing_is_the_one_that_the_tests_run():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert blocks == [(MODEL / name).read_text() for name in ("__init__.py", "model.py")]
