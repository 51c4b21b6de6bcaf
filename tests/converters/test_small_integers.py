"""Integers of 8 and 16 bits are numbers, unless they become indices on any way."""

from __future__ import annotations

import numpy as np
import pytest

from converters import lock_tflite
from tests.converters.test_odd_files import lock_exactly
from tests.crafted import Crafted, schema

INT8, INT16 = schema.TensorType.INT8, schema.TensorType.INT16
INT32 = schema.TensorType.INT32


@pytest.mark.parametrize("way", ["", "RESHAPE", "TILE", "MIRROR_PAD"])
def test_small_integers_that_become_indices_stay(way: str) -> None:
    """PyTorch keeps an order of channels in a byte each."""
    crafted = Crafted()
    order = crafted.rng.permutation(32).astype(np.int8)
    moved = places = crafted.add_tensor([32], order)
    if way:
        by = np.int32({"RESHAPE": [32], "TILE": [1], "MIRROR_PAD": [[0, 0]]}[way])
        moved = crafted.add_tensor([32], type_=INT8)
        crafted.add_operator(way, [places, crafted.add_tensor(by.shape, by)], [moved])
    indices = crafted.add_tensor([32], type_=INT32)
    crafted.add_operator("CAST", [moved], [indices], outDataType=INT32)
    source, turned = (crafted.add_tensor([1, 32]) for _ in range(2))
    crafted.add_operator("GATHER", [source, indices], [turned], axis=1)
    out = crafted.add_dense(turned, crafted.add_weights(4, 32), 4)
    protected = lock_exactly(crafted.finish([source], [out]))
    assert order.tobytes() in protected.public
    assert protected.tensors_protected == 1


@pytest.mark.parametrize("way", ["", "CONCATENATION"])
def test_small_integers_that_are_indices_stay(way: str) -> None:
    """Out of place, they would be none that the picked tensor has."""
    crafted = Crafted()
    order = crafted.rng.permutation(32).astype(np.int16)
    places = crafted.add_tensor([32], order.view(np.uint8), type_=INT16)
    width = 32
    if way:
        width, parts = 64, [places, places]
        places = crafted.add_tensor([64], type_=INT16)
        crafted.add_operator(way, parts, [places])
    source, turned = crafted.add_tensor([1, 32]), crafted.add_tensor([1, width])
    crafted.add_operator("GATHER", [source, places], [turned], axis=1)
    out = crafted.add_dense(turned, crafted.add_weights(4, width), 4)
    protected = lock_exactly(crafted.finish([source], [out]))
    assert order.tobytes() in protected.public


def test_small_integers_that_a_custom_operator_reads_stay() -> None:
    """It alone knows what they are, joined to others, too."""
    crafted = Crafted()
    codes = crafted.rng.integers(0, 100, 32).astype(np.int8)
    kept = crafted.add_tensor([32], codes)
    joined = crafted.add_tensor([64], type_=INT8)
    crafted.add_operator("CONCATENATION", [kept, kept], [joined])
    source, hidden = crafted.add_tensor([1, 4]), crafted.add_tensor([1, 16])
    crafted.add_operator("CUSTOM", [source, joined], [hidden], custom="Ours")
    out = crafted.add_dense(hidden, crafted.add_weights(4, 16), 4)
    protected = lock_tflite(crafted.finish([source], [out]), runs=False)
    assert codes.tobytes() in protected.public


def test_small_integers_whose_shape_is_asked_for_are_locked() -> None:
    """An index that is found by looking at them makes none of them."""
    crafted = Crafted()
    codes = crafted.rng.integers(0, 100, (4, 16)).astype(np.int8)
    kept = crafted.add_tensor([4, 16], codes)
    joined = crafted.add_tensor([8, 16], type_=INT8)
    crafted.add_operator("CONCATENATION", [kept, kept], [joined])
    shape, twice = (crafted.add_tensor([2], type_=INT32) for _ in range(2))
    crafted.add_operator("SHAPE", [kept], [shape], outType=INT32)
    crafted.add_operator("ADD", [shape, shape], [twice])
    weights, source = crafted.add_tensor([8, 16]), crafted.add_tensor([1, 16])
    crafted.add_operator("CAST", [joined], [weights])
    out = crafted.add_dense(source, weights, 8)
    assert lock_exactly(crafted.finish([source], [out, twice])).bytes_left == 0
