"""Lock-trained networks: every lockable layer, in every number format."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from converters import ProtectedModel, convert_keras
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.flatbuffer.views import Role
from edgepro_tf.locking import LockConfig, lock_model, locks_of, strip_lock
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import input_details, quantize_input, run_model
from tests.flatbuffers import representative
from tests.models import EVERY_PART

# What the paper's lock has, at a value that a bias must carry.
VALUES_ALONE = LockConfig(fraction=0.3, signs=False, locking_value=0.5)
ACTIVATIONS = ("relu", "gelu", "sigmoid", "tanh", "relu6", "silu", "softplus")


def _layers_of(inputs: Any, linears: list[Any], *, norm: bool) -> Any:
    x = inputs
    for index, linear in enumerate(linears):
        x = linear(x)
        if norm:
            x = layers.BatchNormalization(name=f"{linear.name}_bn")(x)
        x = layers.Activation(ACTIVATIONS[index % len(ACTIVATIONS)])(x)
    return x


@functools.cache
def every_layer(*, bias: bool, norm: bool) -> keras.Model:
    """Two branches with every kind of layer that a lock folds into, weights drawn."""
    keras.utils.set_random_seed(1)
    b = {"use_bias": bias}
    image = keras.Input((8, 8, 4), name="image")
    signal = keras.Input((12, 4), name="signal")
    x = [
        layers.Conv2D(6, 3, padding="same", name="conv_2d", **b),
        layers.Conv2D(6, 3, padding="same", dilation_rate=2, name="dilated", **b),
        layers.Conv2D(4, 3, padding="same", groups=2, name="grouped", **b),
        layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise", **b),
        layers.DepthwiseConv2D(
            3, padding="same", dilation_rate=2, name="depthwise_dilated", **b
        ),
        layers.SeparableConv2D(4, 3, name="separable", **b),
        layers.Conv2DTranspose(6, 3, 2, name="transposed", **b),
        layers.Dense(6, name="dense_4d", **b),
    ]
    y = [
        layers.Conv1D(6, 3, padding="causal", dilation_rate=2, name="conv_1d", **b),
        layers.DepthwiseConv1D(3, name="depthwise_1d", **b),
        layers.Conv1DTranspose(4, 2, 2, name="transposed_1d", **b),
        layers.Dense(6, name="dense_3d", **b),
        layers.EinsumDense(
            "abc,cd->abd", (None, 5), bias_axes="d" if bias else None, name="einsum"
        ),
        layers.EinsumDense(
            "abc,cde->abde",
            (None, 2, 4),
            bias_axes="de" if bias else None,
            name="einsum_heads",
        ),
    ]
    branches = [_layers_of(image, x, norm=norm), _layers_of(signal, y, norm=norm)]
    pooled = [layers.GlobalAveragePooling2D()(branch) for branch in branches]
    flat = layers.Concatenate()(pooled)
    last = _layers_of(flat, [layers.Dense(8, name="dense_2d", **b)], norm=norm)
    model = keras.Model([image, signal], layers.Dense(4, name="head")(last))
    rng = np.random.default_rng(3)
    for weight in model.weights:
        drawn = weight.path.endswith("kernel")
        weight.assign(weight if drawn else rng.uniform(0.1, 0.6, weight.shape))
    return model


def convert(
    model: keras.Model, lock: str | LockConfig, number_format: str, **options: Any
) -> tuple[keras.Model, ProtectedModel]:
    locked = lock_model(model, config=lock, seed=5)
    names = [tensor.name for tensor in model.inputs]
    rows = [
        dict(zip(names, row, strict=True)) if len(names) > 1 else row
        for row in representative(model)
    ]

    def samples() -> Iterator[Any]:
        return iter(rows)

    protected = convert_keras(
        locked,
        recipe="paper" if lock == VALUES_ALONE else "standard",
        number_format=number_format,
        representative_dataset=samples,
        **options,
    )
    return locked, protected


@pytest.mark.parametrize(
    ("norm", "number_format"), [(False, "float32"), (True, "int8")]
)
def test_a_network_before_its_first_step_can_be_split(
    norm: bool, number_format: str
) -> None:
    """Its biases are zeros, which the stock converter does not add."""
    fresh = keras.models.clone_model(every_layer(bias=True, norm=norm))
    assert not any(np.any(w) for w in fresh.weights if w.path.endswith("/bias"))
    _, protected = convert(fresh, "default", number_format)
    assert protected.keras_difference is not None


@pytest.mark.parametrize(
    ("bias", "norm", "number_format"),
    [
        (False, False, "float32"),
        (False, False, "int8"),
        (False, True, "float32"),
        (True, False, "float32"),
        (True, True, "int8"),
    ],
)
def test_every_layer_takes_a_lock(bias: bool, norm: bool, number_format: str) -> None:
    model = every_layer(bias=bias, norm=norm)
    # Signs, offsets and an order in one format; values alone, taken out, in the other.
    lock = EVERY_PART if number_format == "float32" else VALUES_ALONE
    locked, protected = convert(model, lock, number_format)
    kinds = {layer.name for layer in model.layers if layer.weights}
    assert set(locks_of(locked)) == {
        name for name in kinds if not name.endswith("_bn") and name != "head"
    }
    constants = [
        np.abs(operand.read_values(protected.public))
        for operator in read_model(protected.public).operators
        for operand in operator.operands
    ]
    assert not any(np.any((each > 0) & (each < 1e-30)) for each in constants)
    assert protected.keras_difference is not None
    assert protected.keras_difference < (1e-4 if number_format == "float32" else 0.3)


@pytest.mark.parametrize("use_xnnpack", [True, False])
@pytest.mark.parametrize(
    ("number_format", "inference_type"),
    [
        ("float32", "float32"),
        ("float16", "float32"),
        ("dynamic", "float32"),
        ("int8", "float32"),
        ("int8", "int8"),
        ("int8", "uint8"),
        ("int16x8", "float32"),
    ],
)
def test_published_is_released_and_restored_is_authorized(
    number_format: str, inference_type: str, use_xnnpack: bool
) -> None:
    model, locked, protected = _converted(number_format, inference_type)
    options = {"use_xnnpack": use_xnnpack}
    authorized = make_interpreter(protected.authorized, **options)
    restored = open_with_payload(protected.public, protected.payload, **options)
    public = make_interpreter(protected.public, **options)
    ((name, detail),) = input_details(authorized).items()
    released, effects = strip_lock(locked), []
    is_quantized = number_format.startswith("int")
    bound = 0.1 if is_quantized else 0.02
    for (given,) in representative(model):
        sample = {name: quantize_input(given, detail)}
        ours, theirs, bare = (
            next(iter(run_model(each, sample).values()))
            for each in (restored, authorized, public)
        )
        np.testing.assert_array_equal(ours, theirs)
        if inference_type != "float32":
            continue
        expected, locked_answer = released(given), locked(given)
        effects.append(np.abs(expected - locked_answer).max())
        np.testing.assert_allclose(theirs, locked_answer, atol=bound)
        if not is_quantized:  # There the authorized network's ranges clip the public.
            np.testing.assert_allclose(bare, expected, atol=bound)
    assert max(effects, default=1) > 2 * bound


@functools.cache
def _converted(
    number_format: str, inference_type: str
) -> tuple[keras.Model, keras.Model, ProtectedModel]:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(8, 3, use_bias=False, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="bn")(x))
    x = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    # From 1,024 weights on, the dynamic range format makes them int8.
    x = layers.Dense(128, activation="relu", name="dense_4d")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, name="head")(x))
    rng = np.random.default_rng(3)
    for weight in model.weights:
        if not weight.path.endswith("kernel"):
            weight.assign(rng.uniform(0.1, 0.9, weight.shape))
    options = {"inference_type": inference_type}
    return model, *convert(model, VALUES_ALONE, number_format, **options)


@pytest.mark.parametrize("number_format", ["int8", "int16x8"])
def test_scales_do_not_tell_what_was_taken_out(number_format: str) -> None:
    """Stock files have bias scale = input scale * filter scale, in every channel."""
    _, _, protected = _converted(number_format, "float32")
    assert protected.public != protected.authorized
    for operator in read_model(protected.public).operators:
        by_role = {operand.role: operand.constant for operand in operator.operands}
        if operator.is_linear and Role.BIAS in by_role:
            bias, filter_ = (
                by_role[role].read_scales(protected.public)
                for role in (Role.BIAS, Role.FILTER)
            )
            expected = filter_ * np.float32(operator.input_scale)
            np.testing.assert_array_equal(bias, expected)
