"""Locks that are partly right, made from the authorized and the public constants.

A thief who knows a share of a lock's effect guesses the rest: what he does not know is
drawn as the lock itself would draw it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgepro_tf.audit.network.rows import scale_rows
from edgepro_tf.locks import MASK_WINDOWS, ElementType, Step, find_mask_window


def redraw_tensor(
    values: np.ndarray,
    steps: Step,
    axis: int,
    known: float,
    rng: np.random.Generator,
    *,
    exponent_range: int = 2,
    element_type: ElementType = ElementType.FLOAT32,
    levels: tuple[int, int] | None = None,
    packed: int = 1,
) -> np.ndarray:
    """One constant with a share of the lock's effect known, the rest drawn anew.

    Args:
        values: the authorized constant, of a quantised one the integers.
        steps: the recipe's steps on it; ``SET`` alone is left to the caller.
        axis: of the channels.
        known: share of channels (of elements, for ``SHUFFLE`` and ``MASK``) that are
            right.
        rng: draws which are known, and the guesses.
        levels: the least and the greatest integer that ``MASK`` makes; None for floats.
        packed: elements in a byte, which ``SHUFFLE`` leaves together.

    Returns:
        A constant of the same shape; the authorized one when all is known.
    """
    if not steps:  # A scalar has no channels.
        return np.array(values, np.float32)
    if steps & Step.SHUFFLE:
        last_byte = (0, -values.size % packed)
        places = np.pad(values.reshape(-1), last_byte).reshape(-1, packed)
        unknown = _draw_unknown(len(places), known, rng)
        places[unknown] = places[rng.permutation(unknown)]
        if steps & Step.SIGNS:
            places[unknown] *= rng.choice([-1.0, 1.0], (len(unknown), 1))
        flat = places.reshape(-1)[: values.size]
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
    rows = scale_rows(rows, factor, 0)
    if steps & Step.MASK:
        flat = rows.reshape(-1)
        masked = _draw_unknown(flat.size, known, rng)
        flat[masked] = _mask(flat[masked], values, rng, element_type, levels)
    return np.ascontiguousarray(np.moveaxis(rows, 0, axis), np.float32)


@dataclasses.dataclass(frozen=True)
class StoredGuess:
    """Where someone puts the stored rows (locking values) of one layer.

    Args:
        sources: channels whose stored rows are used.
        places: channels that get them; the same where he is right.
    """

    sources: np.ndarray
    places: np.ndarray


def draw_stored(
    stored: tuple[int, ...],
    channels: int,
    known: float,
    rng: np.random.Generator,
    *,
    fills: bool,
) -> StoredGuess:
    """A share of the stored channels known; the others guessed, or left released.

    Args:
        stored: the right channels.
        channels: of the layer.
        known: share of the stored channels that are right.
        rng: draws which.
        fills: whether the rest goes to wrong channels (a wrong lock), rather than
            being left out (what a thief who knows a part would do).
    """
    order = rng.permutation(stored)
    count = round(known * len(order))
    right, rest = order[:count], order[count:]
    if not fills:
        return StoredGuess(right, right)
    wrong = rng.permutation(np.setdiff1d(np.arange(channels), right))[: len(rest)]
    return StoredGuess(order, np.concatenate([right, wrong]))


def place_stored(
    public: np.ndarray, authorized: np.ndarray, axis: int, guess: StoredGuess
) -> np.ndarray:
    """The public constant with the stored rows where the guess puts them."""
    out, right = np.moveaxis(public, axis, 0).copy(), np.moveaxis(authorized, axis, 0)
    out[guess.places] = right[guess.sources]
    return np.ascontiguousarray(np.moveaxis(out, 0, axis), np.float32)


def _mask(
    elements: np.ndarray,
    whole: np.ndarray,
    rng: np.random.Generator,
    element_type: ElementType,
    levels: tuple[int, int] | None,
) -> np.ndarray:
    """Elements of a whole constant under a mask drawn anew."""
    if levels is not None:
        return rng.integers(*levels, len(elements), endpoint=True)
    window = find_mask_window(np.asarray(whole, element_type.dtype))
    size, bias = MASK_WINDOWS[element_type], np.finfo(element_type.dtype).maxexp - 2
    fraction, exponent = np.frexp(elements)
    place = exponent + bias - (window or 0)  # frexp's fraction is below 1.
    inside = (place >= 0) & (place < size) & (elements != 0)
    drawn = place ^ rng.integers(0, size, len(elements))
    fraction = np.where(inside, rng.uniform(0.5, 1, len(elements)), np.abs(fraction))
    moved = np.ldexp(fraction, np.where(inside, exponent + drawn - place, exponent))
    return moved * rng.choice([-1.0, 1.0], len(elements))


def _draw_unknown(count: int, known: float, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(count)[: count - round(known * count)]
