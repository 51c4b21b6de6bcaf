"""The step benchmark times a locked network's step beside the same one unlocked."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import training_step
from edgepro_tf.cli.training_job import build_network
from edgepro_tf.datasets import load_dataset
from edgepro_tf.locking import is_locked


@pytest.mark.parametrize("preset", ["A/A", "paper"])
def test_a_ratio_is_of_the_second_step_over_the_ordinary_one(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = []

    def time_pairs(first: Any, second: Any, *, pairs: int) -> SimpleNamespace:
        timed.append([is_locked(first), is_locked(second)])
        return SimpleNamespace(first_s=[0.5] * pairs, second_s=[0.6] * pairs)

    monkeypatch.setattr(training_step, "_step", lambda model, batch: model)
    monkeypatch.setattr(training_step, "time_pairs", time_pairs)
    figures = training_step.measure_step(
        load_dataset("digits"), "mlp", preset, batch_size=8, rounds=2, pairs=3
    )
    assert timed == [[False, preset == "paper"]] * 2
    assert figures["ratio"] == pytest.approx(1.2)
    assert figures["interval"] == pytest.approx([1.2, 1.2])
    assert figures["ms"] == pytest.approx(600)


@pytest.mark.parametrize("lock", ["none", "paper"])
def test_a_step_trains(lock: str) -> None:
    data = load_dataset("digits")
    model = build_network("mlp", data, lock=lock)
    step = training_step._step(model, (data.x_train[:8], data.y_train[:8]))
    before = [np.array(v) for v in model.trainable_variables]
    step()
    assert all(
        np.any(old != new)
        for old, new in zip(before, model.trainable_variables, strict=True)
    )
