"""Accuracy of a ``.tflite``: public, restored, or restored by a wrong lock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepro_tf.errors import InterpreterError
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from edgepro_tf.runtime.running import (
    check_shape,
    input_details,
    only_input,
    predict_classes,
    quantize_input,
    run_real,
)

if TYPE_CHECKING:
    from edgepro_tf.datasets import Dataset

_BATCH = 256


def measure_accuracy(interpreter: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Top-1 accuracy of a classifier with one input and one output.

    One output unit tells two classes apart.

    Args:
        interpreter: allocated.
        x: [examples, ...] real inputs; quantised here where the model's input is.
        y: int [examples] class numbers.

    Returns:
        Share of examples whose largest output is at their class, 0 to 1.
    """
    ((name, detail),) = input_details(interpreter).items()
    signature = detail.get("shape_signature", detail["shape"])
    batch = _BATCH if int(signature[0]) == -1 else int(signature[0])
    found = []
    for start in range(0, len(x), batch):
        piece = x[start : start + batch]
        count = len(piece)
        if count < batch and int(signature[0]) != -1:
            piece = np.concatenate([piece, np.repeat(piece[:1], batch - count, 0)])
        sample = {name: quantize_input(piece, detail)}
        (scores,) = call_runtime(run_real, interpreter, sample, _task="run").values()
        found.append(scores[:count])
    return float(np.mean(predict_classes(np.concatenate(found)) == y))


def fit_data(model: str, interpreter: Any, data: Dataset) -> Dataset:
    """A data set as a classifier's input takes it.

    Args:
        model: its name, for errors.
        interpreter: a runtime's interpreter.
        data: what it shall be judged by.

    Raises:
        InterpreterError: the model has several inputs, or one of another shape; or the
            data set has more classes than the first output.
    """
    _, detail = only_input(model, interpreter)
    is_integer = (
        np.dtype(detail["dtype"]).kind in "iu" and not detail["quantization"][0]
    )
    data = data.fit_input(len(detail["shape_signature"]), takes_bytes=is_integer)
    check_shape(model, detail, data.x_test)
    _check_classes(model, interpreter, data)
    return data


def _check_classes(model: str, interpreter: Any, data: Dataset) -> None:
    units = int(interpreter.get_output_details()[0]["shape"][-1])
    classes = max(2, units)
    if data.classes > classes:
        raise InterpreterError(
            f"cannot judge {model}: expected labels of its {classes} classes, got "
            f"{data.classes} of {data.name}."
        )


def public_accuracy(public: bytes, x: np.ndarray, y: np.ndarray) -> float:
    """Accuracy of the public model in a stock interpreter, without any lock."""
    interpreter = make_interpreter(public)
    interpreter.allocate_tensors()
    return measure_accuracy(interpreter, x, y)


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
