"""Feed an interpreter by input name, with signatures or without; read its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepro_tf.errors import InterpreterError
from edgepro_tf.inputs import split_inputs


def signatures_of(interpreter: Any) -> list[str]:
    """Names of the model's signatures, as the runtime orders them (by alphabet)."""
    return list(interpreter.get_signature_list())


def input_details(
    interpreter: Any, signature: str | None = None
) -> dict[str, dict[str, Any]]:
    """The runtime's input details by name.

    Args:
        interpreter: a runtime's interpreter.
        signature: one of ``signatures_of``; None for the first, if there is one.
    """
    key = signature or _first_signature(interpreter)
    if key is not None:
        found = interpreter.get_signature_runner(key).get_input_details()
        # Not the tensor's name, serving_default_x:0, which no caller knows.
        return {name: {**detail, "name": name} for name, detail in found.items()}
    return _by_name(interpreter.get_input_details())


def ordered_details(
    interpreter: Any, signature: str | None = None
) -> dict[str, dict[str, Any]]:
    """``input_details`` in the file's order; a signature's are by alphabet."""
    details = input_details(interpreter, signature)
    order = [detail["index"] for detail in interpreter.get_input_details()]
    if not all(detail["index"] in order for detail in details.values()):
        return details
    by_order = sorted(details.items(), key=lambda item: order.index(item[1]["index"]))
    return dict(by_order)


def output_details(interpreter: Any) -> dict[str, dict[str, Any]]:
    """The runtime's output details by name, of the first signature if there is one."""
    key = _first_signature(interpreter)
    if key is not None:
        return dict(interpreter.get_signature_runner(key).get_output_details())
    return _by_name(interpreter.get_output_details())


def pick_output(model: str, interpreter: Any, output: str | None = None) -> str:
    """The name of the output to judge.

    Args:
        model: its name, for the error.
        interpreter: a runtime's interpreter.
        output: None for the only one.

    Raises:
        InterpreterError: there is none of this name, or several to choose from.
    """
    known = output_details(interpreter)
    if output is None and len(known) == 1:
        return next(iter(known))
    if output not in known:
        got = "several" if output is None else repr(output)
        # By its shape one is known whom a converter has given another name.
        shaped = [f"{name} {_describe(known[name])}" for name in known]
        raise InterpreterError(
            f"cannot judge {model}: expected one of the outputs {', '.join(shaped)}, "
            f"got {got}.",
            "Name it: --answers NAME, in Python output=NAME." if output is None else "",
        )
    return output


def run_model(
    interpreter: Any, inputs: dict[str, np.ndarray], signature: str | None = None
) -> dict[str, np.ndarray]:
    """Run once; inputs are resized to the arrays given.

    Args:
        interpreter: a runtime's interpreter, allocated.
        inputs: arrays by input name, in the model's own types.
        signature: as for ``input_details``.

    Returns:
        Copies of the outputs by name.
    """
    key = signature or _first_signature(interpreter)
    if key is not None:
        outputs = interpreter.get_signature_runner(key)(**inputs)
        return {name: np.copy(value) for name, value in outputs.items()}
    allocate_for(interpreter, inputs)
    for name, detail in input_details(interpreter).items():
        interpreter.set_tensor(detail["index"], inputs[name])
    interpreter.invoke()
    return {
        name: interpreter.get_tensor(detail["index"])
        for name, detail in output_details(interpreter).items()
    }


