"""Partial keys and old dumps give what they must where the answer is known."""

import keras
import numpy as np
import pytest

from benchmarks.partial_keys import Shipped, guess_lock, open_version, update_dump
from converters import convert_keras
from edgepro_tf import zoo
from edgepro_tf.locking import lock_model


def ship(*, locked: bool) -> Shipped:
    """A network after a few steps, locked and opened again."""
    keras.utils.set_random_seed(0)
    model = zoo.build_model("mlp", (16,), 3, width=4)
    model = lock_model(model, seed=0) if locked else model
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(32, 16))
    model.fit(x, np.arange(32) % 3, 8, verbose=0)
    return open_version(convert_keras(model))


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return ship(locked=True)


def test_the_whole_key_gives_the_authorized_constants(shipped: Shipped) -> None:
    assert any(shipped.target.stored_channels)
    rng = np.random.default_rng(0)
    found = guess_lock(shipped, 1.0, 1.0, rng)
    for values, right in zip(found, shipped.target.authorized, strict=True):
        assert np.array_equal(values, right)


def test_draws_alone_leave_out_the_locking_values(shipped: Shipped) -> None:
    found = guess_lock(shipped, 1.0, 0.0, np.random.default_rng(0))
    target = shipped.target
    for values, right, stored, parameter in zip(
        found, target.authorized, target.stored_channels, target.network.parameters,
        strict=True,
    ):  # fmt: skip
        wrong = np.moveaxis(values != right, parameter.channel_axis, 0)
        differs = np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))
        assert set(differs) <= set(stored)
        if parameter.role == "filter":
            assert set(differs) == set(stored)


def test_an_equal_older_version_gives_every_row_away() -> None:
    shipped = ship(locked=False)
    dump = list(shipped.target.authorized)
    found, figures = update_dump(shipped, dump, ranks=True)
    assert figures == {"rows_right": 1.0}
    for values, right in zip(found, dump, strict=True):
        assert np.array_equal(values, right)
