"""Draws are measured on the test set, by the model's answers and by labels."""

import keras
import numpy as np

from benchmarks.numbers_by_luck import measure_draws
from edgepro_tf.datasets import Dataset


def test_draws_are_measured_against_answers_and_labels() -> None:
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(260, 4)).astype(np.float32)
    y = x[:, :1] ** 2
    data = Dataset(x[:200], y[:200], x[200:], y[200:], "squares", 0)
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    found, seconds = measure_draws(model, data, 3, is_drawn=True)
    assert {of: len(values) for of, values in found.items()} == {
        "model": 3,
        "labels": 3,
    }
    assert all(0 <= value <= 1 for values in found.values() for value in values)
    assert seconds > 0
