"""The files that are measured: plain, protected, and encrypted as people do today."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

IMAGE_SHAPE = (224, 224, 3)


@dataclasses.dataclass(frozen=True)
class Subject:
    """One network, in all the ways it could ship. Paths of files in one folder."""

    name: str
    plain: Path
    public: Path
    payload: Path
    encrypted: Path
    key: Path
    input_shape: tuple[int, ...]
    input_dtype: str
    conversion_s: float
    locking_s: float
    multiplied: Path | None = None


def build_subject(name: str, folder: Path, *, recipe: str = "standard") -> Subject:
    """Build a network with random weights, convert and lock it, encrypt a copy.

    Args:
        name: ``mobilenet_v2``, ``mobilenet_v2_int8`` or ``resnet50``.
        folder: where the files go; kept, so that a second run starts quickly.
        recipe: a preset of ``converters``.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from converters import lock_tflite

    folder = folder / f"{name}_{recipe}"
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / "plain.tflite"
    started = time.perf_counter()
    plain.write_bytes(_export(name))
    converted = time.perf_counter()
    protected = lock_tflite(plain, recipe=recipe)
    locked = time.perf_counter()
    key, nonce = AESGCM.generate_key(256), os.urandom(12)
    files = {
        "public": protected.public,
        "payload": protected.payload,
        "encrypted": nonce + AESGCM(key).encrypt(nonce, plain.read_bytes(), None),
        "key": key,
    }
    for label, content in files.items():
        (folder / label).write_bytes(content)
    multiplied = None
    if name == "mobilenet_v2":
        multiplied = folder / "multiplied.tflite"
        multiplied.write_bytes(_export(name, multiply=True))
    dtype = "int8" if name.endswith("int8") else "float32"
    return Subject(
        name,
        plain,
        *(folder / label for label in files),
        input_shape=(1, *IMAGE_SHAPE),
        input_dtype=dtype,
        conversion_s=converted - started,
        locking_s=locked - converted,
        multiplied=multiplied,
    )


def _export(name: str, *, multiply: bool = False) -> bytes:
    import keras

    from converters.keras_export import ExportOptions, export_keras

    keras.utils.set_random_seed(1)
    if name == "resnet50":
        model = keras.applications.ResNet50(weights=None, input_shape=IMAGE_SHAPE)
    else:
        model = keras.applications.MobileNetV2(weights=None, input_shape=IMAGE_SHAPE)
    if multiply:
        model = _with_scales_as_layers(model)
    if not name.endswith("int8"):
        return export_keras(model, ExportOptions())
    rng = np.random.default_rng(1)
    samples = [
        [rng.uniform(-1, 1, (1, *IMAGE_SHAPE)).astype(np.float32)] for _ in range(8)
    ]
    return export_keras(model, ExportOptions("int8", lambda: iter(samples), "int8"))


def _with_scales_as_layers(model: keras.Model) -> keras.Model:
    """The alternative to restoring weights: an explicit multiplication by a constant
    behind every depthwise convolution, whose factors a runtime would fill in.
    """
    import keras

    rng = np.random.default_rng(1)

    def call(layer: keras.layers.Layer, *args: object, **kwargs: object) -> object:
        y = layer(*args, **kwargs)
        if not layer.name.endswith("depthwise_relu"):
            return y
        return y * rng.uniform(0.5, 2, y.shape[-1]).astype(np.float32)

    return keras.models.clone_model(model, call_function=call)
