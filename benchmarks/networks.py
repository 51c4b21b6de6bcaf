"""The Keras networks that are measured, with random weights; needs TensorFlow."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from converters.keras_export import ExportOptions

IMAGE_SHAPE = (224, 224, 3)
_APPLICATIONS = {
    "mobilenet_v2": keras.applications.MobileNetV2,
    "resnet50": keras.applications.ResNet50,
}
# Layers behind which the explicit multiplications stand: 17 in MobileNetV2 (depthwise
# convolutions), 32 in ResNet-50 (the first two convolutions of each block).
_MULTIPLIED = ("depthwise_relu", "_1_relu", "_2_relu")
_GROWING_LAYERS = 12


def build_network(name: str) -> keras.Model:
    """A network of ``keras.applications``; ``_int8`` is a matter of its export."""
    keras.utils.set_random_seed(1)
    build = _APPLICATIONS[name.removesuffix("_int8")]
    return _settle(build(weights=None, input_shape=IMAGE_SHAPE))


def multiply_channels(model: keras.Model) -> keras.Model:
    """The alternative to restoring weights: explicit multiplications by a constant a
    channel, whose factors a runtime would fill in.
    """
    rng = np.random.default_rng(1)

    def call(layer: layers.Layer, *args: object, **kwargs: object) -> object:
        y = layer(*args, **kwargs)
        if not layer.name.endswith(_MULTIPLIED):
            return y
        return y * rng.uniform(0.5, 2, y.shape[-1]).astype(np.float32)

    multiplied = keras.models.clone_model(model, call_function=call)
    multiplied.set_weights(model.get_weights())
    return multiplied


def growing_network(megabytes: float) -> keras.Model:
    """A plain convolutional network of about this size as float32, depth the same."""
    keras.utils.set_random_seed(1)
    channels = round((megabytes * 1e6 / 4 / 9 / _GROWING_LAYERS) ** 0.5)
    x = inputs = keras.Input((16, 16, 3))
    for _ in range(_GROWING_LAYERS + 1):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    outputs = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return _settle(keras.Model(inputs, outputs, name=f"growing_{channels}"))


def export_options(name: str) -> ExportOptions:
    """How the network of this name is exported."""
    if not name.endswith("int8"):
        return ExportOptions()
    rng = np.random.default_rng(1)
    samples = [
        [rng.uniform(-1, 1, (1, *IMAGE_SHAPE)).astype(np.float32)] for _ in range(8)
    ]
    return ExportOptions("int8", lambda: iter(samples), "int8")


def _settle(model: keras.Model) -> keras.Model:
    """Normalise every layer by the statistics of noise, so that values neither vanish
    nor explode: else int8 ranges mean nothing and no output depends on a factor.
    """
    normalisations = [
        layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)
    ]
    for layer in normalisations:
        layer.momentum = 0.0
    noise = np.random.default_rng(2).uniform(-1, 1, (4, *model.input_shape[1:]))
    model(noise.astype(np.float32), training=True)
    return model
