"""A lock stands where it folds; elsewhere a sentence names the nearest such layer."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers

from edgepro_tf.errors import LockError
from edgepro_tf.layers import NeuronLock
from edgepro_tf.locking import fold_lock, lock_model, locks_of, strip_lock


def network() -> keras.Model:
    x = inputs = keras.Input((8, 8, 2), name="image")
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2D(6, 3, activation="relu", padding="same", name="conv")(x)
    x = layers.BatchNormalization(name="late_norm")(x)
    x = layers.Dense(6, name="dense")(x)
    x = layers.Reshape((16, 6), name="reshape")(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.EinsumDense("abc,cd->adb", (5, 16), name="turned")(x)
    x = layers.LSTM(6, name="lstm")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


@pytest.mark.parametrize(
    ("name", "kind", "nearest"),
    [
        ("image", "InputLayer", "conv"),
        ("pool", "MaxPooling2D", "conv"),
        ("late_norm", "BatchNormalization", "conv"),
        ("reshape", "Reshape", "dense"),
        ("attention", "MultiHeadAttention", "dense"),
        ("turned", "EinsumDense 'abc,cd->adb', whose last output axis", "dense"),
        ("lstm", "LSTM", "dense"),
    ],
)
def test_a_refusal_names_the_nearest_layer(name: str, kind: str, nearest: str) -> None:
    with pytest.raises(LockError) as caught:
        lock_model(network(), layers=[name])
    assert f"got {kind}" in str(caught.value)
    assert str(caught.value).endswith(f"Move the lock to '{nearest}'.")


def test_a_low_rank_layer_is_refused_for_what_it_is() -> None:
    model = network()
    model.get_layer("dense").enable_lora(2)
    with pytest.raises(LockError, match=r"low-rank adapters.* Move the lock to 'conv'"):
        lock_model(model, layers=["dense"])


def hand_placed(place: str, **options: Any) -> keras.Model:
    x = inputs = keras.Input((8, 8, 2))
    for name, layer in {
        "conv": layers.Conv2D(6, 3, name="conv"),
        "norm": layers.BatchNormalization(name="norm"),
        "relu": layers.ReLU(name="relu"),
        "pool": layers.GlobalAveragePooling2D(name="pool"),
    }.items():
        x = layer(x)
        if name == place:
            x = NeuronLock(name="mine", **options)(x)
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


@pytest.mark.parametrize(
    ("place", "options"),
    [
        ("conv", {}),
        ("norm", {"linear": "conv"}),
        ("conv", {"linear": "nothing"}),
        ("relu", {"linear": "conv", "norm": "norm"}),
        ("pool", {"linear": "pool"}),
        ("pool", {"linear": "conv"}),
    ],
)
def test_a_misplaced_lock_is_not_folded(place: str, options: dict[str, str]) -> None:
    for unlock in (fold_lock, strip_lock):
        with pytest.raises(LockError, match=r"fold lock 'mine'.*lock 'conv' with"):
            unlock(hand_placed(place, **options))


def test_a_lock_set_by_hand_where_it_folds_is_folded() -> None:
    for place, options in (
        ("conv", {"linear": "conv"}),
        ("norm", {"linear": "conv", "norm": "norm"}),
    ):
        model = hand_placed(place, **options)
        assert set(locks_of(model)) == {"conv"}
        assert [layer.name for layer in fold_lock(model).layers[1:]] == [
            "conv", "norm", "relu", "pool", "head",
        ]  # fmt: skip


def test_a_linear_output_that_something_else_reads_is_refused() -> None:
    inputs = keras.Input((5,))
    z = layers.Dense(4, name="dense")(inputs)
    both = layers.Add()([z, NeuronLock(linear="dense", name="mine")(z)])
    model = keras.Model(inputs, layers.Dense(2, name="head")(both))
    with pytest.raises(LockError, match="nothing else there"):
        fold_lock(model)


def test_no_layer_to_lock_is_refused() -> None:
    with pytest.raises(LockError, match="at least one layer name, got none"):
        lock_model(network(), layers=[])


def test_a_model_of_adapted_layers_alone_says_why() -> None:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)]
    )
    for layer in model.layers:
        layer.enable_lora(2)
    with pytest.raises(LockError, match="Dense or one with low-rank adapters"):
        lock_model(model)
