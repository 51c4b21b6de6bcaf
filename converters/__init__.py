"""From a Keras model or a ``.tflite`` to a public model and its lock.

The doors are ``convert_keras`` and ``lock_tflite``; both make a ``ProtectedModel``.
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
