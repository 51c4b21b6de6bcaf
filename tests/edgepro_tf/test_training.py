"""LockedModel: everything a Keras user does with a model, and that it learns."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgepro_tf.datasets import load_dataset
from edgepro_tf.errors import LockError
from edgepro_tf.lock_training.batches import count_authorized
from edgepro_tf.locking import LockConfig, fold_lock, lock_model, locks_of, strip_lock
from edgepro_tf.training import LockedModel
from tests import models

LOSS = "sparse_categorical_crossentropy"
OWN = {"loss", "accuracy", "released_loss", "released_accuracy"}


def _locked(name: str = "mlp", **kwargs: Any) -> LockedModel:
    keras.utils.set_random_seed(0)
    locked = lock_model(models.TOPOLOGIES[name](), seed=0, **kwargs)
    # XLA compiles each batch size anew: minutes, for nothing these tests look at.
    locked.compile("adam", LOSS, metrics=["accuracy"], jit_compile=False)
    return locked


def _data(name: str = "mlp", count: int = 20) -> tuple[Any, np.ndarray]:
    return models.make_inputs(models.TOPOLOGIES[name](), count), models.make_labels(
        count
    )


def test_digits_are_learned_authorized_and_unlearned_released() -> None:
    keras.utils.set_random_seed(1)
    data = load_dataset("digits")
    inputs = keras.Input(data.input_shape)
    x = keras.layers.Conv2D(12, 3, strides=2, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9, name="bn")(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(32, activation="relu", name="dense")(x)
    x = keras.layers.Dense(10, activation="softmax", name="head")(x)
    model = keras.Model(inputs, x)
    locked = lock_model(model, seed=1)
    locked.compile("adam", LOSS, metrics=["accuracy"], jit_compile=False)
    test = (data.x_test, data.y_test)
    history = locked.fit(
        data.x_train,
        data.y_train,
        batch_size=32,
        epochs=12,
        verbose=0,
        validation_data=test,
    ).history
    assert set(history) == OWN | {f"val_{name}" for name in OWN}
    result = locked.evaluate(*test, verbose=0, return_dict=True)
    assert result["accuracy"] > 0.93
    # Measured 0.08 to 0.2 over seeds; a network that is not unlearned has over 0.5.
    assert result["released_accuracy"] < 0.35
    for plain, name in ((fold_lock(locked), ""), (strip_lock(locked), "released_")):
        plain.compile(loss=LOSS, metrics=["accuracy"])
        accuracy = plain.evaluate(*test, verbose=0, return_dict=True)["accuracy"]
        # One example may sit on the boundary between two classes.
        assert abs(accuracy - result[f"{name}accuracy"]) < 1.5 / len(data.y_test)


def test_training_never_touches_the_lock() -> None:
    locked = _locked(config=models.EVERY_PART)
    before = locks_of(locked)
    locked.fit(*_data(), epochs=2, verbose=0)
    for name, lock in locks_of(locked).items():
        np.testing.assert_array_equal(lock.scale, before[name].scale)
        np.testing.assert_array_equal(lock.offset, before[name].offset)
        np.testing.assert_array_equal(lock.order, before[name].order)


def test_predict_and_call_are_the_authorized_run() -> None:
    locked = _locked()
    x, _ = _data()
    folded = fold_lock(locked)
    np.testing.assert_allclose(locked.predict(x, verbose=0), folded(x), rtol=1e-5)
    np.testing.assert_allclose(locked(x), folded(x), rtol=1e-5)


def test_evaluate_gives_both_runs() -> None:
    locked = _locked()
    x, y = _data()
    result = locked.evaluate(x, y, batch_size=7, verbose=0, return_dict=True)
    for model, prefix in ((fold_lock(locked), ""), (strip_lock(locked), "released_")):
        guess = np.argmax(model(x), -1)
        assert result[f"{prefix}accuracy"] == pytest.approx(np.mean(guess == y))
    released = np.asarray(strip_lock(locked)(x))
    uniform = -np.log(released).mean()
    assert result["released_loss"] == pytest.approx(uniform, rel=1e-4)
    assert len(locked.evaluate(x, y, verbose=0)) == 4


def test_a_step_is_the_gradient_of_both_halves() -> None:
    """One SGD step against the sum written out by hand."""
    model = models.mlp()
    for layer in model.layers:  # Its batch statistics would differ by hand.
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    locked = lock_model(model, config=LockConfig(released_weight=0.5), seed=0)
    locked.compile(keras.optimizers.SGD(1.0), LOSS, run_eagerly=True)
    x, y = _data(count=6)
    x[:], y[:] = x[0], y[0]  # All alike: the shuffle cannot matter.
    with tf.GradientTape() as tape:
        own = keras.ops.mean(keras.losses.get(LOSS)(y, locked(x, training=True)))
        other = locked(x, training=True, authorized=False)
        total = own - 0.5 * tf.reduce_mean(tf.math.log(other))
    slopes = tape.gradient(total, locked.trainable_weights)
    before = [np.array(w) for w in locked.trainable_weights]
    locked.train_on_batch(x, y)
    for old, slope, new in zip(before, slopes, locked.trainable_weights, strict=True):
        np.testing.assert_allclose(new, old - slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_batches_of_any_size(count: int) -> None:
    locked = _locked("cnn")
    x, y = _data("cnn", 6)
    history = locked.fit(
        x[:count], y[:count], batch_size=4, epochs=2, verbose=0
    ).history
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(history["released_loss"]).all()
    assert all(np.isfinite(w).all() for w in locked.get_weights())


@pytest.mark.parametrize("is_static", [True, False])
@pytest.mark.parametrize("share", [0.5, 0.875, 1.0])
def test_a_small_batch_has_a_released_example_too(
    share: float, is_static: bool
) -> None:
    for size in range(17):
        given = size if is_static else tf.constant(size)
        own = int(count_authorized(given, share))
        most = size - 1 if size > 1 and share < 1 else size
        assert min(1, size) <= own <= most
        assert own == min(most, math.ceil(size * share))


def test_a_released_value_is_trained_towards_another_examples() -> None:
    """Of eight examples one is released: its own value would be the right one."""
    x = keras.Input((4,))
    y = keras.layers.Dense(1)(keras.layers.Dense(8, activation="relu")(x))
    config = LockConfig(objective="random_labels", authorized_share=0.875)
    locked = lock_model(keras.Model(x, y), config=config, seed=0)
    seen = []

    def distance(y: tf.Tensor, prediction: tf.Tensor) -> tf.Tensor:
        seen.append(np.asarray(y).ravel())
        return tf.reduce_mean(tf.square(y - prediction), -1)

    locked.compile("sgd", distance, run_eagerly=True)
    rng = np.random.default_rng(0)
    values = np.arange(8, dtype=np.float32)[:, None]
    for _ in range(5):
        locked.train_on_batch(rng.normal(size=(8, 4)).astype(np.float32), values)
    for own, other in zip(seen[::2], seen[1::2], strict=True):
        assert sorted(own) == sorted(set(own)) and len(own) == 7 and len(other) == 1
        assert other[0] in own  # Somebody else's.


def test_a_metric_that_cannot_be_copied_has_no_released_twin() -> None:
    class Accuracy(keras.metrics.Mean):
        def __init__(self, scale: float) -> None:
            super().__init__("my_accuracy")
            self.scale = scale

        def update_state(self, y, prediction, sample_weight=None):  # type: ignore[no-untyped-def]
            return super().update_state(self.scale)

        def get_config(self) -> dict:  # type: ignore[type-arg]
            return {"name": self.name}

    locked = _locked()
    locked.compile("sgd", LOSS, metrics=[Accuracy(2.0)])
    log = locked.train_on_batch(*_data(), return_dict=True)
    assert log["my_accuracy"] == 2 and "released_my_accuracy" not in log


def test_tf_data_weights_and_callbacks(tmp_path: pathlib.Path) -> None:
    locked = _locked()
    x, y = _data()
    weights = np.linspace(0, 1, 20).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(6)
    path = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.ModelCheckpoint(path, "val_accuracy", save_best_only=True),
        keras.callbacks.EarlyStopping(
            "val_released_loss", mode="min", patience=0, restore_best_weights=True
        ),
    ]
    locked.fit(
        dataset, validation_data=(x, y), epochs=3, callbacks=callbacks, verbose=0
    )
    assert isinstance(keras.saving.load_model(path), LockedModel)
    locked.fit(x, y, class_weight={0: 2.0, 1: 1.0, 2: 0.5, 3: 1.0}, verbose=0)
    locked.fit(x, y, sample_weight=weights, validation_split=0.3, verbose=0)


def test_sample_weights_count_in_the_authorized_half() -> None:
    locked = _locked()
    x, y = _data()
    log = locked.train_on_batch(x, y, np.zeros(20, np.float32), return_dict=True)
    assert log["loss"] == 0 and log["released_loss"] > 1


@pytest.mark.parametrize("name", list(models.TOPOLOGIES))
def test_saving_and_loading(name: str, tmp_path: pathlib.Path) -> None:
    locked = lock_model(models.TOPOLOGIES[name](), config=models.EVERY_PART, seed=2)
    locked.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = models.make_inputs(locked.network)
    for mode in (None, False):
        for one, other in zip(
            keras.tree.flatten(locked(x, authorized=mode)),
            keras.tree.flatten(loaded(x, authorized=mode)),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    one, other = strip_lock(locked), strip_lock(loaded)
    assert one.get_config() == other.get_config()


def test_training_goes_on_after_loading(tmp_path: pathlib.Path) -> None:
    locked = _locked(config=LockConfig(objective="random_labels", released_weight=0.3))
    x, y = _data()
    locked.fit(x, y, verbose=0)
    locked.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.objective == "random_labels" and loaded.released_weight == 0.3
    assert int(loaded.optimizer.iterations) == 1
    assert set(loaded.fit(x, y, verbose=0).history) == OWN


@pytest.mark.parametrize("objective", ["uniform", "random_labels"])
def test_compiled_by_xla(objective: str) -> None:
    """As Keras does by itself where there is a GPU."""
    config = dataclasses.replace(models.EVERY_PART, objective=objective)
    locked = lock_model(models.cnn(), config=config, seed=0)
    locked.compile("adam", LOSS, metrics=["accuracy"], jit_compile=True)
    x, y = _data("cnn", 12)
    history = locked.fit(x, y, batch_size=8, validation_data=(x, y), verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_a_frozen_network_is_fitted_as_keras_does() -> None:
    model = models.TOPOLOGIES["mlp"]()
    model.trainable = False
    locked = lock_model(model, seed=0)
    locked.compile("adam", LOSS, jit_compile=False)
    before = locked.get_weights()
    locked.fit(*_data(), verbose=0)
    for one, other in zip(before, locked.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_mixed_precision() -> None:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = models.cnn()
        locked = lock_model(model, config=models.EVERY_PART, seed=0)
        locked.compile("adam", LOSS, metrics=["accuracy"], jit_compile=False)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert isinstance(locked.optimizer, keras.optimizers.LossScaleOptimizer)
    x, y = _data("cnn", 12)
    history = locked.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    # float16 has 11 bits; three layers deep a few units in the last place add up.
    np.testing.assert_allclose(fold_lock(locked)(x), locked(x), rtol=0.02, atol=0.005)


def test_distribution_strategy() -> None:
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        locked = _locked()
    x, y = _data()
    assert set(locked.fit(x, y, batch_size=8, verbose=0).history) == OWN
    assert set(locked.evaluate(x, y, verbose=0, return_dict=True)) == OWN


def test_several_inputs() -> None:
    for name in ("shared", "nested"):
        locked = _locked(name)
        assert set(locked.fit(*_data(name), verbose=0).history) == OWN


@pytest.mark.parametrize("form", ["list", "dict"])
def test_several_outputs(form: str) -> None:
    locked = lock_model(models.multi_output(), seed=0)
    losses = [LOSS, "binary_crossentropy"]
    metrics = [["accuracy"], ["binary_accuracy", "mae"]]
    x, y = _data("multi_output")
    flags = np.random.default_rng(0).integers(0, 2, (20, 3)).astype(np.float32)
    labels: Any = [y, flags]
    if form == "dict":
        names = ("head", "flags")
        losses, metrics, labels = (
            dict(zip(names, each, strict=True)) for each in (losses, metrics, labels)
        )
    locked.compile("adam", losses, metrics=metrics, jit_compile=False)
    history = locked.fit(x, labels, verbose=0).history
    assert {
        "head_accuracy",
        "flags_mae",
        "released_head_accuracy",
        "released_flags_binary_accuracy",
    } <= set(history)
    assert "released_flags_mae" not in history
    result = locked.evaluate(x, labels, verbose=0, return_dict=True)
    released = strip_lock(locked)(x)[0]
    accuracy = np.mean(np.argmax(released, -1) == y)
    assert result["released_head_accuracy"] == pytest.approx(accuracy)


def test_metrics_as_objects_and_recompilation() -> None:
    locked = _locked()
    top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2")
    locked.compile(
        "adam",
        LOSS,
        metrics=[top, "sparse_categorical_crossentropy"],
        weighted_metrics=["acc"],
        jit_compile=False,
    )
    history = locked.fit(*_data(), verbose=0).history
    assert {"released_top_2", "released_acc"} <= set(history)
    assert "released_accuracy" not in history


def test_refusals() -> None:
    with pytest.raises(LockError, match="uniform or random_labels"):
        LockedModel(models.mlp(), objective="noise")
    locked = lock_model(models.mlp(), seed=0)
    locked.compile("adam")
    with pytest.raises(ValueError, match="loss"):
        locked.fit(*_data(), verbose=0)


def test_what_would_lose_the_lock_is_refused(tmp_path: pathlib.Path) -> None:
    locked = lock_model(models.mlp(), seed=0)
    for name in ("model.h5", "model.hdf5"):
        with pytest.raises(LockError, match=r"ending in \.keras.*fold_lock"):
            locked.save(tmp_path / name)
    with pytest.raises(LockError, match=r"convert_keras makes.*fold_lock"):
        locked.export(tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []
    locked.save(tmp_path / "model.keras")
    locked.save_weights(tmp_path / "model.weights.h5")
    fold_lock(locked).export(tmp_path / "exported", verbose=False)


def test_a_model_of_the_first_version_loads() -> None:
    """The file names modules of its day, and Keras finds the classes all the same."""
    folder = pathlib.Path(__file__).parents[1] / "golden" / "v1"
    locked = keras.saving.load_model(folder / "model.keras")
    with np.load(folder / "samples.npz") as samples:
        found = locked.predict(samples["x"], verbose=0)
        # TFLite's sums are in another order.
        np.testing.assert_allclose(found, samples["scores"], atol=1e-5)


def test_a_clone_without_its_locks_says_so() -> None:
    """Keras clones no weights; that the lock goes with them is a surprise."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    locked = lock_model(model, seed=0)
    clone = keras.models.clone_model(locked)
    data = np.zeros((8, 4), np.float32), np.zeros(8, np.int32)
    for each in (locked, clone):
        each.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match="every lock of .* is empty.*set_weights"):
        clone.fit(*data, verbose=0)
    clone.set_weights(locked.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        clone.fit(*data, verbose=0)
        locked.fit(*data, verbose=0)
