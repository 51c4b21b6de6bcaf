"""Partly right locks: all known is authorized, nothing known is the recipe's draw."""

import numpy as np
import pytest

from edgepro_tf.audit.guessing import blend_set, redraw_tensor
from edgepro_tf.locks import Step

VALUES = np.random.default_rng(3).normal(size=(20, 3, 3, 4)).astype(np.float32)
CHANNELS = Step.ORDER | Step.SIGNS | Step.EXPONENTS
SHUFFLE = Step.SHUFFLE | Step.SIGNS


@pytest.mark.parametrize("steps", [CHANNELS, SHUFFLE, Step.SIGNS, Step(0)])
def test_all_known_is_authorized(steps: Step) -> None:
    found = redraw_tensor(VALUES, steps, 0, 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize("known, rows", [(0.9, 18), (0.5, 10)])
def test_known_channels_are_right(known: float, rows: int) -> None:
    found = redraw_tensor(VALUES, Step.SIGNS, 0, known, np.random.default_rng(0))
    right = (found == VALUES).reshape(20, -1).all(1)
    assert rows <= right.sum() < 20  # A coin may fall right for some of the others.
    np.testing.assert_array_equal(np.abs(found), np.abs(VALUES))


def test_shuffle_keeps_the_histogram_and_the_known_elements() -> None:
    found = redraw_tensor(VALUES, SHUFFLE, 0, 0.8, np.random.default_rng(0))
    assert (found == VALUES).mean() == pytest.approx(0.8, abs=0.01)
    np.testing.assert_array_equal(
        np.sort(np.abs(found), axis=None), np.sort(np.abs(VALUES), axis=None)
    )


def test_depthwise_channels_stand_last() -> None:
    found = redraw_tensor(VALUES, Step.ORDER, 3, 0.0, np.random.default_rng(1))
    rows = {row.tobytes() for row in np.moveaxis(VALUES, 3, 0)}
    assert {row.tobytes() for row in np.moveaxis(found, 3, 0)} == rows


def test_blend_knows_a_share_of_the_stored_channels() -> None:
    authorized = VALUES.copy()
    authorized[[2, 5, 7, 11]] = 0
    found = blend_set(VALUES, authorized, 0, 0.5, np.random.default_rng(0))
    assert (found == 0).reshape(20, -1).all(1).sum() == 2
