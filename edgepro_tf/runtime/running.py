"""Feed an interpreter by input name, whether or not its model has signatures."""

from __future__ import annotations

from typing import Any

import numpy as np


def input_details(interpreter: Any) -> dict[str, dict[str, Any]]:
    """The runtime's input details by name, of the first signature if there is one."""
    key = _first_signature(interpreter)
    if key is not None:
        return dict(interpreter.get_signature_runner(key).get_input_details())
    return {detail["name"]: detail for detail in interpreter.get_input_details()}


def run_model(interpreter: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run once; inputs are resized to the arrays given.

    Args:
        interpreter: a runtime's interpreter, allocated.
        inputs: arrays by input name, in the model's own types.

    Returns:
        Copies of the outputs by name.
    """
    key = _first_signature(interpreter)
    if key is not None:
        outputs = interpreter.get_signature_runner(key)(**inputs)
        return {name: np.copy(value) for name, value in outputs.items()}
    allocate_for(interpreter, inputs)
    for name, detail in input_details(interpreter).items():
        interpreter.set_tensor(detail["index"], inputs[name])
    interpreter.invoke()
    return {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_output_details()
    }


def allocate_for(interpreter: Any, inputs: dict[str, np.ndarray]) -> None:
    """Resize an interpreter's inputs to arrays of these names, and allocate."""
    for name, detail in input_details(interpreter).items():
        if tuple(detail["shape"]) != inputs[name].shape:
            interpreter.resize_tensor_input(detail["index"], inputs[name].shape)
    interpreter.allocate_tensors()


def quantize_input(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Real numbers in the type of an input, quantised where the input is.

    Args:
        values: any numeric array.
        detail: from ``input_details``.

    Returns:
        The same shape in the input's dtype: ``round(x / scale + zero_point)`` clipped
        for an integer input with a scale, a cast otherwise.
    """
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if scale and dtype.kind in "iu" and values.dtype.kind == "f":
        info = np.iinfo(dtype)
        values = np.clip(np.rint(values / scale + zero_point), info.min, info.max)
    return np.ascontiguousarray(values, dtype)


def _first_signature(interpreter: Any) -> str | None:
    return next(iter(interpreter.get_signature_list()), None)
