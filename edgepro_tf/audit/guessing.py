"""Locks that are partly right, made from the authorized and the public constants.

A thief who knows a share of a lock's effect guesses the rest: what he does not know is
drawn as the lock itself would draw it.
"""

from __future__ import annotations

import numpy as np

from edgepro_tf.locks import Step

Arrays = list[np.ndarray]


def redraw_tensor(
    values: np.ndarray,
    steps: Step,
    axis: int,
    known: float,
    rng: np.random.Generator,
    *,
    exponent_range: int = 2,
) -> np.ndarray:
    """One constant with a share of the lock's effect known, the rest drawn anew.

    Args:
        values: the authorized constant.
        steps: the recipe's steps on it; ``SET`` alone is left to the caller.
        axis: of the channels.
        known: share of channels (of elements, for ``SHUFFLE``) that are right.
        rng: draws which are known, and the guesses.

    Returns:
        A constant of the same shape; the authorized one when all is known.
    """
    if steps & Step.SHUFFLE:
        flat = values.reshape(-1).copy()
        unknown = _draw_unknown(flat.size, known, rng)
        flat[unknown] = flat[rng.permutation(unknown)]
        if steps & Step.SIGNS:
            flat[unknown] *= rng.choice([-1.0, 1.0], len(unknown))
        return flat.reshape(values.shape).astype(np.float32)
    rows = np.moveaxis(values, axis, 0).copy()
    unknown = _draw_unknown(len(rows), known, rng)
    if steps & Step.ORDER:
        rows[unknown] = rows[rng.permutation(unknown)]
    factor = np.ones(len(rows))
    if steps & Step.SIGNS:
        factor[unknown] *= rng.choice([-1.0, 1.0], len(unknown))
    if steps & Step.EXPONENTS:
        exponents = rng.integers(-exponent_range, exponent_range + 1, len(unknown))
        factor[unknown] *= 2.0**exponents
    rows = rows * factor.reshape(-1, *[1] * (rows.ndim - 1))
    return np.ascontiguousarray(np.moveaxis(rows, 0, axis), np.float32)


def blend_set(
    public: np.ndarray,
    authorized: np.ndarray,
    axis: int,
    known: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """A constant of which a share of the stored channels is known (locking values)."""
    out, right = np.moveaxis(public, axis, 0).copy(), np.moveaxis(authorized, axis, 0)
    changed = np.flatnonzero(np.any((out != right).reshape(len(out), -1), axis=1))
    kept = rng.permutation(changed)[: round(known * len(changed))]
    out[kept] = right[kept]
    return np.ascontiguousarray(np.moveaxis(out, 0, axis), np.float32)


def _draw_unknown(count: int, known: float, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(count)[: count - round(known * count)]
