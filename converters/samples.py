"""Inputs for verification, in the shapes and types the model's signature has."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from edgepro_tf.errors import ConversionError
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import input_details, quantize_input

Sample = dict[str, np.ndarray]  # inputs of batch 1 by name

COUNT = 4
MOST_ROWS = 1000
MOST_S = 2.0  # For each pass over so many rows.
_MOST_BYTES = 1 << 26
UNKNOWN_EXTENT = 32  # of axes that the model leaves open, the batch apart


def make_samples(
    model: bytes, samples: Any = None, *, most: int = COUNT
) -> list[Sample]:
    """A few inputs of batch 1 for the first signature of a flatbuffer.

    Args:
        model: the flatbuffer.
        samples: an array [count, ...]; a list or tuple with such an array for each
            input, in the model's order; a dict of them by input name; or what a
            representative dataset yields (a list of lists or dicts of batch 1). None
            for a few of normal noise, and zeros and ones for integers: they may be
            indices.
        most: so many of the samples given.

    Raises:
        ConversionError: the samples do not fit the model's inputs.
        InterpreterError: no runtime opens the model.
    """
    details = _ordered_details(make_interpreter(model))
    if samples is None:
        rng = np.random.default_rng(0)
        rows = [
            {name: _make_noise(detail, rng) for name, detail in details.items()}
            for _ in range(COUNT)
        ]
    else:
        rows = list_samples(samples, list(details), most)
        if not rows:
            raise ConversionError(
                "cannot verify model: expected a sample at least, got none."
            )
        rows = rows[: max(COUNT, _MOST_BYTES // max(1, _size(rows[:1])))]
    return [
        {name: _fit(row[name], name, detail) for name, detail in details.items()}
        for row in rows
    ]


def take_samples(dataset: Iterable[Any]) -> list[Any]:
    """The first of what a representative dataset yields: a few, and as many more as
    there is time and memory for.
    """
    found: list[Any] = []
    left, deadline = _MOST_BYTES, time.perf_counter() + MOST_S
    for sample in itertools.islice(dataset, MOST_ROWS):
        found.append(sample)
        left -= _size([sample])
        if len(found) >= COUNT and (left <= 0 or time.perf_counter() > deadline):
            break
    return found


def _size(rows: list[Any]) -> int:
    """Bytes of rows, each a list or dict of arrays."""
    return sum(
        np.asarray(array).nbytes
        for row in rows
        for array in (row.values() if isinstance(row, dict) else row)
    )


def _ordered_details(interpreter: Any) -> dict[str, dict[str, Any]]:
    """Input details by name, in the file's order; a signature's are by alphabet."""
    details = input_details(interpreter)
    order = [detail["index"] for detail in interpreter.get_input_details()]
    if not all(detail["index"] in order for detail in details.values()):
        return details
    by_order = sorted(details.items(), key=lambda item: order.index(item[1]["index"]))
    return dict(by_order)


def _make_noise(detail: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    signature = detail.get("shape_signature", detail["shape"])
    shape = [
        UNKNOWN_EXTENT if axis and unknown < 0 else extent
        for axis, (extent, unknown) in enumerate(
            zip(detail["shape"], signature, strict=True)
        )
    ]
    is_index = np.dtype(detail["dtype"]).kind in "iub" and not detail["quantization"][0]
    return rng.integers(0, 2, shape) if is_index else rng.normal(size=shape)


def list_samples(samples: Any, names: list[str], most: int) -> list[Sample]:
    """The first samples as a list of dicts: input name -> array of batch 1.

    Raises:
        ConversionError: there are fewer arrays than inputs.
    """
    if isinstance(samples, (list, tuple, dict)) and not samples:
        return []
    if isinstance(samples, list) and isinstance(samples[0], (list, dict)):
        # What a representative dataset yields.
        return [_by_name(sample, names) for sample in samples[:most]]
    arrays = _by_name(
        samples if isinstance(samples, (dict, list, tuple)) else [samples], names
    )
    counts = [len(array) for array in arrays.values()]
    if len(set(counts)) > 1:
        raise ConversionError(
            "cannot verify model: expected as many samples for every input, got "
            f"{', '.join(map(str, counts))}."
        )
    count = min(most, *counts)
    return [
        {name: array[i : i + 1] for name, array in arrays.items()} for i in range(count)
    ]


def _by_name(arrays: Any, names: list[str]) -> dict[str, np.ndarray]:
    if not isinstance(arrays, dict):
        arrays = dict(zip(names, arrays, strict=False))
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ConversionError(
            f"cannot verify model: expected samples for the inputs {', '.join(names)}, "
            f"got none for {', '.join(missing)}.",
            "Pass a dict of arrays by input name.",
        )
    return {name: np.asarray(arrays[name]) for name in names}


def _fit(values: np.ndarray, name: str, detail: dict[str, Any]) -> np.ndarray:
    shape = tuple(int(extent) for extent in detail["shape"])
    signature = tuple(int(extent) for extent in detail.get("shape_signature", shape))
    fits = len(values.shape) == len(signature) and all(
        extent in (-1, got) for extent, got in zip(signature, values.shape, strict=True)
    )
    if not fits and int(np.prod(shape)) == values.size:
        values, fits = values.reshape(shape), True
    if not fits:
        raise ConversionError(
            f"cannot verify model: expected samples of shape {signature} for input "
            f"{name!r}, got {values.shape}."
        )
    return quantize_input(values, detail)
