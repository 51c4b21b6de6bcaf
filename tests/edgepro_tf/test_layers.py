"""NeuronLock: its arithmetic, its modes, its life as a Keras layer."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgepro_tf.errors import LockError
from edgepro_tf.layers import NeuronLock, lock_run, record_outputs
from edgepro_tf.locks import ChannelLock

SCALE = np.array([1, -2, 0, 0.5], np.float32)
OFFSET = np.array([0, 0.25, 3, -1], np.float32)
ORDER = np.array([2, 0, 1, 3], np.int32)


def _layer(
    shape: tuple[int | None, ...], axis: int = -1, **kwargs: object
) -> NeuronLock:
    layer = NeuronLock(axis, **kwargs)
    layer.build(shape)
    layer.assign_lock(ChannelLock(SCALE, OFFSET, ORDER))
    return layer


def _inputs(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((3, 4), -1), ((3, 5, 4), -1), ((3, 2, 2, 4), -1), ((3, 4, 2, 2), 1)],
)
def test_an_authorized_run_scales_reorders_and_offsets(
    shape: tuple[int, ...], axis: int
) -> None:
    z = _inputs(*shape)
    y = _layer(shape, axis)(z)
    last = np.moveaxis(z, axis, -1)[..., ORDER] * SCALE + OFFSET
    np.testing.assert_array_equal(y, np.moveaxis(last, -1, axis))


def test_a_released_run_changes_nothing() -> None:
    z = _inputs(3, 4)
    layer = _layer(z.shape)
    with lock_run(False):
        np.testing.assert_array_equal(layer(z), z)
    with lock_run(np.zeros(3, bool)):
        np.testing.assert_array_equal(layer(z), z)


@pytest.mark.parametrize("order", [ORDER, np.arange(4)])
def test_examples_of_one_batch_run_each_in_their_own_mode(order: np.ndarray) -> None:
    z = _inputs(3, 2, 2, 4)
    layer = _layer(z.shape)
    layer.assign_lock(ChannelLock(SCALE, OFFSET, order))
    with lock_run(tf.constant([True, False, True])):
        mixed = layer(z).numpy()
    np.testing.assert_array_equal(mixed[[0, 2]], layer(z).numpy()[[0, 2]])
    np.testing.assert_array_equal(mixed[1], z[1])


@pytest.mark.parametrize(("shape", "axis"), [((3, 2, 2, 4), -1), ((3, 4, 2, 2), 1)])
def test_gradients_of_a_mixed_batch_pass_through_the_lock(
    shape: tuple[int, ...], axis: int
) -> None:
    z, upstream = tf.constant(_inputs(*shape)), _inputs(*shape)[::-1].copy()
    layer = _layer(shape, axis)
    with tf.GradientTape() as tape, lock_run(tf.constant([True, False, True])):
        tape.watch(z)
        y = layer(z)
    gradient = tape.gradient(y, z, upstream).numpy()
    # y_c = scale_c * z_order(c): what arrives at c goes back to order(c), scaled.
    last = np.moveaxis(upstream, axis, -1)
    expected = np.zeros_like(last)
    expected[..., ORDER] = last * SCALE
    expected[1] = last[1]
    np.testing.assert_array_equal(gradient, np.moveaxis(expected, -1, axis))


def test_scopes_nest_and_end_with_an_error() -> None:
    z = _inputs(2, 4)
    layer = _layer(z.shape)
    authorized = layer(z).numpy()
    with lock_run(False):
        with lock_run():
            np.testing.assert_array_equal(layer(z), authorized)
        np.testing.assert_array_equal(layer(z), z)
        with pytest.raises(RuntimeError), lock_run():
            raise RuntimeError
        np.testing.assert_array_equal(layer(z), z)
    np.testing.assert_array_equal(layer(z), authorized)


def test_another_thread_does_not_see_the_scope() -> None:
    z = _inputs(2, 4)
    layer = _layer(z.shape)
    authorized, seen = layer(z).numpy(), []
    with lock_run(False):
        thread = threading.Thread(target=lambda: seen.append(layer(z).numpy()))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(seen[0], authorized)


def test_compiled_by_xla_it_computes_the_same() -> None:
    z = _inputs(4, 3, 3, 4)
    layer = _layer(z.shape)
    mask = tf.constant([True, True, False, False])

    @tf.function(jit_compile=True)
    def run(inputs: tf.Tensor) -> tf.Tensor:
        with lock_run(mask):
            return layer(inputs)

    with lock_run(mask):
        # XLA may fuse multiplication and addition: one rounding fewer.
        np.testing.assert_allclose(run(z), layer(z), rtol=2**-22, atol=2**-22)


def test_half_precision_keeps_weights_in_float32() -> None:
    layer = _layer((2, 4), dtype="mixed_float16")
    y = layer(_inputs(2, 4))
    assert y.dtype == "float16" and layer.scale.dtype == "float32"
    z = _inputs(2, 4).astype(np.float16)
    expected = z[:, ORDER] * SCALE.astype(np.float16) + OFFSET.astype(np.float16)
    np.testing.assert_array_equal(y, expected)


def test_a_lock_goes_in_and_comes_out() -> None:
    lock = _layer((None, 4)).read_lock()
    np.testing.assert_array_equal(lock.scale, SCALE)
    np.testing.assert_array_equal(lock.offset, OFFSET)
    np.testing.assert_array_equal(lock.order, ORDER)


def test_flags_follow_the_lock() -> None:
    layer = NeuronLock()
    layer.build((None, 4))
    assert not layer.has_order and not layer.has_offset
    layer.assign_lock(ChannelLock(SCALE, np.zeros(4), ORDER))
    assert layer.has_order and not layer.has_offset
    layer.assign_lock(ChannelLock(SCALE, OFFSET, np.arange(4)))
    assert not layer.has_order and layer.has_offset


def test_no_weight_is_trainable_and_no_secret_is_in_the_config() -> None:
    layer = _layer((None, 4), linear="conv", norm="bn", activation="relu")
    assert not layer.trainable_weights and len(layer.non_trainable_weights) == 3
    config = layer.get_config()
    copy = NeuronLock.from_config(config)
    assert copy.get_config() == config
    for value in config.values():
        assert not isinstance(value, (list, np.ndarray))


def test_a_model_with_a_lock_can_be_saved_and_loaded(tmp_path: object) -> None:
    inputs = keras.Input((6,))
    layer = NeuronLock()
    model = keras.Model(inputs, layer(keras.layers.Dense(4)(inputs)))
    layer.assign_lock(ChannelLock(SCALE, OFFSET, ORDER))
    model.save(f"{tmp_path}/m.keras")
    loaded = keras.saving.load_model(f"{tmp_path}/m.keras")
    x = _inputs(3, 6)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_records_what_reaches_it() -> None:
    z = _inputs(2, 4)
    layer = _layer(z.shape, name="probe")
    with record_outputs() as seen:
        layer(z)
        layer(2 * z)
    np.testing.assert_array_equal(seen["probe"][1], 2 * z)
    layer(z)
    assert len(seen["probe"]) == 2


def test_wrong_channels_are_refused() -> None:
    layer = _layer((None, 4))
    with pytest.raises(LockError, match="expected 4 channels, got 3"):
        layer.assign_lock(ChannelLock.identity(3))
    with pytest.raises(LockError, match="known number of channels"):
        NeuronLock().build((None, None))
