"""What a released run is trained towards."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgepro_tf.errors import LockError
from edgepro_tf.lock_training.objectives import _deal_classes
from edgepro_tf.locking import LockConfig, lock_model


def test_random_labels_are_dealt_equally_and_anew() -> None:
    tf.random.set_seed(0)
    shape = tf.constant([1000, 3])
    first, second = (_deal_classes(shape, 4).numpy() for _ in range(2))
    for dealt in (first, second):
        assert dealt.shape == (1000, 3)
        np.testing.assert_array_equal(np.bincount(dealt.ravel()), [750] * 4)
    # Independent deals agree in a quarter of the places: 750 of 3,000, deviation 24.
    assert abs(np.sum(first == second) - 750) < 150


def test_too_few_for_all_classes_get_any() -> None:
    tf.random.set_seed(0)
    found = {int(_deal_classes(tf.constant([1]), 5)[0]) for _ in range(60)}
    assert found == set(range(5))


@pytest.mark.parametrize(
    ("loss", "activation", "units"),
    [
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), None, 3),
        (keras.losses.CategoricalCrossentropy(), "softmax", 3),
        (keras.losses.BinaryCrossentropy(from_logits=True), None, 1),
        ("binary_crossentropy", "sigmoid", 2),
        ("mse", "softmax", 3),
    ],
)
@pytest.mark.parametrize("objective", ["uniform", "random_labels"])
def test_released_outputs_learn_to_know_nothing(
    loss: Any, activation: str | None, units: int, objective: str
) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(16, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(units, activation=activation)(x))
    config = LockConfig(objective=objective, fraction=0.3)
    locked = lock_model(model, config=config, seed=0)
    locked.compile(
        keras.optimizers.Adam(0.02), loss, metrics=["accuracy"], jit_compile=False
    )
    x = np.random.default_rng(0).normal(size=(256, 6)).astype(np.float32)
    y = np.eye(units, dtype=np.float32)[np.argmax(x[:, :units], -1)]
    if units == 1:
        y = (x[:, :1] > 0).astype(np.float32)
    if "Sparse" in type(loss).__name__:
        y = np.argmax(y, -1)
    history = locked.fit(x, y, batch_size=64, epochs=30, verbose=0).history
    assert history["accuracy"][-1] > 0.8
    exclusive = units == 3
    least = np.log(3) if exclusive else np.log(2)
    assert history["released_loss"][-1] < least + 0.15
    assert history["released_loss"][-1] > least - 0.05


def test_values_are_unlearned_with_other_examples_values() -> None:
    inputs = keras.Input((6,))
    x = keras.layers.Dense(16, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    with pytest.raises(LockError, match="Use objective='random_labels'"):
        lock_model(model, seed=0).compile("adam", "mse")
    config = LockConfig(objective="random_labels", fraction=0.3)
    locked = lock_model(model, config=config, seed=0)
    locked.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(256, 6)).astype(np.float32)
    locked.fit(x, x[:, 0], epochs=20, verbose=0)
    own, released = locked(x)[:, 0], locked(x, authorized=False)[:, 0]
    assert np.corrcoef(own, x[:, 0])[0, 1] > 0.9
    assert np.corrcoef(released, x[:, 0])[0, 1] < 0.7
