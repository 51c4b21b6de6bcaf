"""Small ready-made networks: good baselines in minutes on two cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from edgepro_tf.errors import ZooError

# Small sets have few steps: Keras' own 0.99 would still be on its way after hundreds.
_MOMENTUM = 0.9
WIDTH = 32
_PATCHES = 4  # On a side.


def build_model(
    kind: str, input_shape: tuple[int, ...], classes: int, *, width: int = WIDTH
) -> keras.Model:
    """Build an untrained classifier with batch normalisation.

    The output is a softmax: compile with ``sparse_categorical_crossentropy``. (What a
    device wants is probabilities, and Keras computes the loss from the logits behind a
    softmax anyway.)

    Args:
        kind: ``cnn`` (three convolutions, one dense layer), ``mlp`` (two hidden dense
            layers), ``resnet`` (three residual blocks), ``depthwise`` (depthwise
            separable blocks), ``transformer`` (patches, two blocks of attention) or
            ``lstm`` (an image's rows read one after the other).
        input_shape: [height, width, channels]; for ``mlp`` any.
        classes: number of classes.
        width: channels of the first convolution, of the transformer's embedding or of
            the cell; ``mlp`` has four times as many units.

    Returns:
        A functional model, not compiled.

    Raises:
        ZooError: the kind is unknown, or the input is no image where one is needed.
    """
    if kind not in _BODIES:
        raise ZooError(
            f"cannot build network {kind!r}: expected one of {', '.join(_BODIES)}."
        )
    if kind != "mlp" and len(input_shape) != 3:
        raise ZooError(
            f"cannot build network {kind!r}: expected an input shape [height, width, "
            f"channels], got {tuple(input_shape)}.",
            "Use 'mlp'.",
        )
    inputs = keras.Input(input_shape, name="image" if kind != "mlp" else "features")
    x = _BODIES[kind](inputs, width)
    outputs = layers.Dense(classes, activation="softmax", name="head")(x)
    return keras.Model(inputs, outputs, name=kind)


def _cnn(x: Any, width: int) -> Any:
    x = _convolution(x, width, "conv_1")
    x = _pool(x, "pool_1")
    x = _convolution(x, 2 * width, "conv_2")
    x = _pool(x, "pool_2")
    x = _convolution(x, 2 * width, "conv_3")
    x = layers.GlobalAveragePooling2D(name="pool_3")(x)
    return _dense(x, 2 * width, "dense_1")


def _mlp(x: Any, width: int) -> Any:
    x = layers.Flatten(name="flatten")(x)
    x = _dense(x, 4 * width, "dense_1")
    return _dense(x, 4 * width, "dense_2")


def _resnet(x: Any, width: int) -> Any:
    """Source: He et al., Deep Residual Learning, CVPR 2016, at a small scale."""
    half = width // 2
    x = _convolution(x, half, "stem")
    for block, (channels, strides) in enumerate(
        ((half, 1), (width, 2), (2 * width, 2)), 1
    ):
        name = f"block_{block}"
        shortcut = x
        if strides > 1:
            shortcut = layers.Conv2D(
                channels, 1, strides, use_bias=False, name=f"{name}_shortcut"
            )(x)
            shortcut = layers.BatchNormalization(
                momentum=_MOMENTUM, name=f"{name}_shortcut_bn"
            )(shortcut)
        x = _convolution(x, channels, f"{name}_conv_1", strides)
        x = _linear(x, channels, f"{name}_conv_2")
        x = layers.Add(name=f"{name}_add")([x, shortcut])
        x = layers.ReLU(name=f"{name}_relu")(x)
    return layers.GlobalAveragePooling2D(name="pool")(x)


def _depthwise(x: Any, width: int) -> Any:
    """Source: Howard et al., MobileNets (arXiv 1704.04861), at a small scale."""
    x = _convolution(x, width, "stem")
    for block, strides in enumerate((2, 1, 2), 1):
        name = f"block_{block}"
        x = layers.DepthwiseConv2D(
            3, strides, padding="same", use_bias=False, name=f"{name}_depthwise"
        )(x)
        x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_depthwise_bn")(
            x
        )
        x = layers.ReLU(name=f"{name}_depthwise_relu")(x)
        x = _convolution(x, width * (1 + block), f"{name}_pointwise", kernel=1)
    return layers.GlobalAveragePooling2D(name="pool")(x)


def _transformer(x: Any, width: int) -> Any:
    """Two blocks of attention over some sixteen patches, whatever the image's size.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words (arXiv 2010.11929); places
    are told by a depthwise filter, as in Chu et al. (arXiv 2102.10882).
    """
    patch = [-(-side // _PATCHES) for side in x.shape[1:3]]
    x = layers.Conv2D(width, patch, patch, padding="same", name="patches")(x)
    places = layers.DepthwiseConv2D(3, padding="same", name="places")(x)
    x = layers.Add(name="places_add")([x, places])
    x = layers.Reshape((x.shape[1] * x.shape[2], width), name="sequence")(x)
    for block in (1, 2):
        name = f"block_{block}"
        y = layers.LayerNormalization(name=f"{name}_norm_1")(x)
        y = layers.MultiHeadAttention(2, width // 2, name=f"{name}_attention")(y, y)
        x = layers.Add(name=f"{name}_add_1")([x, y])
        y = layers.LayerNormalization(name=f"{name}_norm_2")(x)
        y = layers.Dense(2 * width, activation="gelu", name=f"{name}_dense_1")(y)
        y = layers.Dense(width, name=f"{name}_dense_2")(y)
        x = layers.Add(name=f"{name}_add_2")([x, y])
    x = layers.LayerNormalization(name="norm")(x)
    return layers.Flatten(name="flatten")(x)


def _lstm(x: Any, width: int) -> Any:
    """An image's rows, one after the other; unrolled, as audits read it."""
    height, breadth, channels = x.shape[1:]
    x = layers.Reshape((height, breadth * channels), name="rows")(x)
    x = layers.LSTM(width, unroll=True, name="cell")(x)
    return _dense(x, width, "dense_1")


def _convolution(
    x: Any, channels: int, name: str, strides: int = 1, kernel: int = 3
) -> Any:
    x = _linear(x, channels, name, strides, kernel)
    return layers.ReLU(name=f"{name}_relu")(x)


def _linear(x: Any, channels: int, name: str, strides: int = 1, kernel: int = 3) -> Any:
    x = layers.Conv2D(
        channels, kernel, strides, padding="same", use_bias=False, name=name
    )(x)
    return layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)


def _dense(x: Any, units: int, name: str) -> Any:
    x = layers.Dense(units, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _pool(x: Any, name: str) -> Any:
    # "same" keeps the 8 x 8 digits from shrinking to nothing.
    return layers.MaxPooling2D(2, padding="same", name=name)(x)


_BODIES: dict[str, Callable[[Any, int], Any]] = {
    "cnn": _cnn,
    "mlp": _mlp,
    "resnet": _resnet,
    "depthwise": _depthwise,
    "transformer": _transformer,
    "lstm": _lstm,
}
KINDS = tuple(_BODIES)
