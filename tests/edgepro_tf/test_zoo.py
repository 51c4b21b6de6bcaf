"""The zoo's networks: shapes, lockability, and that they learn."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edgepro_tf.cli.training_job import NETWORKS
from edgepro_tf.datasets import load_dataset
from edgepro_tf.errors import ZooError
from edgepro_tf.locking import lock_model, locks_of
from edgepro_tf.zoo import KINDS, build_model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3)])
def test_outputs_are_probabilities(kind: str, shape: tuple[int, ...]) -> None:
    model = build_model(kind, shape, 5, width=4)
    outputs = model(np.ones((2, *shape), np.float32))
    assert outputs.shape == (2, 5)
    np.testing.assert_allclose(np.sum(outputs, -1), 1, rtol=1e-6)


def test_the_command_line_knows_every_network() -> None:
    assert NETWORKS == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_but_the_head_is_locked(kind: str) -> None:
    model = build_model(kind, (8, 8, 1), 5, width=4)
    linear = {
        layer.name
        for layer in model.layers
        if isinstance(
            layer,
            (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense),
        )
    }
    assert set(locks_of(lock_model(model, seed=0))) == linear - {"head"}


@pytest.mark.parametrize("kind", KINDS)
def test_learns_digits(kind: str) -> None:
    keras.utils.set_random_seed(0)
    data = load_dataset("digits")
    width = 32 if kind == "lstm" else 8  # Eight cells forget what they have read.
    model = build_model(kind, data.input_shape, data.classes, width=width)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data.x_train, data.y_train, batch_size=32, epochs=10, verbose=0)
    accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)[1]
    # Far over chance (10 %), with room for another machine's rounding.
    assert accuracy > 0.85


def test_refusals() -> None:
    with pytest.raises(ZooError, match="cnn, mlp, resnet, depthwise"):
        build_model("vgg", (8, 8, 1), 2)
    with pytest.raises(ZooError, match="Use 'mlp'"):
        build_model("cnn", (16,), 2)
