"""Writes ``models/``: small real flatbuffers and a list of their constants.

Run once, with TensorFlow: ``python -m tests.edgepro_tf.native.make_models``. The files
are kept, so that the delegate is tested where there is no TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from edgepro_tf.flatbuffer.schema import read_model

FOLDER = Path(__file__).parent / "models"
IMAGE = (12, 12, 2)


def network() -> keras.Model:
    """A convolution, a depthwise one, and two dense layers, one over 4,096 weights."""
    keras.utils.set_random_seed(7)
    x = inputs = keras.Input(IMAGE, batch_size=1)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Dense(16, activation="relu", bias_initializer="random_normal")(
        layers.Flatten()(x)
    )
    return keras.Model(inputs, layers.Dense(4, bias_initializer="random_normal")(x))


def samples() -> Iterator[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    for _ in range(8):
        yield [rng.normal(size=(1, *IMAGE)).astype(np.float32)]


def convert(kind: str) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(network())
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


class TwoSignatures(tf.Module):
    """Two functions over one dense layer, and a further layer of its own for each."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        draw = lambda *shape: tf.Variable(rng.normal(size=shape).astype(np.float32))  # noqa: E731
        self.shared, self.left, self.right = draw(6, 8), draw(8, 3), draw(8, 5)

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, "x")])
    def first(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.nn.relu(x @ self.shared) @ self.left}

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, "x")])
    def second(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.nn.tanh(x @ self.shared) @ self.right}


def convert_signatures() -> bytes:
    module = TwoSignatures()
    functions = [f.get_concrete_function() for f in (module.first, module.second)]
    saved = "/tmp/edgepro-two-signatures"
    names = ("first", "second")
    tf.saved_model.save(module, saved, dict(zip(names, functions, strict=True)))
    return bytes(tf.lite.TFLiteConverter.from_saved_model(saved).convert())


def list_constants(model: bytes) -> list[dict[str, object]]:
    constants, seen = [], set()
    for operator in read_model(model).operators:
        for operand in operator.operands:
            constant = operand.constant
            is_first = constant.buffer not in seen
            seen.add(constant.buffer)
            constants.append(
                {
                    "subgraph": constant.subgraph,
                    "tensor": constant.tensor,
                    "type": int(constant.element_type),
                    "view": [int(extent) for extent in operand.view],
                    "is_first": is_first,
                    "scales": constant.scales[1] // 4 if constant.scales else 0,
                }
            )
    return constants


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    files = {kind: convert(kind) for kind in ("float32", "float16", "dynamic", "int8")}
    files["two_signatures"] = convert_signatures()
    for name, model in files.items():
        (FOLDER / f"{name}.tflite").write_bytes(model)
        text = json.dumps(list_constants(model), indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
