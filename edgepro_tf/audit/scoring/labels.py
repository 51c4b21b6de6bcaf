"""A data set's labels, as what a model's output can be judged by."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgepro_tf.errors import InterpreterError
from edgepro_tf.runtime.running import fits_shape

if TYPE_CHECKING:
    from edgepro_tf.datasets import Dataset

_MOST_NAMED = 4


def fit_labels(model: str, shape: Sequence[int], data: Dataset) -> Dataset:
    """Labels taken for classes where they can be, else for numbers.

    Integers are classes where there is one for each example (or place) and none is
    beyond the output's units. Floats, integers of more than two values, and several
    labels at once (0 and 1 for each unit, more than one of them 1 at times) are numbers
    where there is one for each element of an answer.

    Args:
        model: its name, for the error.
        shape: of the output, -1 for each axis left open.
        data: its labels are int or float.

    Returns:
        The data set with int class numbers [examples, ...], or float32 numbers in the
        output's shape.

    Raises:
        InterpreterError: they are neither.
    """
    labels = data.y_train, data.y_test
    places = shape[1:-1]
    if all(extent == 1 for extent in places):  # One place is no place.
        alone = [y.reshape(len(y), *places) if y.size == len(y) else y for y in labels]
    else:
        alone = list(labels)
    if all(_are_classes(y, shape) for y in alone):
        return dataclasses.replace(data, y_train=alone[0], y_test=alone[1])
    if _are_numbers(labels, shape):
        y_train, y_test = (_as_numbers(y, shape) for y in labels)
        return dataclasses.replace(data, y_train=y_train, y_test=y_test, classes=0)
    y = next(y for y in alone if not _are_classes(y, shape))
    raise InterpreterError(
        f"cannot judge {model}: expected labels of shape [count{_list(places)}], class "
        f"numbers from 0 to {_count(shape) - 1}, got {y.dtype} {list(y.shape)} from "
        f"{y.min():g} to {y.max():g} in {data.name}.",
        _find_remedy(alone, shape),
    )


def _find_remedy(labels: Sequence[np.ndarray], shape: Sequence[int]) -> str:
    """What to store instead of labels that are neither classes nor numbers."""
    found = np.unique(np.concatenate([y.ravel() for y in labels]))
    are_classes = found.dtype.kind in "iu" and len(found) <= _count(shape)
    if are_classes and all(_have_places(y, shape) for y in labels):
        if np.array_equal(found - found[0], np.arange(len(found))):
            return f"Number classes from 0: store y - {found[0]}."
        rest = ", ..." if len(found) > _MOST_NAMED else ""
        names = ", ".join(str(each) for each in found[:_MOST_NAMED])
        return f"Number classes from 0, as the model's units are, not {names}{rest}."
    return f"Of a model that answers with numbers, floats [count{_list(shape[1:])}]."


def _have_places(y: np.ndarray, shape: Sequence[int]) -> bool:
    return y.ndim == len(shape) - 1 and fits_shape(shape[1:-1], y.shape[1:])


def _are_classes(y: np.ndarray, shape: Sequence[int]) -> bool:
    is_named = y.dtype.kind in "iu" and 0 <= y.min() <= y.max() < _count(shape)
    return _have_places(y, shape) and is_named


def _count(shape: Sequence[int]) -> int:
    """Classes that an output tells apart; a single unit two."""
    return max([2, *shape[-1:]])


def _are_numbers(labels: Sequence[np.ndarray], shape: Sequence[int]) -> bool:
    values = np.concatenate([y.ravel() for y in labels])
    is_many = values.dtype.kind in "iu" and len(np.unique(values)) > 2
    are_numbers = is_many or values.dtype.kind == "f" or _are_several(labels, shape)
    return are_numbers and all(
        fits_shape(_longer(shape[1:]), _longer(y.shape[1:])) for y in labels
    )


def _are_several(labels: Sequence[np.ndarray], shape: Sequence[int]) -> bool:
    """Whether each unit has a label of its own, yes or no; of a single one, a class."""
    if _count(shape) != shape[-1] or any(y.ndim < 2 for y in labels):
        return False
    are_flags = all(np.all((y == 0) | (y == 1)) for y in labels)
    return are_flags and not all(np.all(y.sum(-1) == 1) for y in labels)


def _as_numbers(y: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """float32 in the output's shape; axes of one element come and go."""
    extents = iter(_longer(y.shape[1:]))
    wanted = [1 if extent == 1 else next(extents) for extent in shape[1:]]
    return y.reshape(len(y), *wanted).astype(np.float32)


def _longer(shape: Sequence[int]) -> list[int]:
    return [extent for extent in shape if extent != 1]


def _list(shape: Sequence[int]) -> str:
    return "".join(f", {extent}" for extent in shape)
