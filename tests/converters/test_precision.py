"""Networks trained in other precisions, as files that compute in float32."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest

from converters import convert_keras
from converters.precision import in_float32
from edgepro_tf.locking import lock_model
from tests import models


@pytest.fixture(params=["mixed_float16", "float64"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def _network() -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Reshape((36, 8))(x)
    x = keras.layers.MultiHeadAttention(2, 4)(x, x)
    x = keras.layers.Bidirectional(keras.layers.GRU(4, unroll=True))(x[:, :3])
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize("is_locked", [False, True])
def test_it_converts_like_its_float32_twin(policy: str, is_locked: bool) -> None:
    network = _network()
    x = models.make_inputs(network, 8)
    model = lock_model(network, seed=0) if is_locked else network
    protected = convert_keras(model, samples=x)
    assert protected.keras_difference < 1e-5


def test_a_copy_has_the_weights_and_names(policy: str) -> None:
    network = _network()
    copy = in_float32(network)
    assert [layer.name for layer in copy.layers] == [
        layer.name for layer in network.layers
    ]
    for one, other in zip(network.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one.astype(np.float32), other)
    assert {v.dtype for v in copy.weights if "seed" not in v.path} == {"float32"}
    assert network.layers[1].dtype_policy.name == policy


def test_a_float32_network_stays_itself() -> None:
    network = _network()
    assert in_float32(network) is network
