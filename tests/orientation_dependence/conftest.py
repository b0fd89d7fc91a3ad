import warnings

import numpy as np
import pytest
from obspy.imaging.beachball import aux_plane

from bayesquake.model.registry import load_model
from bayesquake.models.orientation_dependence.data.mechanisms import ExchangedAxesWarning


@pytest.fixture(scope="session")
def mechanism_file(shared_data):
    path = shared_data / "pointprocess" / "jma_mechanism_depth_158.csv"
    if not path.is_file():
        pytest.skip("jma_mechanism_depth_158.csv is absent from shared/data/pointprocess")
    return path


@pytest.fixture(scope="session")
def mechanisms(mechanism_file):
    """The 158 mechanisms, as in the publication."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExchangedAxesWarning)
        return load_model("orientation_dependence").read(mechanism_file)


@pytest.fixture(scope="session")
def planes_of():
    """A function to the second nodal planes of mechanisms given by one, by ObsPy."""

    def second(strike, dip, rake):
        return np.array([aux_plane(*plane) for plane in zip(strike, dip, rake, strict=True)])

    return second
