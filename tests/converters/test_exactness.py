"""Which masks hide: the open bits of a row must not name its fractions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from converters.exactness import find_window, fit_steps, is_half_by_rows
from edgepro_tf.locks import ElementType, Step

SHAPES = [(1, 32, 16), (1, 16, 27), (9, 24, 1), (1, 40, 5)]


def _draw(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Weights, and a factor for each channel, as of a folded normalisation."""
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.2, 5, (1, shape[1], 1)).astype(np.float32)
    return (rng.normal(size=shape) * 0.2).astype(np.float32), factors


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_half_precision_under_a_factor_for_each_row_is_shuffled(
    shape: tuple[int, int, int], dtype: str
) -> None:
    weights, factors = _draw(shape)
    if dtype == "int8":
        short = np.rint(weights * 100)
    else:
        short = tf.cast(tf.cast(weights, dtype), tf.float32).numpy()
    folded = (short * factors).astype(np.float32)
    assert is_half_by_rows(folded)
    fitted = fit_steps(Step.MASK, ElementType.FLOAT32, folded, exponent_range=2)
    assert fitted.steps == Step.SHUFFLE | Step.SIGNS


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape", SHAPES)
def test_trained_weights_are_masked(shape: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=shape).astype(np.float32)
    weights *= _draw(shape)[1]
    assert not is_half_by_rows(weights)
    assert find_window(ElementType.FLOAT32, weights)


def test_rows_of_few_elements_are_not_judged() -> None:
    weights, factors = _draw((1, 64, 1))
    assert not is_half_by_rows(weights.astype(np.float16).astype(np.float32) * factors)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_as_it_is_is_masked(dtype: str) -> None:
    weights, _ = _draw((1, 32, 16))
    short = tf.cast(tf.cast(weights, dtype), tf.float32).numpy()
    assert not is_half_by_rows(short)
    assert find_window(ElementType.FLOAT32, short)
