"""Partial keys and old dumps give what they must where the answer is known."""

import keras
import numpy as np
import pytest

from benchmarks.partial_keys import guess_lock, update_dump
from converters import convert_keras
from edgepro_tf import zoo
from edgepro_tf.audit.target import Arrays, Target, make_target
from edgepro_tf.locking import lock_model


def ship(*, locked: bool, recipe: str = "standard") -> Target:
    """A network after a few steps, locked and opened again."""
    keras.utils.set_random_seed(0)
    model = zoo.build_model("mlp", (16,), 3, width=4)
    model = lock_model(model, seed=0) if locked else model
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(32, 16))
    model.fit(x, np.arange(32) % 3, 8, verbose=0)
    pair = convert_keras(model, recipe=recipe)
    return make_target(pair.public, pair.payload)


def change(values: Arrays, most: float) -> Arrays:
    """Every element by a share of itself, up to the most."""
    rng = np.random.default_rng(1)
    return [
        (value * (1 + rng.uniform(-most, most, value.shape))).astype(np.float32)
        for value in values
    ]


@pytest.fixture(scope="module")
def shipped() -> Target:
    return ship(locked=True)


def test_the_whole_key_gives_the_authorized_constants(shipped: Target) -> None:
    assert any(shipped.stored_channels)
    found = guess_lock(shipped, 1.0, 1.0, np.random.default_rng(0))
    for values, right in zip(found, shipped.authorized, strict=True):
        assert np.array_equal(values, right)


def test_draws_alone_leave_out_the_locking_values(shipped: Target) -> None:
    found = guess_lock(shipped, 1.0, 0.0, np.random.default_rng(0))
    for values, right, stored, parameter in zip(
        found, shipped.authorized, shipped.stored_channels, shipped.network.parameters,
        strict=True,
    ):  # fmt: skip
        wrong = np.moveaxis(values != right, parameter.channel_axis, 0)
        differs = np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))
        assert set(differs) <= set(stored)
        if parameter.role == "filter":
            assert set(differs) == set(stored)


@pytest.mark.parametrize("recipe", ["standard", "strict"])
def test_an_equal_older_version_stays_equal(recipe: str) -> None:
    target = ship(locked=False, recipe=recipe)
    found = update_dump(target, list(target.authorized))
    for values, right in zip(found, target.authorized, strict=True):
        assert np.array_equal(values, right)


def test_a_mask_gives_away_nothing() -> None:
    target = ship(locked=False)
    older = change(target.authorized, 0.1)
    for values, before in zip(update_dump(target, older), older, strict=True):
        assert np.array_equal(values, before)


def test_a_masked_file_is_as_far_from_an_equal_version_as_from_another() -> None:
    """By the lower bits of fractions, which masks once left open."""
    target = ship(locked=False)
    filters = [one.filter for one in target.network.linears]
    ours, theirs = (
        np.concatenate([values[i].view(np.uint32).ravel() & 0xFFF for i in filters])
        for values in (target.public, target.authorized)
    )
    # Of 560 elements one in 4,096 is alike by chance: six are once in 10^8 runs.
    assert ours.size == 560 and np.sum(ours == theirs) < 6
