"""The networks people ship, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

_SIZE = 64  # pixels; the applications' own filters do not depend on it


def mobilenet_v2() -> keras.Model:
    return keras.applications.MobileNetV2((_SIZE, _SIZE, 3), weights=None, classes=10)


def mobilenet_v3() -> keras.Model:
    return keras.applications.MobileNetV3Small(
        (_SIZE, _SIZE, 3), weights=None, classes=10
    )


def efficientnet_b0() -> keras.Model:
    return keras.applications.EfficientNetB0(
        input_shape=(_SIZE, _SIZE, 3), weights=None, classes=10
    )


def resnet50() -> keras.Model:
    return keras.applications.ResNet50(
        input_shape=(_SIZE, _SIZE, 3), weights=None, classes=10
    )


def densenet121() -> keras.Model:
    return keras.applications.DenseNet121(
        input_shape=(_SIZE, _SIZE, 3), weights=None, classes=10
    )


def resnet18() -> keras.Model:
    """Source: He et al., Deep Residual Learning, CVPR 2016, table 1."""
    inputs = keras.Input((_SIZE, _SIZE, 3))
    x = _conv_bn(inputs, 64, 7, 2)
    x = layers.MaxPooling2D(3, 2, "same")(layers.ReLU()(x))
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            strides = 2 if stage and not block else 1
            shortcut = _conv_bn(x, channels, 1, strides) if strides > 1 else x
            x = layers.ReLU()(_conv_bn(x, channels, 3, strides))
            x = layers.ReLU()(layers.Add()([_conv_bn(x, channels, 3), shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x), name="resnet18")


def ds_cnn() -> keras.Model:
    """Source: Zhang et al., Hello Edge (arXiv 1711.07128), DS-CNN S."""
    inputs = keras.Input((49, 10, 1))
    x = layers.ReLU()(_conv_bn(inputs, 64, (10, 4), 2))
    for _ in range(4):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.ReLU()(_conv_bn(x, 64, 1))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(12, "softmax")(x), name="ds_cnn")


def sensor_cnn() -> keras.Model:
    inputs = keras.Input((128, 6))
    x = layers.Conv1D(16, 5, activation="relu")(inputs)
    x = layers.Conv1D(32, 5, strides=2, dilation_rate=1, activation="relu")(x)
    x = layers.Conv1D(32, 3, dilation_rate=2, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalMaxPooling1D()(x)
    return keras.Model(inputs, layers.Dense(6)(x), name="sensor_cnn")


def vision_transformer() -> keras.Model:
    """Source: Dosovitskiy et al., An Image is Worth 16x16 Words (arXiv 2010.11929)."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(32, 8, 8)(inputs)
    x = layers.Reshape((16, 32))(x)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, 16)(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(64, activation="gelu")(y)
        x = layers.Add()([x, layers.Dense(32)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(10)(x), name="vision_transformer")


def u_net() -> keras.Model:
    """Source: Ronneberger et al., U-Net (arXiv 1505.04597), at a small scale."""
    inputs = keras.Input((32, 32, 1))
    skips, x = [], inputs
    for channels in (8, 16):
        x = layers.ReLU()(_conv_bn(x, channels, 3))
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.ReLU()(_conv_bn(x, 32, 3))
    for channels, skip in zip((16, 8), skips[::-1], strict=True):
        x = layers.Conv2DTranspose(channels, 2, 2, activation="relu")(x)
        x = layers.Concatenate()([x, skip])
        x = layers.ReLU()(_conv_bn(x, channels, 3))
    outputs = layers.Conv2D(2, 1, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="u_net")


def lstm_classifier() -> keras.Model:
    return _recurrent(layers.LSTM(16), "lstm_classifier")


def gru_classifier() -> keras.Model:
    return _recurrent(layers.GRU(16), "gru_classifier")


def two_towers() -> keras.Model:
    """Two inputs through one shared encoder, two outputs."""
    encoder = layers.Dense(24, activation="relu", name="shared")
    left, right = keras.Input((12,), name="left"), keras.Input((12,), name="right")
    x = layers.Concatenate()([encoder(left), encoder(right)])
    x = layers.Dense(16, activation="relu")(x)
    outputs = [layers.Dense(3, name="kind")(x), layers.Dense(1, name="score")(x)]
    return keras.Model([left, right], outputs, name="two_towers")


def _recurrent(cell: Any, name: str) -> keras.Model:
    inputs = keras.Input((10, 8))
    x = layers.Dense(24, activation="relu")(cell(inputs))
    return keras.Model(inputs, layers.Dense(4)(x), name=name)


def _conv_bn(x: Any, channels: int, kernel: Any, strides: int = 1) -> Any:
    x = layers.Conv2D(channels, kernel, strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    builder.__name__: builder
    for builder in (
        mobilenet_v2,
        mobilenet_v3,
        efficientnet_b0,
        resnet18,
        resnet50,
        densenet121,
        ds_cnn,
        sensor_cnn,
        vision_transformer,
        u_net,
        lstm_classifier,
        gru_classifier,
        two_towers,
    )
}
