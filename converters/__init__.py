"""From a Keras model or a ``.tflite`` to a public model and its lock.

The doors are ``convert_keras`` and ``lock_tflite``; both make a ``ProtectedModel``:

    pipeline                        the two doors, stage by stage
    keras_export, precision         the stock converter's flatbuffer
    split                           what lock training put in, taken out of it
    recipe, exactness, updates      which steps each constant takes, or keeps
    chance, agreement               locks drawn until the public file answers by chance
    samples, verify, verify_keras   the pair run on real inputs, and held against Keras
    ranges, leftovers, packing      what a lock leaves readable, or costs a download
    writing                         a pair sealed, written, read again
"""

from converters.pipeline import ProtectedModel, convert_keras, lock_tflite
from converters.recipe import PRESETS, Recipe
from converters.writing import ShippedPair, WrittenPair, read_pair, write_pair

__all__ = [
    "PRESETS",
    "ProtectedModel",
    "Recipe",
    "ShippedPair",
    "WrittenPair",
    "convert_keras",
    "lock_tflite",
    "read_pair",
    "write_pair",
]
