"""Tiny Keras models (under 5,000 weights), one builder a topology.

Every builder gives a functional or Sequential classifier with random weights and with
batch-normalisation statistics that are not the initial ones, so that nothing passes
because a mean is 0. ``TOPOLOGIES`` names those with a softmax head of ``CLASSES``
classes (the first output, where there are several).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from edgepro_tf.locking import PRESETS

# A lock with all that a channel lock can hold; no preset has an order.
EVERY_PART = dataclasses.replace(PRESETS["rich"], order=True)
CLASSES = 4
IMAGE = (8, 8, 2)


def cnn() -> keras.Model:
    """Convolution, batch normalisation, ReLU: the lock stands after the norm."""
    x = inputs = keras.Input(IMAGE, name="image")
    for name, strides in (("conv_1", 1), ("conv_2", 2)):
        x = layers.Conv2D(
            6, 3, strides, padding="same", use_bias=name == "conv_2", name=name
        )(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return _done(
        inputs, _head(layers.Dense(8, activation="relu", name="dense")(x)), "cnn"
    )


def plain_cnn() -> keras.Model:
    """Fused activations and no normalisation; one layer has no bias."""
    x = inputs = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="conv_1")(x)
    x = layers.MaxPooling2D(2, name="pool_1")(x)
    x = layers.Conv2D(6, 3, activation="tanh", use_bias=False, name="conv_2")(x)
    return _done(inputs, _head(layers.Flatten(name="flatten")(x)), "plain_cnn")


def sequential() -> keras.Model:
    """A Sequential model with fused activations and a normalisation."""
    model = keras.Sequential(
        [
            keras.Input(IMAGE, name="image"),
            layers.Conv2D(6, 3, use_bias=False, name="conv_1"),
            layers.BatchNormalization(name="bn_1"),
            layers.Activation("relu", name="relu_1"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.1, name="dropout"),
            layers.Dense(8, activation="relu", name="dense"),
            layers.Dense(CLASSES, activation="softmax", name="head"),
        ],
        name="sequential",
    )
    return _settle(model)


def residual() -> keras.Model:
    """A residual block whose shortcut and branch meet in an addition operator."""
    inputs = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")(inputs)
    y = layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv_1")(x)
    y = layers.BatchNormalization(name="bn_1", scale=False)(y)
    y = layers.ReLU(name="relu_1")(y)
    y = layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv_2")(y)
    y = layers.BatchNormalization(name="bn_2", center=False)(y)
    x = layers.ReLU(name="relu_2")(x + y)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return _done(inputs, _head(x), "residual")


def depthwise() -> keras.Model:
    """Depthwise (multiplier 1 and 2), separable, grouped and transposed layers."""
    x = inputs = keras.Input(IMAGE, name="image")
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise_1")(x)
    x = layers.ReLU(name="relu_1")(x)
    x = layers.SeparableConv2D(6, 3, activation="relu", name="separable")(x)
    x = layers.Conv2D(4, 1, groups=2, name="grouped")(x)
    x = layers.BatchNormalization(name="grouped_bn")(x)
    x = layers.Conv2DTranspose(3, 2, 2, activation="relu", name="transposed")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise_2")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu_2")(x))
    return _done(inputs, _head(x), "depthwise")


def mobile() -> keras.Model:
    """What phones run: convolution, depthwise, pointwise, dense, each normalised."""
    x = inputs = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    x = layers.Conv2D(8, 1, name="pointwise")(layers.ReLU(name="depthwise_relu")(x))
    x = layers.BatchNormalization(name="pointwise_bn")(x)
    x = layers.ReLU(max_value=6, name="pointwise_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return _done(inputs, _head(x), "mobile")


def signal() -> keras.Model:
    """One dimension: convolution, its transpose, depthwise, and einsum layers."""
    x = inputs = keras.Input((12, 2), name="signal")
    x = layers.Conv1D(6, 3, activation="relu", name="conv")(x)
    x = layers.DepthwiseConv1D(3, activation="relu", name="depthwise")(x)
    x = layers.Conv1DTranspose(4, 2, 2, use_bias=False, name="transposed")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.EinsumDense("abc,cd->abd", (16, 5), bias_axes="bd", name="einsum_1")(x)
    x = layers.EinsumDense("abc,cd->abd", (16, 6), name="einsum_2")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(layers.ReLU(name="relu")(x))
    return _done(inputs, _head(x), "signal")


def mlp() -> keras.Model:
    """Dense layers on features."""
    x = inputs = keras.Input((10,), name="features")
    x = layers.Dense(12, use_bias=False, name="dense_1")(x)
    x = layers.BatchNormalization(name="bn_1")(x)
    x = layers.ReLU(name="relu_1")(x)
    x = layers.Dense(12, activation="gelu", name="dense_2")(x)
    return _done(inputs, _head(x), "mlp")


def shared() -> keras.Model:
    """Two inputs through one convolution and one normalisation (siamese)."""
    left, right = keras.Input(IMAGE, name="left"), keras.Input(IMAGE, name="right")
    conv = layers.Conv2D(6, 3, use_bias=False, name="conv")
    norm = layers.BatchNormalization(name="bn")
    dense = layers.Dense(6, activation="relu", name="dense")
    pool = layers.GlobalAveragePooling2D(name="pool")
    sides = [dense(pool(keras.ops.relu(norm(conv(side))))) for side in (left, right)]
    x = layers.Concatenate(name="both")(sides)
    return _done([left, right], _head(x), "shared")


def nested() -> keras.Model:
    """A functional encoder, used twice, that holds a Sequential block."""
    x = inner = keras.Input(IMAGE, name="inner")
    block = keras.Sequential(
        [
            layers.Conv2D(6, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(name="relu"),
        ],
        name="block",
    )
    x = layers.GlobalAveragePooling2D(name="pool")(block(x))
    encoder = keras.Model(inner, layers.Dense(6, name="code")(x), name="encoder")
    left, right = keras.Input(IMAGE, name="left"), keras.Input(IMAGE, name="right")
    x = layers.Subtract(name="difference")([encoder(left), encoder(right)])
    x = layers.Dense(8, activation="relu", name="dense")(x)
    return _done({"left": left, "right": right}, _head(x), "nested")


def multi_output() -> keras.Model:
    """Classes, independent labels, and a trunk that both use."""
    inputs = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(8, activation="relu", name="dense")(x)
    flags = layers.Dense(3, activation="sigmoid", name="flags")(x)
    return _done(inputs, [_head(x), flags], "multi_output")


TOPOLOGIES: dict[str, Callable[[], keras.Model]] = {
    builder.__name__: builder
    for builder in (
        cnn,
        plain_cnn,
        sequential,
        residual,
        depthwise,
        mobile,
        signal,
        mlp,
        shared,
        nested,
        multi_output,
    )
}


def make_inputs(model: keras.Model, count: int = 16, seed: int = 0) -> Any:
    """float32 inputs in the structure the model takes them."""
    rng = np.random.default_rng(seed)
    is_chain = isinstance(model, keras.Sequential)
    return keras.tree.map_structure(
        lambda t: rng.normal(size=(count, *t.shape[1:])).astype(np.float32),
        model.inputs[0] if is_chain else model.input,
    )


def make_labels(count: int = 16, seed: int = 1) -> np.ndarray:
    """int32 [count]: class numbers."""
    return np.random.default_rng(seed).integers(0, CLASSES, count).astype(np.int32)


def weights_of(model: keras.Model) -> list[np.ndarray]:
    """Copies, to compare with later."""
    return [np.array(value) for value in model.get_weights()]


def reader(words: int) -> keras.Model:
    """A classifier of six words, nearly all of it an embedding."""
    x = inputs = keras.Input((6,), dtype="int32", name="words")
    x = layers.Embedding(words, 64, name="embedding")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    x = layers.Dense(32, activation="relu", name="dense")(x)
    return _done(inputs, _head(x), "reader")


def _head(x: Any) -> Any:
    return layers.Dense(CLASSES, activation="softmax", name="head")(x)


def _done(inputs: Any, outputs: Any, name: str) -> keras.Model:
    return _settle(keras.Model(inputs, outputs, name=name))


def _settle(model: keras.Model) -> keras.Model:
    """Give every vector of weights (biases, statistics) values worth telling apart."""
    rng = np.random.default_rng(7)
    model.set_weights(
        [
            value + rng.uniform(0.1, 0.6, value.shape) if value.ndim == 1 else value
            for value in model.get_weights()
        ]
    )
    return model
