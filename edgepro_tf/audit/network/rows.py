"""A filter by its rows: the elements that belong to each channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def filter_rows(values: np.ndarray, axis: int) -> np.ndarray:
    """float64 [channels, elements a channel]."""
    rows = np.moveaxis(np.asarray(values, np.float64), axis, 0)
    return rows.reshape(len(rows), -1)


def make_filter(rows: np.ndarray, shape: Sequence[int], axis: int) -> np.ndarray:
    """float32 of a filter's shape, from its rows: ``filter_rows`` undone."""
    moved = [shape[axis], *shape[:axis], *shape[axis + 1 :]]
    whole = np.moveaxis(rows.reshape(moved), 0, axis)
    return np.ascontiguousarray(whole, np.float32)


def scale_rows(values: Any, factors: Any, axis: int) -> Any:
    """Every row times its factor [channels]; NumPy's arrays or TensorFlow's."""
    places: list[Any] = [None] * len(values.shape)
    places[axis] = slice(None)
    return values * factors[tuple(places)]


def drop_rows(values: np.ndarray, channels: np.ndarray, axis: int) -> np.ndarray:
    """A copy of a filter with some channels' rows at zero."""
    out = values.copy()
    np.moveaxis(out, axis, 0)[channels] = 0
    return out
