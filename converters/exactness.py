"""Which steps are exactly invertible on the very elements of a constant.

The proofs are docs/number_formats.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgepro_tf.locks import OPEN_BITS, ElementType, Step, find_mask_window

# Rows that are looked at, of how many elements each; of fewer, chance may make one.
_ROWS, _ELEMENTS, _LEAST_ELEMENTS = 8, 8, 5
_MOST_TOLD = 0.25
_NEAR = 1e-3  # Two roundings to 24 bits, of a number below 2,048: 2.4e-4.


@dataclasses.dataclass(frozen=True)
class FittedSteps:
    """Steps that a constant can take, with what they need to know."""

    steps: Step
    exponent_range: int = 0
    window: int = 0


def fit_steps(
    steps: Step,
    element_type: ElementType,
    values: np.ndarray,
    *,
    exponent_range: int,
) -> FittedSteps:
    """Leave out, or replace, what cannot be undone to the bit.

    Args:
        steps: what the recipe asks for.
        element_type: of the constant.
        values: its elements as [outer, channels, inner].
        exponent_range: of the recipe's scale factors by channel.

    Returns:
        The same steps where they fit. A mask that would not hide the elements, or not
        be exact, gives way to a shuffle; signs and scale factors are left out. A mask
        of integers leaves nothing of them that an order beneath it could hide.
    """
    window = find_window(element_type, values) if steps & Step.MASK else 0
    if window is None:
        steps, window = Step.SHUFFLE | Step.SIGNS, 0
    elif steps & Step.MASK and not element_type.is_float:
        steps &= ~Step.ORDER
    if not element_type.is_float:
        steps &= ~Step.EXPONENTS
        if not can_negate(element_type, values):
            steps &= ~Step.SIGNS
    elif steps & Step.EXPONENTS and not can_scale(values, exponent_range):
        steps &= ~Step.EXPONENTS
    return FittedSteps(steps, exponent_range if steps & Step.EXPONENTS else 0, window)


def find_window(element_type: ElementType, values: np.ndarray) -> int | None:
    """The window of a mask, 0 for int8, which needs none; None where it is not exact
    on these elements, or would not hide nearly all of them.
    """
    if element_type is ElementType.FLOAT32 and is_half_by_rows(values):
        return None
    if element_type.is_float:
        return find_mask_window(values)
    is_fine = element_type is ElementType.INT8 and can_negate(element_type, values)
    return 0 if is_fine else None


def is_half_by_rows(values: np.ndarray) -> bool:
    """Whether rows are short fractions (float16, bfloat16, integers) under one factor.

    So are half-precision weights into which a normalisation was folded, and weights
    trained for integers. The open bits of a row's masked elements would name the
    factor, and with it every fraction, to who tries all factors.

    Args:
        values: float32 [outer, channels, inner].
    """
    rows = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(int)]
    told = [
        _has_short_fractions(row[row != 0][:_ELEMENTS])
        for row in rows
        if np.count_nonzero(row) >= _LEAST_ELEMENTS
    ]
    return bool(told) and np.mean(told) > _MOST_TOLD


def _has_short_fractions(row: np.ndarray) -> bool:
    """Whether some factor, other than 1, makes integers of 11 bits of all elements.

    It is the first element's over one of 1,024 integers. Of elements that are drawn
    independently, one is so near to an integer by one chance in 500.
    """
    is_open = np.any(row.view(np.uint32) & OPEN_BITS)
    if not is_open or not np.isfinite(row).all():
        return False  # Integers as they are have nothing that a mask leaves open.
    factors = np.frexp(row[0].astype(np.float64))[0] / np.arange(1024, 2048)
    fractions = np.frexp(row[1:, None] / factors)[0] * 2048
    distances = np.abs(fractions - np.rint(fractions))
    return bool((distances < _NEAR).all(axis=0).any())


def can_negate(element_type: ElementType, values: np.ndarray) -> bool:
    """Whether every element of an integer constant has a negative."""
    if element_type is ElementType.UINT8:  # Raw bytes: no numbers at all.
        return False
    return not bool(np.any(values == np.iinfo(values.dtype).min))


def can_scale(values: np.ndarray, exponent_range: int) -> bool:
    """Whether 2^+-e neither overflows nor reaches the subnormal numbers."""
    info = np.finfo(values.dtype)
    magnitude = np.abs(values[values != 0]).astype(np.float64)
    if not magnitude.size:
        return True
    factor = 2.0**exponent_range
    return bool(
        np.isfinite(magnitude).all()
        and magnitude.max() * factor <= float(info.max)
        and magnitude.min() / factor >= float(info.smallest_normal)
    )
