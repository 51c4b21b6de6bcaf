"""Locks that are wrong: what someone restores with who guesses."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from edgepro_tf.locks import ModelLock, SetValues, TensorLock, secret_rng
from edgepro_tf.payload import pack_lock


def draw_wrong_payloads(lock: ModelLock, count: int) -> Iterator[bytes]:
    """Payloads with the right recipe, addresses and fingerprints, but a guessed secret.

    Every one has another 32-byte seed, and as many authorization neurons as the right
    lock in every layer, with the right locking values, but on channels drawn at random.

    Args:
        lock: the right lock.
        count: how many.
    """
    rng = secret_rng()
    for _ in range(count):
        yield pack_lock(draw_wrong_lock(lock, rng))


def draw_wrong_lock(lock: ModelLock, rng: random.Random) -> ModelLock:
    """One wrong lock; the layers' filter and bias keep to the same channels."""
    guesses: dict[tuple[int, ...], tuple[int, ...]] = {}
    tensors = []
    for tensor in lock.tensors:
        stored = tensor.set_values
        if stored is not None and stored.channels is not None:
            guess = guesses.setdefault(
                stored.channels, _draw_channels(tensor, len(stored.channels), rng)
            )
            stored = SetValues(guess, stored.values)
        tensors.append(dataclasses.replace(tensor, set_values=stored))
    changed = dataclasses.replace(lock, tensors=tuple(tensors))
    return changed.with_seed(rng.randbytes(len(lock.seed)))


def _draw_channels(
    tensor: TensorLock, count: int, rng: random.Random
) -> tuple[int, ...]:
    return tuple(sorted(rng.sample(range(tensor.channels), count)))
