"""A training batch and its two parts, the authorized and the released one."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from edgepro_tf.errors import LockError


def batch_size(x: Any) -> Any:
    """Of inputs in any structure: an int, or a scalar tensor where it is not known."""
    first = next(part for part in keras.tree.flatten(x) if part is not None)
    return first.shape[0] or tf.shape(first)[0]


def take(struct: Any, order: tf.Tensor) -> Any:
    """Examples int32 [examples] of every tensor in a structure, None left alone."""
    return keras.tree.map_structure(
        lambda part: None if part is None else tf.gather(part, order), struct
    )


def others(y: Any) -> Any:
    """Every example's neighbour's labels, in a shuffled batch."""
    return keras.tree.map_structure(
        lambda part: None if part is None else tf.roll(part, 1, axis=0), y
    )


def check_share(share: float) -> None:
    """Refuse a share of the batch outside ]0, 1].

    Raises:
        LockError: it is.
    """
    if not 0 < share <= 1:
        raise LockError(
            "cannot split a training batch: expected an authorized share above 0 and "
            f"at most 1, got {share}."
        )


def count_authorized(size: Any, share: float) -> Any:
    """The number of authorized examples: at least one, and one released beside it.

    A single example is authorized; a batch may be empty where replicas share one.
    """
    released = int(share < 1)
    if isinstance(size, int):
        return min(size, max(1, min(math.ceil(size * share), size - released)))
    exact = tf.cast(tf.math.ceil(tf.cast(size, tf.float32) * share), tf.int32)
    return tf.minimum(size, tf.maximum(1, tf.minimum(exact, size - released)))


def split(struct: Any, sizes: tf.Tensor) -> tuple[Any, Any]:
    """The authorized and the released part of every tensor."""
    parts = [
        (None, None) if value is None else tf.split(value, sizes)
        for value in keras.tree.flatten(struct)
    ]
    own, other = zip(*parts, strict=True)
    return (
        keras.tree.pack_sequence_as(struct, own),
        keras.tree.pack_sequence_as(struct, other),
    )