def run_real(interpreter: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``run_model`` by the first signature; quantised outputs as what they stand for.

    Returns:
        The outputs by name; float64 where they were quantised.
    """
    outputs = run_model(interpreter, inputs)
    if all(value.dtype.kind == "f" for value in outputs.values()):
        return outputs  # Asking for their details takes as long as a small network.
    details = output_details(interpreter)
    return {name: _dequantize(value, details[name]) for name, value in outputs.items()}


def check_signature(model: str, interpreter: Any, signature: str | None) -> None:
    """Refuse a signature that the model has not; None is none.

    Args:
        model: its name, for the error.
        interpreter: a runtime's interpreter.
        signature: by name.

    Raises:
        InterpreterError: the model has no such signature.
    """
    known = signatures_of(interpreter)
    if signature is not None and signature not in known:
        raise InterpreterError(
            f"cannot feed {model}: expected a signature of "
            f"{', '.join(known) or 'none at all'}, got {signature!r}."
        )


def signature_shape(detail: dict[str, Any]) -> tuple[int, ...]:
    """Shape of an input or output, from its details; -1 for each axis left open."""
    key = "shape_signature" if "shape_signature" in detail else "shape"
    return tuple(int(extent) for extent in detail[key])


def fits_shape(wanted: Sequence[int], given: Sequence[int]) -> bool:
    """Whether a shape is as wanted; -1 is any extent."""
    return len(wanted) == len(given) and all(
        extent in (-1, got) for extent, got in zip(wanted, given, strict=True)
    )


def check_shape(model: str, detail: dict[str, Any], values: np.ndarray) -> None:
    """Check values before an input takes them: runtimes resize to any shape, and then
    answer or fail as it happens.

    Args:
        model: its name, for the error.
        detail: from ``input_details``.
        values: array [count, ...]; the count is free. [] for an input without axes.

    Raises:
        InterpreterError: they have another shape.
    """
    wanted = signature_shape(detail)
    of_any_count = (-1, *wanted[1:]) if wanted else ()
    if not fits_shape(of_any_count, values.shape):
        rest = "".join(f", {'any' if n == -1 else n}" for n in wanted[1:])
        shape = f"an array of shape [count{rest}]" if wanted else "a single number"
        raise InterpreterError(
            f"cannot feed input {detail['name']!r} of {model}: expected {shape}, got "
            f"{list(values.shape)}."
        )


def allocate_for(interpreter: Any, inputs: dict[str, np.ndarray]) -> None:
    """Resize an interpreter's inputs to arrays of these names, and allocate."""
    for name, detail in input_details(interpreter).items():
        if tuple(detail["shape"]) != inputs[name].shape:
            interpreter.resize_tensor_input(detail["index"], inputs[name].shape)
    interpreter.allocate_tensors()


def list_inputs(details: dict[str, dict[str, Any]]) -> dict[str, tuple[int, bool]]:
    """By name, each input's rank and whether it takes integers that stand for
    themselves, as ``Dataset.fit_inputs`` wants them.

    Args:
        details: from ``ordered_details``.
    """
    return {
        name: (
            len(signature_shape(detail)),
            np.dtype(detail["dtype"]).kind in "iu" and not detail["quantization"][0],
        )
        for name, detail in details.items()
    }


def quantize_input(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Real numbers in the type of an input, quantised where the input is.

    Args:
        values: any numeric array.
        detail: from ``input_details``.

    Returns:
        The same shape in the input's dtype: ``round(x / scale + zero_point)`` clipped
        for real numbers and an integer input with a scale, the same values otherwise.

    Raises:
        InterpreterError: an integer input would not hold them, or complex numbers a
            real one.
    """
    dtype = np.dtype(detail["dtype"])
    if values.dtype.kind == "c" and dtype.kind != "c":
        raise InterpreterError(
            f"cannot feed input {detail['name']!r}: expected real numbers, got "
            f"{values.dtype}.",
            "Give its parts: a model has an input or a channel for each.",
        )
    if dtype.kind not in "iu":
        return np.asarray(values, dtype, order="C")
    info = np.iinfo(dtype)
    scale, zero_point = detail["quantization"]
    is_real = values.dtype.kind == "f"
    if is_real and scale and np.all(np.isfinite(values)):
        values = np.clip(np.rint(values / scale + zero_point), info.min, info.max)
    fits = values.size == 0 or (info.min <= values.min() and values.max() <= info.max)
    if not fits or (is_real and np.any(values != np.rint(values))):
        raise InterpreterError(
            f"cannot feed input {detail['name']!r}: expected integers from {info.min} "
            f"to {info.max}, got {values.dtype} from {values.min():g} to "
            f"{values.max():g}.",
            "Real numbers (float) are quantised here." if scale else "",
        )
    return np.asarray(values, dtype, order="C")


def quantize_inputs(
    samples: np.ndarray, details: dict[str, dict[str, Any]]
) -> dict[str, np.ndarray]:
    """``quantize_input`` for each input of a model.

    Args:
        samples: of a lone input, or what ``join_inputs`` makes of several in the order
            of the details.
        details: from ``ordered_details``.
    """
    arrays = split_inputs(samples).values()
    return {
        name: quantize_input(values, detail)
        for (name, detail), values in zip(details.items(), arrays, strict=True)
    }


def predict_classes(scores: np.ndarray) -> np.ndarray:
    """The class that a classifier's scores name.

    Args:
        scores: [examples, classes], probabilities or logits. One column is the score of
            class 1 beside class 0: from 0.5 on where all scores are probabilities,
            from 0 on otherwise.

    Returns:
        int64 [examples].
    """
    if scores.shape[-1] > 1:
        return np.asarray(np.argmax(scores, -1))
    least = 0.5 if are_probabilities(scores) else 0
    return (scores[..., 0] >= least).astype(np.int64)


def are_probabilities(scores: np.ndarray) -> bool:
    """Whether there are numbers, and all of them lie from 0 to 1."""
    return bool(scores.size and scores.min() >= 0 and scores.max() <= 1)


def sum_to_one(scores: np.ndarray) -> bool:
    """Whether probabilities [..., classes] are a softmax's, be it in 256 steps."""
    rounding = max(0.1, min(0.5, scores.shape[-1] / 400))
    return bool(np.all(abs(scores.sum(-1) - 1) <= rounding))


def _describe(detail: dict[str, Any]) -> str:
    """The shape of an answer, without its batch."""
    return str(list(signature_shape(detail)[1:]))


def _dequantize(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if values.dtype.kind not in "iu" or not scale:
        return values
    real: np.ndarray = (values.astype(np.float64) - zero_point) * scale
    return real


def _first_signature(interpreter: Any) -> str | None:
    return next(iter(signatures_of(interpreter)), None)


def _by_name(details: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those whose name others have, or that have none, get their number to it."""
    names = [detail["name"] for detail in details]
    return {
        name if name and names.count(name) == 1 else f"{name}:{number}": detail
        for number, (name, detail) in enumerate(zip(names, details, strict=True))
    }
