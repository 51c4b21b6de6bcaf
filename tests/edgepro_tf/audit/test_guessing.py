"""Partly right locks: all known is authorized, nothing known is the recipe's draw."""

import random

import numpy as np
import pytest

from converters import convert_keras
from edgepro_tf import zoo
from edgepro_tf.audit.guessing import draw_stored, place_stored, redraw_tensor
from edgepro_tf.audit.target import _without_values, make_target
from edgepro_tf.audit.wrong_locks import draw_wrong_lock
from edgepro_tf.locking import lock_model
from edgepro_tf.locks import ElementType, ModelLock, SetValues, Step, TensorLock

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


STORED = (2, 5, 7, 11)
AUTHORIZED = VALUES.copy()
AUTHORIZED[list(STORED)] = 0


def zero_channels(values: np.ndarray) -> set[int]:
    return set(np.flatnonzero((values == 0).reshape(len(values), -1).all(1)).tolist())


def test_half_the_locking_values_known_leaves_the_rest_released() -> None:
    guess = draw_stored(STORED, 20, 0.5, np.random.default_rng(0), fills=False)
    found = zero_channels(place_stored(VALUES, AUTHORIZED, 0, guess))
    assert len(found) == 2 and found < set(STORED)


def test_a_wrong_lock_puts_as_many_elsewhere() -> None:
    guess = draw_stored(STORED, 20, 0.0, np.random.default_rng(0), fills=True)
    found = zero_channels(place_stored(VALUES, AUTHORIZED, 0, guess))
    assert len(found) == 4 and found != set(STORED)


def test_the_right_lock_is_authorized() -> None:
    guess = draw_stored(STORED, 20, 1.0, np.random.default_rng(0), fills=True)
    np.testing.assert_array_equal(
        place_stored(VALUES, AUTHORIZED, 0, guess), AUTHORIZED
    )


def test_all_of_a_lock_trained_lock_known_is_authorized() -> None:
    """Draws are undone before locking values are set: the other rows are right."""
    model = lock_model(zoo.build_model("mlp", (16,), 3, width=4), seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(32, 16))
    model.fit(x, np.arange(32) % 3, 8, verbose=0)
    pair = convert_keras(model)
    target = make_target(pair.public, pair.payload)
    assert any(target.stored_channels)
    rng = np.random.default_rng(0)
    for values, right in zip(
        target.guess([1.0] * len(target.steps), rng), target.authorized, strict=True
    ):
        np.testing.assert_array_equal(values, right)


def test_changed_locks_keep_their_version() -> None:
    """What version 2 shuffled by blocks is not restored by one permutation."""
    record = TensorLock(
        0, 1, ElementType.FLOAT32, (1, 64, 100), Step.SHUFFLE | Step.SET,
        set_values=SetValues((3,), np.float32([0])),
    )  # fmt: skip
    lock = ModelLock(bytes(32), (record,), version=2)
    assert draw_wrong_lock(lock, random.Random(0)).version == 2
    assert _without_values(lock).version == 2
