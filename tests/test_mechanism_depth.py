import dataclasses

import numpy as np
import pandas as pd
import pytest

from bayesquake.experiments.entries import DataAbsentError
from bayesquake.experiments.mechanism_depth import reproduce
from bayesquake.experiments.mechanism_depth.study import mechanism_arrays, open_study


def test_every_entry_reproduces_its_figures(shared_data, tmp_path):
    if not (shared_data / "pointprocess" / "jma_mechanism_depth_158.csv").is_file():
        pytest.skip("jma_mechanism_depth_158.csv is absent from shared/data/pointprocess")
    summary = reproduce(tmp_path, quick=True)
    assert not any(line.startswith("skipped") for line in summary.values())
    axes = pd.read_csv(tmp_path / "published_axes" / "eigenvalues.csv")
    assert (np.abs(axes["eigenvalue"] / axes["published"] - 1) < 0.05).all()
    for axes_name in ("published", "moment_tensor"):
        tests = pd.read_csv(tmp_path / f"{axes_name}_tests" / "tests.csv").set_index("dropped")
        assert tests["lrt"]["P"] > tests["lrt"]["T"]
        assert (tmp_path / f"{axes_name}_tests" / "permuted.png").is_file()


def test_absent_data_are_reported():
    study = open_study(quick=True)
    with pytest.raises(DataAbsentError, match="jma_mechanism_depth_158"):
        mechanism_arrays(dataclasses.replace(study, folder=None), "slip_vectors")
