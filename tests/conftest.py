"""What every test begins with."""

import sys

import pytest


@pytest.fixture(autouse=True)
def repeatable_weights() -> None:
    """Weights are drawn as in the run before: no tolerance is missed by bad luck.

    Where Keras is loaded; a device has none. A lock's seed stays the system's own.
    """
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.utils.set_random_seed(0)
