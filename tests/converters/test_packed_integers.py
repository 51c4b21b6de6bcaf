"""Weights that larger integers are made of before they are numbers, and in these."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converters.test_odd_files import lock_exactly
from tests.crafted import CODES, UNSIGNED, Crafted, schema

FLOAT32, INT32 = schema.TensorType.FLOAT32, schema.TensorType.INT32
SHAPE = [50, 8]


def scale_and_multiply(crafted: Crafted, codes: int) -> bytes:
    """The integers as a dense layer's weights, behind a CAST and a MUL."""
    made, weights = (crafted.add_tensor(SHAPE) for _ in range(2))
    crafted.add_operator("CAST", [codes], [made], inDataType=INT32, outDataType=FLOAT32)
    scales = crafted.add_tensor([50, 1], crafted.draw(50, 1))
    crafted.add_operator("MUL", [made, scales], [weights])
    return crafted.finish_dense(weights, 50, 8)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16"])
def test_integers_from_which_a_zero_point_is_taken(kind: str) -> None:
    """As the quantisation scheme is written down: in 32 bits, then scaled."""
    crafted = Crafted()
    type_, dtype = (CODES | UNSIGNED)[kind]
    codes = crafted.rng.integers(0, 100, SHAPE).astype(dtype)
    zero_points = crafted.rng.integers(40, 60, (50, 1)).astype(np.int32)
    kept = crafted.add_tensor(SHAPE, codes, type_=type_)
    larger, steps = (crafted.add_tensor(SHAPE, type_=INT32) for _ in range(2))
    crafted.add_operator("CAST", [kept], [larger], inDataType=type_, outDataType=INT32)
    points = crafted.add_tensor([50, 1], zero_points)
    crafted.add_operator("SUB", [larger, points], [steps])
    protected = lock_exactly(scale_and_multiply(crafted, steps))
    assert protected.bytes_left == 0
    for each in (codes, zero_points):
        assert each.tobytes() not in protected.public


def test_integers_of_four_bits_in_words_of_32() -> None:
    """What stands together in a word would stay together in a shuffle."""
    crafted = Crafted()
    words = crafted.rng.integers(0, 1 << 31, (50, 1)).astype(np.int32)
    places = crafted.add_tensor([8], np.arange(0, 32, 4, np.int32))
    shifted, codes = (crafted.add_tensor(SHAPE, type_=INT32) for _ in range(2))
    crafted.add_operator(
        "RIGHT_SHIFT", [crafted.add_tensor([50, 1], words), places], [shifted]
    )
    sixteen = crafted.add_tensor([1], np.int32([16]))
    crafted.add_operator("FLOOR_MOD", [shifted, sixteen], [codes])
    protected = lock_exactly(scale_and_multiply(crafted, codes))
    assert not np.isin(words, np.frombuffer(protected.public, np.int32)).any()
    assert protected.bytes_left == 36  # Shifts, and what is divided by.


@pytest.mark.parametrize("way", ["RESHAPE", "TRANSPOSE", "GATHER"])
def test_integers_of_32_bits_in_another_order(way: str) -> None:
    """Small as they are: a mask would make them as large as 32 bits are."""
    crafted = Crafted()
    codes = crafted.rng.integers(0, 100, 400).astype(np.int32)
    stored = {"RESHAPE": [400], "TRANSPOSE": [8, 50], "GATHER": [50, 8]}[way]
    by = {"RESHAPE": SHAPE, "TRANSPOSE": [1, 0], "GATHER": list(range(50))}[way]
    kept, places = crafted.add_tensor(stored, codes), np.int32(by)
    moved = crafted.add_tensor(SHAPE, type_=INT32)
    order = crafted.add_tensor([len(by)], places)
    crafted.add_operator(way, [kept, order], [moved])
    original = scale_and_multiply(crafted, moved)
    protected = lock_exactly(original)
    place = original.index(codes.tobytes())
    public = np.frombuffer(protected.public, np.int32, codes.size, place)
    assert not np.array_equal(public, codes)
    np.testing.assert_array_equal(np.sort(np.abs(public)), np.sort(codes))
    assert protected.bytes_left == places.nbytes


@pytest.mark.parametrize("kind", ["MUL", "GREATER"])
def test_whole_numbers_for_inputs_of_whole_numbers(kind: str) -> None:
    """Weights, and a tree's thresholds."""
    crafted = Crafted()
    codes = crafted.rng.integers(-100, 100, SHAPE).astype(np.int32)
    type_ = INT32 if kind == "MUL" else schema.TensorType.BOOL
    source = crafted.add_tensor(SHAPE, type_=INT32)
    made, answer = crafted.add_tensor(SHAPE, type_=type_), crafted.add_tensor(SHAPE)
    crafted.add_operator(kind, [source, crafted.add_tensor(SHAPE, codes)], [made])
    crafted.add_operator(
        "CAST", [made], [answer], inDataType=type_, outDataType=FLOAT32
    )
    protected = lock_exactly(crafted.finish([source], [answer]))
    assert protected.bytes_left == 0
    assert codes.tobytes() not in protected.public
