from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data():
    """The folder of data sets that lies beside the checkout, or inside it."""
    checkout = Path(__file__).parents[1]
    for folder in (checkout.parent / "shared" / "data", checkout / "shared" / "data"):
        if folder.is_dir():
            return folder
    pytest.skip("the data sets that accompany the checkout (shared/data) are absent")
