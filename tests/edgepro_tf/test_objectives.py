"""What a released run is trained towards."""

import numpy as np
import tensorflow as tf

from edgepro_tf.objectives import _deal_classes


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
