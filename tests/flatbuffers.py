"""Flatbuffers of the tiny models, converted once in a test run."""

from __future__ import annotations

import functools

import keras
import numpy as np

from converters.keras_export import ExportOptions, export_keras
from tests import models

FORMATS = ("float32", "float16", "dynamic", "int8", "int16x8")


def representative(model: keras.Model, count: int = 8) -> list[list[np.ndarray]]:
    """Normal noise, as a representative dataset yields it."""
    rng = np.random.default_rng(0)
    return [
        [
            rng.normal(size=(1, *tensor.shape[1:])).astype(np.float32)
            for tensor in model.inputs
        ]
        for _ in range(count)
    ]


@functools.cache
def build_cached(name: str) -> keras.Model:
    """A tiny model with repeatable weights; do not train it."""
    keras.utils.set_random_seed(1)
    return models.TOPOLOGIES[name]()


@functools.cache
def export_cached(name: str, number_format: str = "float32") -> bytes:
    """The stock conversion of a tiny model."""
    model = build_cached(name)
    samples = representative(model)
    return export_keras(model, ExportOptions(number_format, lambda: iter(samples)))
