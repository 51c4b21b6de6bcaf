"""The step benchmark times a locked network's step beside the same one unlocked."""

import numpy as np
import pytest

from benchmarks import training_step
from edgepro_tf.datasets import load_dataset


@pytest.mark.parametrize("preset", ["A/A", "paper"])
def test_a_ratio_of_two_steps(preset: str) -> None:
    figures = training_step.measure_step(
        load_dataset("digits"), "mlp", preset, batch_size=8, rounds=2, pairs=3
    )
    low, high = figures["interval"]
    assert 0 < low <= figures["ratio"] <= high and np.isfinite(high)
    assert figures["ms"] > 0
