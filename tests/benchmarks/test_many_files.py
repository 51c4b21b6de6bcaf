"""What many files tell together is told of labels, not of chance."""

import numpy as np

from benchmarks.many_files import (
    guess_without_labels,
    learn_with_labels,
    measure_files,
)
from edgepro_tf.datasets import Dataset


def test_where_no_label_lies_tells_where_they_do() -> None:
    x = np.random.default_rng(0).normal(size=(400, 12)).astype(np.float32)
    y = (x[:, 3] > 0).astype(int)
    data = Dataset(x[:200], y[:200], x[200:], y[200:], "halves", 2)
    others = np.delete(np.eye(12), 3, axis=0)
    assert guess_without_labels(others, data) == 1
    without, informed = (
        learn_with_labels(each, data, 5) for each in (others[:0], others)
    )
    assert without < 0.8 and informed > 0.9


def test_files_are_compared_with_none() -> None:
    found = measure_files(0, [1], 10, is_drawn=True)
    assert found.keys() == {0, 1}
    assert all(0.5 <= without <= 1 for without, _ in found.values())
    assert 0.6 < found[0][1] < 1
