"""Resizing of images: a matrix for each side, which any compiler differentiates."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

Options = dict[str, Any]


def resize(kind: str, options: Options, x: Any, size: np.ndarray) -> Any:
    """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR.

    Args:
        kind: the operator's name.
        options: ``alignCorners`` and ``halfPixelCenters``.
        x: float32 [batch, height, width, channels].
        size: int [2], the new height and width.

    Returns:
        float32 [batch, *size, channels].
    """
    weigh = _bilinear if kind == "RESIZE_BILINEAR" else _nearest
    rows, columns = (
        tf.constant(weigh(options, old, int(new)), tf.float32)
        for old, new in zip(x.shape[1:3], size, strict=True)
    )
    return tf.einsum("ih,bhwc,jw->bijc", rows, x, columns)


def _bilinear(options: Options, old: int, new: int) -> np.ndarray:
    """float64 [new, old]: what each old place adds to a new one."""
    place = np.arange(new) * _scale(options, old, new)
    if options["halfPixelCenters"]:
        place += 0.5 * (_scale(options, old, new) - 1)
    below = np.maximum(np.floor(place), 0).astype(int)
    above = np.minimum(np.ceil(place), old - 1).astype(int)
    share = (place - below)[:, None]
    places = np.eye(old)
    return (1 - share) * places[below] + share * places[above]


def _nearest(options: Options, old: int, new: int) -> np.ndarray:
    """float64 [new, old]: 1 where a new place is an old one."""
    start = 0.5 if options["halfPixelCenters"] else 0.0
    place = (np.arange(new) + start) * _scale(options, old, new)
    whole = np.floor(place + 0.5 if options["alignCorners"] else place).astype(int)
    return np.eye(old)[np.clip(whole, 0, old - 1)]


def _scale(options: Options, old: int, new: int) -> float:
    if options["alignCorners"] and new > 1:
        return (old - 1) / (new - 1)
    return old / new
