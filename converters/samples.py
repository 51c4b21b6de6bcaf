"""Inputs to verify and to calibrate with, in the shapes and types of the model's."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgepro_tf.errors import ConversionError, InterpreterError
from edgepro_tf.inputs import split_inputs
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from edgepro_tf.runtime.running import (
    allocate_for,
    fits_shape,
    ordered_details,
    quantize_input,
    signature_shape,
    signatures_of,
)

Sample = dict[str, np.ndarray]  # inputs of one batch by name

COUNT = 4
COMPARED = 100  # The agreement of fewer answers is noise.
MOST_ROWS = 1000
MOST_S = 2.0  # For each pass over so many rows, if there are enough by then.
LONGEST_S = 30.0
_CALIBRATES = 200
_MOST_BYTES = 1 << 29  # A hundred inputs of 5 MB.
ELSEWHERE = (
    "Where only the device's runtime runs a model, --no_run, in Python runs=False, "
    "verifies its bytes alone."
)
# Of axes that the model leaves open, the batch apart: the first that a runtime takes.
# One fits all where the statistics of an adapted normalisation alone have the width.
_EXTENTS = (32, 128, 512, 1)

Shapes = Mapping[str, Sequence[int | None]]  # of inputs by name; None or -1 is open


def make_samples(
    model: bytes,
    samples: Any = None,
    *,
    most: int = COUNT,
    signature: str | None = None,
) -> list[Sample]:
    """A few inputs of batch 1 for a signature of a flatbuffer.

    Args:
        model: the flatbuffer.
        samples: an array [count, ...] (what ``join_inputs`` makes of several, too); a
            list or tuple with such an array for each input, in the model's order; a
            dict of them by input name; a ``tf.data.Dataset`` as for ``fit``; or what a
            representative dataset yields (a list of lists or dicts of one batch). A
            model of a fixed batch takes as many at a time. None for a few of normal
            noise, and zeros and ones for integers: they may be indices.
        most: so many of the samples given.
        signature: None for the first, if there is one.

    Raises:
        ConversionError: the samples do not fit the model's inputs.
        InterpreterError: no runtime opens the model.
    """
    try:
        interpreter = make_interpreter(model)
    except InterpreterError as error:
        raise InterpreterError(error.problem, ELSEWHERE) from error
    details = call_runtime(ordered_details, interpreter, signature)
    if samples is None:
        rows = _make_noise(model, details)
    else:
        shapes = {name: signature_shape(detail) for name, detail in details.items()}
        rows = _list_for(interpreter, samples, shapes, most)
        if not rows:
            raise ConversionError(
                "cannot verify model: expected a sample at least, got none."
            )
    most_rows = _MOST_BYTES // max(1, _size([_fit_all(rows[0], details)]))
    return [_fit_all(row, details) for row in rows[: max(COMPARED, most_rows)]]


def take_samples(dataset: Iterable[Any]) -> list[Any]:
    """The first of what a representative dataset yields: enough to compare answers, and
    as many more as there is time and memory for.
    """
    found: list[Any] = []
    left, started = _MOST_BYTES, time.perf_counter()
    for sample in itertools.islice(dataset, MOST_ROWS):
        found.append(sample)
        left -= _size([sample])
        if is_enough(len(found), started) or (left <= 0 and len(found) >= COUNT):
            break
    return found


def count_inputs(rows: Sequence[Sample], outputs: Sample | None = None) -> int:
    """How many inputs rows of a batch each have.

    Args:
        rows: of one model.
        outputs: its answers to one of them. A first axis that none of them has is no
            batch, but the length of a sound, say. None for as many as there may be.
    """
    return sum(_batch_of(row, outputs) for row in rows)


def _batch_of(row: Sample, outputs: Sample | None) -> int:
    found = max([1, *(len(array) for array in row.values() if array.ndim)])
    if outputs is not None:
        answers = {len(array) for array in outputs.values() if array.ndim}
        return found if found in answers else 1
    return found


def is_enough(rows: int, started: float) -> bool:
    """Whether a pass over rows shall end: enough of them in ``MOST_S``, or not even
    these in ``LONGEST_S``.
    """
    passed = time.perf_counter() - started
    return passed > (MOST_S if rows >= COMPARED else LONGEST_S) and rows >= COUNT


def _size(rows: list[Any]) -> int:
    """Bytes of rows, each a list or dict of arrays."""
    return sum(
        np.asarray(array).nbytes
        for row in rows
        for array in (row.values() if isinstance(row, dict) else row)
    )


def _make_noise(model: bytes, details: dict[str, dict[str, Any]]) -> list[Sample]:
    """Noise of a size that a runtime takes: filters may be wider than the least."""
    is_open = any(-1 in signature_shape(detail)[1:] for detail in details.values())
    for extent in _EXTENTS if is_open else _EXTENTS[:1]:
        rng = np.random.default_rng(0)
        rows = [
            {name: _noise(detail, extent, rng) for name, detail in details.items()}
            for _ in range(COUNT)
        ]
        if not is_open or _fits(model, details, rows[0]):
            break
    return rows


def vary_noise(rows: Sequence[Sample]) -> list[list[Sample]]:
    """What a model may take where it takes no noise: float inputs that it casts to
    indices, say. No negative numbers, then ones.
    """
    return [
        [
            {n: change(v) if v.dtype.kind == "f" else v for n, v in row.items()}
            for row in rows
        ]
        for change in (np.abs, np.ones_like)
    ]


def _noise(detail: dict[str, Any], extent: int, rng: np.random.Generator) -> np.ndarray:
    shape = [
        extent if axis and unknown < 0 else known
        for axis, (known, unknown) in enumerate(
            zip(detail["shape"], signature_shape(detail), strict=True)
        )
    ]
    is_index = np.dtype(detail["dtype"]).kind in "iub" and not detail["quantization"][0]
    return rng.integers(0, 2, shape) if is_index else rng.normal(size=shape)


def _fits(model: bytes, details: dict[str, dict[str, Any]], row: Sample) -> bool:
    given = {
        name: quantize_input(row[name], detail) for name, detail in details.items()
    }
    try:
        call_runtime(allocate_for, make_interpreter(model), given)
    except InterpreterError:
        return False
    return True


def _list_for(
    interpreter: Any, samples: Any, shapes: Shapes, most: int
) -> list[Sample]:
    """``list_samples``; of several signatures, an error names the one that is fed."""
    try:
        return list_samples(samples, shapes, most)
    except ConversionError as error:
        first, *rest = signatures_of(interpreter) or [""]
        if not rest:
            raise
        raise ConversionError(
            error.problem,
            f"Samples are for the file's first signature, {first!r}; others are "
            f"{', '.join(rest)}.",
        ) from error


def list_samples(samples: Any, shapes: Shapes, most: int) -> list[Sample]:
    """The first samples as a list of dicts: input name -> array of one batch.

    Args:
        samples: as for ``make_samples``, not None.
        shapes: of the model's inputs by name, in its order.
        most: so many of the batches given.

    Raises:
        ConversionError: there are fewer arrays than inputs, or they are no arrays of
            samples.
    """
    if isinstance(samples, (list, tuple, dict)) and not samples:
        return []
    samples = name_arrays(samples, shapes)
    if isinstance(samples, list) and isinstance(samples[0], (list, dict)):
        # What a representative dataset yields.
        return [_by_name(sample, list(shapes)) for sample in samples[:most]]
    arrays = _by_name(
        samples if isinstance(samples, (dict, list, tuple)) else [samples],
        list(shapes),
    )
    batches = {name: _batch(shapes[name], array) for name, array in arrays.items()}
    counts = [len(arrays[name]) // batches[name] for name in shapes]
    if len(set(counts)) > 1:
        raise ConversionError(
            "cannot verify model: expected as many samples for every input, got "
            f"{', '.join(map(str, counts))}."
        )
    return [
        {
            name: array[i * batches[name] :][: batches[name]]
            for name, array in arrays.items()
        }
        for i in range(min(most, *counts))
    ]


def calibrate_with(samples: Any, inputs: Sequence[Any]) -> Callable[[], Iterator[Any]]:
    """Samples as a representative dataset: a function that yields them in batches.

    Args:
        samples: as for ``make_samples``, not None.
        inputs: the Keras model's input tensors.

    Raises:
        ConversionError: there are none, or the samples do not fit them.
    """
    if not inputs:
        raise ConversionError(
            "cannot find the ranges of numbers: expected a functional model, or a "
            "Sequential one that is built: their inputs have names that samples go by.",
            "Wrap it: keras.Model(inputs, model(inputs)), inputs = keras.Input(shape); "
            "or pass a representative_dataset.",
        )
    types = {tensor.name: tensor.dtype for tensor in inputs}
    shapes = {tensor.name: tensor.shape for tensor in inputs}
    rows = [
        {name: _shaped(row[name], name, shape) for name, shape in shapes.items()}
        for row in list_samples(samples, shapes, _CALIBRATES)
    ]

    def generate() -> Iterator[Any]:
        for row in rows:
            given = {name: row[name].astype(types[name]) for name in types}
            yield given if len(given) > 1 else list(given.values())

    return generate


def name_arrays(samples: Any, shapes: Shapes) -> Any:
    """Samples of several inputs, or of a ``tf.data.Dataset``, as arrays by name.

    Args:
        samples: as for ``make_samples``.
        shapes: of the model's inputs by name, in the order of the samples.

    Returns:
        Arrays [count, ...] by name, at most ``MOST_ROWS`` of a dataset's; whatever else
        is given, as it is.
    """
    if hasattr(samples, "as_numpy_iterator"):
        return _take_elements(samples.as_numpy_iterator(), shapes)
    if isinstance(samples, np.ndarray) and samples.dtype.names:
        return split_inputs(samples)
    is_list = isinstance(samples, (list, tuple)) and 0 < len(samples) <= len(shapes)
    if is_list and all(isinstance(each, np.ndarray) for each in samples):
        return dict(zip(shapes, samples, strict=False))
    return samples


def _take_elements(elements: Iterable[Any], shapes: Shapes) -> dict[str, np.ndarray]:
    """The first inputs of a dataset, batched or not, as ``fit`` takes it: of a tuple
    the first part, without labels and weights.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in shapes}
    count = size = 0
    for element in elements:
        inputs = element[0] if isinstance(element, tuple) else element
        several = isinstance(inputs, (dict, list, tuple))
        named = _by_name(inputs if several else [inputs], list(shapes))
        for name, shape in shapes.items():
            is_one = _is_one(named[name], shape)
            found[name].append(named[name][None] if is_one else named[name])
        count += len(found[name][-1])
        size += _size([named])
        if count >= MOST_ROWS or size >= _MOST_BYTES:
            break
    if not count:
        raise ConversionError(
            "cannot verify model: expected a sample at least, got none."
        )
    try:
        return {name: np.concatenate(each) for name, each in found.items()}
    except ValueError as error:
        raise ConversionError(
            f"cannot verify model: expected samples of one shape, got others: {error}."
        ) from error


