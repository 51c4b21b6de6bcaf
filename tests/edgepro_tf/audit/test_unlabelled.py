"""Attacks without labels on networks whose dense layers stand at several places."""

import keras
import numpy as np
import pytest

from converters import convert_keras
from edgepro_tf import zoo
from edgepro_tf.audit.attacks.unlabelled import cluster_features
from edgepro_tf.audit.target import make_target
from edgepro_tf.datasets import Dataset
from tests.edgepro_tf.audit.conftest import make_bench


def test_features_are_a_row_for_each_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """TFLite's dense layer behind attention has all places of all examples as rows."""
    keras.utils.set_random_seed(0)
    model = zoo.build_model("transformer", (8, 8, 1), 3, width=4)
    x = np.random.default_rng(0).random((90, 8, 8, 1), np.float32)
    y = np.arange(90, dtype=np.int32) % 3
    data = Dataset(x[:60], y[:60], x[60:], y[60:], "noise", 3)
    pair = convert_keras(model)
    target = make_target(pair.public, pair.payload)
    bench = make_bench(target, data, shares=(0.1,))
    found = cluster_features(bench, bench.thief(0.1, 0))
    assert 1 / 3 <= found.accuracy <= 1  # Names are dealt for the best.
    last = max(i for i, one in enumerate(bench.network.linears) if not one.is_head)
    whole = bench.outputs(target.authorized, bench.x_test, last)
    assert whole.shape == (30, 16, 4)
    monkeypatch.setattr(bench, "_at_once", 7)
    sliced = bench.outputs(target.authorized, bench.x_test, last)
    np.testing.assert_allclose(sliced, whole, atol=1e-5)
