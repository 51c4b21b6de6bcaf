"""Which steps are exactly invertible on the very elements of a constant.

The proofs are docs/number_formats.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgepro_tf.locks import ElementType, Step, find_mask_window


@dataclasses.dataclass(frozen=True)
class FittedSteps:
    """Steps that a constant can take, as which type, with what they need to know."""

    steps: Step
    element_type: ElementType
    exponent_range: int = 0
    window: int = 0


def fit_steps(
    steps: Step,
    element_type: ElementType,
    values: np.ndarray,
    *,
    exponent_range: int,
    takes_any_byte: bool = False,
) -> FittedSteps:
    """Leave out, or replace, what cannot be undone to the bit.

    Args:
        steps: what the recipe asks for.
        element_type: of the constant.
        values: its elements.
        exponent_range: of the recipe's scale factors by channel.
        takes_any_byte: whether a mask may make any bytes of it, which it does where
            that makes its numbers no larger.

    Returns:
        The same steps where they fit. A mask that would not hide the elements, or not
        be exact, is one of raw bytes where the constant takes these, and a shuffle
        elsewhere; signs and scale factors are left out. A mask of float32 takes whole
        fractions; it leaves nothing that an order beneath it could hide, nor does one
        of integers.
    """
    window = find_window(element_type, values) if steps & Step.MASK else 0
    if window is None and takes_any_byte and fills_type(values):
        element_type, window = ElementType.UINT8, 0
    if window is None:
        steps, window = Step.SHUFFLE | Step.SIGNS, 0
    elif steps & Step.MASK and element_type is not ElementType.FLOAT16:
        steps &= ~Step.ORDER
        if element_type is ElementType.FLOAT32:
            steps |= Step.FRACTION
    if not element_type.is_float:
        steps &= ~Step.EXPONENTS
        if not can_negate(element_type, values):
            steps &= ~Step.SIGNS
    elif steps & Step.EXPONENTS and not can_scale(values, exponent_range):
        steps &= ~Step.EXPONENTS
    exponent_range = exponent_range if steps & Step.EXPONENTS else 0
    return FittedSteps(steps, element_type, exponent_range, window)


def find_window(element_type: ElementType, values: np.ndarray) -> int | None:
    """The window of a mask, 0 for int8, which needs none; None where it is not exact
    on these elements, or would not hide nearly all of them.
    """
    if element_type.is_float:
        return find_mask_window(values)
    is_fine = element_type is ElementType.INT8 and can_negate(element_type, values)
    return 0 if is_fine else None


def fills_type(values: np.ndarray) -> bool:
    """Whether integers are as large as their type's, as words of several small ones."""
    largest = np.abs(values.astype(np.float64)).max(initial=0)
    return values.itemsize == 1 or bool(4 * largest > np.iinfo(values.dtype).max)


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