def _is_one(array: np.ndarray, shape: Sequence[int | None]) -> bool:
    """Whether it is a single example for an input of this shape, not a batch."""
    extents = [extent for extent in shape[1:] if extent is not None and extent > 0]
    if len(extents) < len(shape) - 1:
        return array.ndim < len(shape)
    return array.size == int(np.prod(extents)) and array.shape[:1] != (1,)


def _batch(shape: Sequence[int | None], array: np.ndarray) -> int:
    """How many samples of an array the model takes at a time."""
    if array.ndim == 0:
        raise ConversionError(
            "cannot verify model: expected samples as arrays [count, ...], got "
            f"{type(array.item()).__name__}.",
            "Gather them in one array for each input.",
        )
    fixed = shape[0] if shape else None
    if not fixed or fixed < 0 or array.ndim != len(shape):
        return 1
    if len(array) < fixed:
        raise ConversionError(
            f"cannot verify model: expected at least {fixed} samples, which the model "
            f"takes at a time, got {len(array)}."
        )
    return fixed


def _by_name(arrays: Any, names: list[str]) -> dict[str, np.ndarray]:
    if not isinstance(arrays, dict):
        if len(arrays) > len(names):
            raise ConversionError(
                "cannot verify model: expected an array of samples for each input, got "
                f"{len(arrays)} for {len(names)}.",
                "Gather them in one array for each input, without labels.",
            )
        arrays = dict(zip(names, arrays, strict=False))
    missing = [name for name in names if name not in arrays]
    if missing:
        given = ", ".join([*map(str, arrays), f"none for {', '.join(missing)}"])
        raise ConversionError(
            f"cannot verify model: expected samples for the inputs {', '.join(names)}, "
            f"got {given}.",
            "Pass a dict of arrays by input name.",
        )
    try:
        return {name: np.asarray(arrays[name]) for name in names}
    except ValueError as error:
        raise ConversionError(
            "cannot verify model: expected samples as arrays [count, ...], got parts "
            "of several shapes.",
            "Gather them in one array for each input.",
        ) from error


def _fit_all(row: Sample, details: dict[str, dict[str, Any]]) -> Sample:
    return {name: _fit(row[name], name, detail) for name, detail in details.items()}


def _fit(values: np.ndarray, name: str, detail: dict[str, Any]) -> np.ndarray:
    return quantize_input(_shaped(values, name, signature_shape(detail)), detail)


def _shaped(values: np.ndarray, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """One batch in an input's shape: images without their one channel, say, get it.

    So do flat ones. Axes in another order (channels first) are other images.
    """
    wanted = tuple(-1 if extent is None else extent for extent in shape)
    least = [abs(extent) for extent in wanted]  # 1 where an axis is open.
    if fits_shape(wanted, values.shape):
        return values
    own, given = ([n for n in each if n != 1] for each in (least, values.shape))
    if given in (own, [int(np.prod(least))]):
        return values.reshape(least)
    raise ConversionError(
        f"cannot verify model: expected samples of shape {wanted} for input "
        f"{name!r}, got {values.shape}."
    )
