"""What the demo measures: one variant of a model, from Keras to a restored pair."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepro_tf.audit.scoring import accuracy
from edgepro_tf.audit.wrong_locks import draw_wrong_payloads
from edgepro_tf.files import write_file
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import input_details, run_model
from edgepro_tf.runtime.timing import Timing, time_pairs

if TYPE_CHECKING:
    from converters import ProtectedModel
    from edgepro_tf.datasets import Dataset

LATENCY_PAIRS = 300
LOAD_PAIRS = 40


@dataclasses.dataclass(frozen=True)
class Variant:
    """Everything one column of the demo's table says. Accuracies are shares, 0 to 1."""

    name: str
    keras_authorized: float
    keras_released: float | None
    tflite_authorized: float
    tflite_released: float
    wrong_mean: float
    wrong_worst: float
    wrong_count: int
    model_bytes: int
    sidecar_bytes: int
    latency: Timing
    load: Timing

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        numbers = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not isinstance(getattr(self, field.name), Timing)
        }
        for name, timing in (("latency", self.latency), ("load", self.load)):
            numbers[f"{name}_ms"] = timing.second_median_s * 1e3
            numbers[f"{name}_unprotected_ms"] = timing.first_median_s * 1e3
            numbers[f"{name}_ratio"] = timing.ratio
            numbers[f"{name}_ratio_interval"] = timing.ratio_interval()
        return numbers


def measure_variant(
    name: str,
    protected: ProtectedModel,
    data: Dataset,
    *,
    sidecar_bytes: int,
    keras_authorized: float,
    keras_released: float | None,
    wrong_keys: int,
    progress: Callable[[Iterator[bytes], int], Iterator[bytes]],
) -> Variant:
    """Run a verified pair over the test set, right, bare and wrong.

    Args:
        name: heading of the column.
        protected: the pair.
        data: its ``x_test``, ``y_test`` are used.
        sidecar_bytes: size of the sealed sidecar.
        keras_authorized: accuracy of the Keras network under its lock.
        keras_released: the same without; None for a network trained without a lock.
        wrong_keys: number of wrong locks.
        progress: wraps an iterator with a known length, to show it.
    """
    x, y = data.x_test, data.y_test
    wrong = accuracy.wrong_lock_accuracies(
        protected.public,
        progress(draw_wrong_payloads(protected.lock, wrong_keys), wrong_keys),
        x,
        y,
    )
    return Variant(
        name=name,
        keras_authorized=keras_authorized,
        keras_released=keras_released,
        tflite_authorized=accuracy.restored_accuracy(
            protected.public, protected.payload, x, y
        ),
        tflite_released=accuracy.public_accuracy(protected.public, x, y),
        wrong_mean=float(wrong.mean()),
        wrong_worst=float(wrong.max()),
        wrong_count=wrong_keys,
        model_bytes=len(protected.public),
        sidecar_bytes=sidecar_bytes,
        latency=compare_latency(protected, x[:1]),
        load=compare_load(protected),
    )


def compare_latency(protected: ProtectedModel, x: np.ndarray) -> Timing:
    """Latency of one input: unprotected first, restored second."""
    plain = make_interpreter(protected.authorized, num_threads=1)
    plain.allocate_tensors()
    restored = open_with_payload(protected.public, protected.payload, num_threads=1)
    for interpreter in (plain, restored):
        (name,) = input_details(interpreter)
        run_model(interpreter, {name: x})  # Settles the batch size.
    return time_pairs(plain.invoke, restored.invoke, pairs=LATENCY_PAIRS, calls=20)


def compare_load(protected: ProtectedModel) -> Timing:
    """Time to an allocated interpreter: unprotected first, restored second."""

    def load_plain() -> None:
        make_interpreter(protected.authorized, num_threads=1).allocate_tensors()

    def load_restored() -> None:
        open_with_payload(protected.public, protected.payload, num_threads=1)

    return time_pairs(load_plain, load_restored, pairs=LOAD_PAIRS)


def write_results(path: Path, variants: list[Variant], facts: dict[str, Any]) -> None:
    """Write all figures as JSON."""
    document = facts | {"variants": [variant.to_dict() for variant in variants]}
    write_file(path, json.dumps(document, indent=2).encode(), overwrite=True)
