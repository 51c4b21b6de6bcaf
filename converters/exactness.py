"""Which steps are exactly invertible on the very elements of a constant.

The proofs are docs/number_formats.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgepro_tf.locks import ElementType, Step, find_mask_window


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
        values: its elements.
        exponent_range: of the recipe's scale factors by channel.

    Returns:
        The same steps where they fit. A mask that would not hide the elements, or not
        be exact, gives way to a shuffle; signs and scale factors are left out.
    """
    window = 0
    if steps & Step.MASK:
        if not can_mask(element_type, values):
            steps = Step.SHUFFLE | Step.SIGNS
        elif element_type.is_float:
            window = find_mask_window(values) or 0
    if not element_type.is_float:
        steps &= ~Step.EXPONENTS
        if not can_negate(element_type, values):
            steps &= ~Step.SIGNS
    elif steps & Step.EXPONENTS and not can_scale(values, exponent_range):
        steps &= ~Step.EXPONENTS
    return FittedSteps(steps, exponent_range if steps & Step.EXPONENTS else 0, window)


def can_mask(element_type: ElementType, values: np.ndarray) -> bool:
    """Whether a mask is exact on these elements, and hides nearly all of them."""
    if element_type.is_float:
        return find_mask_window(values) is not None
    return element_type is ElementType.INT8 and can_negate(element_type, values)


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
