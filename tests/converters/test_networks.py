"""Every network people ship converts, locks and restores to the bit.

``convert_keras`` verifies all of that through a real interpreter before it returns.
"""

import os

import keras
import pytest

from converters import convert_keras
from tests.networks import NETWORKS

# Share of the file's bytes that the lock covers; the rest is the graph itself, which
# is most of a tiny recurrent network's file, and untrained biases: the converter stores
# their zeros once, with those that say shapes.
LEAST_SHARE = {"lstm_classifier": 0.1, "gru_classifier": 0.08, "two_towers": 0.6}

# Minutes of stock conversion each; `make test-networks` takes them in.
LARGE = ("densenet121", "efficientnet_b0", "resnet50")


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_network_is_locked_whole(name: str) -> None:
    if name in LARGE and "EDGEPRO_LARGE_NETWORKS" not in os.environ:
        pytest.skip("large: set EDGEPRO_LARGE_NETWORKS=1")
    keras.utils.set_random_seed(1)
    protected = convert_keras(NETWORKS[name]())
    share = protected.bytes_rewritten / len(protected.public)
    assert share >= LEAST_SHARE.get(name, 0.75)
    # The payload stays a few bytes a tensor, whatever the size of the weights.
    assert len(protected.payload) <= 64 + 16 * protected.tensors_protected
