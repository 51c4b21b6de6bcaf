"""Accuracy (R2 of numbers) of a ``.tflite``: public, restored, or wrongly so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepro_tf.audit.scoring.labels import fit_labels
from edgepro_tf.audit.scoring.scores import score_outputs
from edgepro_tf.errors import InterpreterError
from edgepro_tf.inputs import split_inputs
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from edgepro_tf.runtime.running import (
    check_shape,
    list_inputs,
    ordered_details,
    output_details,
    pick_output,
    quantize_inputs,
    run_real,
    signature_shape,
)

if TYPE_CHECKING:
    from edgepro_tf.datasets import Dataset

_BATCH = 256


def measure_accuracy(
    interpreter: Any, x: np.ndarray, y: np.ndarray, output: str | None = None
) -> float:
    """Top-1 accuracy of a classifier, R2 of a model that answers with numbers.

    One output unit tells two classes apart.

    Args:
        interpreter: allocated.
        x: [examples, ...] real inputs, or what ``join_inputs`` makes of several;
            quantised here where the model's inputs are.
        y: as ``fit_labels`` gives them: int [examples] class numbers, or [examples,
            ...] one at each place; or float numbers in the output's shape.
        output: by name; None for the only one.

    Returns:
        Share of examples (places) whose largest score is at their class, or
        ``r_squared``; 0 to 1.
    """
    details = ordered_details(interpreter)
    output = pick_output("the model", interpreter, output)
    fixed = signature_shape(next(iter(details.values())))[0]
    batch = _BATCH if fixed == -1 else fixed
    found = []
    for start in range(0, len(x), batch):
        count = min(batch, len(x) - start)
        # The last rows of a fixed batch are the first again.
        rows = np.arange(start, start + (count if fixed == -1 else batch)) % len(x)
        sample = quantize_inputs(x[rows], details)
        scores = call_runtime(run_real, interpreter, sample, _task="run")[output]
        found.append(scores[:count])
    return score_outputs(np.concatenate(found), y)


def fit_data(
    model: str, interpreter: Any, data: Dataset, output: str | None = None
) -> Dataset:
    """A data set as a model's inputs and output take it.

    Args:
        model: its name, for errors.
        interpreter: a runtime's interpreter.
        data: what it shall be judged by.
        output: the one that is judged; None for the only one.

    Raises:
        InterpreterError: inputs of other names or shapes, labels that are neither the
            output's classes nor its numbers (``fit_labels``), or no such output.
    """
    details = ordered_details(interpreter)
    if mismatch := data.find_mismatch(details):
        raise InterpreterError(
            f"cannot feed {model}: {mismatch}.",
            "Store an array for each: x_train_NAME and x_test_NAME.",
        )
    data = data.fit_inputs(list_inputs(details))
    for detail, x in zip(
        details.values(), split_inputs(data.x_test).values(), strict=True
    ):
        check_shape(model, detail, x)
    name = pick_output(model, interpreter, output)
    return fit_labels(model, signature_shape(output_details(interpreter)[name]), data)


def public_accuracy(
    public: bytes, x: np.ndarray, y: np.ndarray, output: str | None = None
) -> float:
    """Accuracy of the public model in a stock interpreter, without any lock."""
    interpreter = make_interpreter(public)
    interpreter.allocate_tensors()
    return measure_accuracy(interpreter, x, y, output)


def restored_accuracy(
    public: bytes, payload: bytes, x: np.ndarray, y: np.ndarray
) -> float:
    """Accuracy of the public model restored by a payload, right or wrong."""
    return measure_accuracy(open_with_payload(public, payload), x, y)


def wrong_lock_accuracies(
    public: bytes, payloads: Iterable[bytes], x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """float64 [locks]: accuracy under each wrong lock."""
    return np.array([restored_accuracy(public, payload, x, y) for payload in payloads])
