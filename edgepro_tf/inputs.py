"""Samples of a model with several inputs, in one array like those of any other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ONLY = ""  # The name of an input that has no sisters.


def join_inputs(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """One array with a row for each sample, whatever its inputs.

    Args:
        arrays: [samples, ...] by input name.

    Returns:
        A structured array [samples] with a field for each input; a lone array as it
        is.

    Raises:
        ValueError: there is none, or they differ in the number of samples.

    Example:
        >>> join_inputs({"image": np.zeros((5, 8, 8)), "age": np.zeros(5)}).shape
        (5,)
    """
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(f"expected as many samples for each input, got {counts}")
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    fields = [(name, array.dtype, array.shape[1:]) for name, array in arrays.items()]
    joined = np.empty(next(iter(counts.values())), fields)
    for name, array in arrays.items():
        joined[name] = array
    return joined


def split_inputs(samples: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays that ``join_inputs`` made one of; a lone one is named ``ONLY``."""
    names = samples.dtype.names
    return {ONLY: samples} if names is None else {name: samples[name] for name in names}


def flatten_inputs(samples: np.ndarray) -> np.ndarray:
    """float32: a lone input as it is, several in one row [samples, numbers]."""
    arrays = split_inputs(samples)
    if len(arrays) == 1:
        return np.asarray(next(iter(arrays.values())), np.float32)
    rows = [np.reshape(array, (len(samples), -1)) for array in arrays.values()]
    return np.concatenate(rows, 1, dtype=np.float32)
