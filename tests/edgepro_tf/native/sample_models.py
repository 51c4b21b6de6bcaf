"""The kept models of ``models/`` and locks over their constants; no TensorFlow."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from edgepro_tf import native
from edgepro_tf.locks import ElementType, ModelLock, Step, Target, TensorLock
from edgepro_tf.payload import pack_lock

FOLDER = Path(__file__).parent / "models"
NAMES = ("float32", "float16", "dynamic", "int8")
SEED = bytes(range(32))
ROWS = Step.ORDER | Step.SIGNS
ELEMENTS = Step.SHUFFLE | Step.SIGNS


@functools.cache
def read_model(name: str) -> bytes:
    return (FOLDER / f"{name}.tflite").read_bytes()


def list_constants(name: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def plan_lock(name: str, steps: Step) -> ModelLock:
    """One record a buffer, and one for each vector of scales that has several."""
    tensors = []
    for constant in list_constants(name):
        address = constant["subgraph"], constant["tensor"]
        element_type = ElementType(constant["type"])
        view = tuple(constant["view"])
        if constant["is_first"]:
            tensors.append(TensorLock(*address, element_type, view, steps))
        if constant["scales"] > 1:
            shape = (1, constant["scales"], 1)
            tensors.append(
                TensorLock(
                    *address, ElementType.FLOAT32, shape, Step.SHUFFLE, Target.SCALES
                )
            )
    return ModelLock(SEED, tuple(tensors))


@functools.cache
def make_pair(name: str, steps: Step = ELEMENTS) -> tuple[bytes, bytes]:
    """Public model and payload."""
    return lock_model(read_model(name), plan_lock(name, steps))


def lock_model(model: bytes, lock: ModelLock) -> tuple[bytes, bytes]:
    public = bytearray(model)
    fingerprints = native.apply_lock(public, pack_lock(lock))
    return bytes(public), pack_lock(lock.with_fingerprints(fingerprints))
