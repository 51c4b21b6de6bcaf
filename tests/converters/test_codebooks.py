"""Numbers of rows in a table of values: clustered weights, packed embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from converters import lock_tflite
from tests.converters.test_odd_files import lock_exactly
from tests.crafted import CODES, UNSIGNED, Crafted, schema


@pytest.mark.parametrize(
    "kind, is_looked_up",
    [
        *[(kind, how) for kind in ("uint8", "int8", "int32") for how in (False, True)],
        *[(kind, False) for kind in UNSIGNED],
    ],
)
def test_numbers_of_a_codebook_are_moved(kind: str, is_looked_up: bool) -> None:
    """Clustered weights; all of them, or rows by the input (a packed embedding)."""
    crafted = Crafted()
    int32 = schema.TensorType.INT32
    type_, dtype = (CODES | UNSIGNED)[kind]
    book = crafted.add_tensor([16], crafted.draw(16))
    codes = crafted.rng.integers(0, 16, (50, 8)).astype(dtype)
    source = crafted.add_tensor([50], type_=int32)
    drawn = crafted.add_tensor([50, 8], codes, type_=type_)
    if is_looked_up:
        rows = crafted.add_tensor([50, 8], type_=type_)
        crafted.add_operator("GATHER", [drawn, source], [rows])
    else:
        rows = drawn
    places = rows
    if type_ != int32:
        places = crafted.add_tensor([50, 8], type_=int32)
        crafted.add_operator(
            "CAST", [rows], [places], inDataType=type_, outDataType=int32
        )
    weights = crafted.add_tensor([50, 8])
    crafted.add_operator("GATHER", [book, places], [weights])
    if not is_looked_up:
        source = crafted.add_tensor([1, 8])
        weights = crafted.add_dense(source, weights, 50)
    original = crafted.finish([source], [weights])
    protected = lock_exactly(original)
    assert codes.tobytes() not in protected.public and protected.bytes_left == 0
    place = original.index(codes.tobytes())
    moved = np.frombuffer(protected.public, dtype, codes.size, place)
    np.testing.assert_array_equal(np.sort(moved), np.sort(codes.ravel()))


@pytest.mark.parametrize("is_first", [True, False])
def test_numbers_of_a_codebook_that_others_compute_with(is_first: bool) -> None:
    """Equal bytes are stored once, whatever reads them: no mask may take them."""
    crafted = Crafted()
    int16, int32 = schema.TensorType.INT16, schema.TensorType.INT32
    codes = crafted.rng.integers(0, 16, (50, 8)).astype(np.int16)
    source = crafted.add_tensor([1, 8])
    drawn = crafted.add_tensor([50, 8], codes, type_=int16)
    buffer = crafted.model.subgraphs[0].tensors[drawn].buffer
    same = crafted.add_tensor([50, 8], type_=int16, buffer=buffer)
    book = crafted.add_tensor([16], crafted.draw(16))
    answers = []
    for picks in (is_first, not is_first):
        weights = crafted.add_tensor([50, 8])
        made = crafted.add_tensor([50, 8], type_=int32) if picks else weights
        type_ = int32 if picks else schema.TensorType.FLOAT32
        crafted.add_operator(
            "CAST", [drawn if picks else same], [made],
            inDataType=int16, outDataType=type_,
        )  # fmt: skip
        if picks:
            crafted.add_operator("GATHER", [book, made], [weights])
        answers.append(crafted.add_dense(source, weights, 50))
    original = crafted.finish([source], answers)
    protected = lock_exactly(original)
    place = original.index(codes.tobytes())
    moved = np.frombuffer(protected.public, np.int16, codes.size, place)
    assert not np.array_equal(moved, codes.ravel())
    np.testing.assert_array_equal(np.sort(moved), np.sort(codes.ravel()))


def test_numbers_of_a_codebook_in_another_shape() -> None:
    """16 bits, which a GATHER takes as they are, turned and used a second time."""
    crafted = Crafted()
    int16 = schema.TensorType.INT16
    codes = crafted.rng.integers(0, 16, 400).astype(np.int16)
    drawn = crafted.add_tensor([400], codes, type_=int16)
    shape = crafted.add_tensor([2], np.int32([50, 8]))
    places = crafted.add_tensor([50, 8], type_=int16)
    crafted.add_operator("RESHAPE", [drawn, shape], [places])
    source = crafted.add_tensor([1, 8])
    answers = []
    for _ in range(2):
        weights = crafted.add_tensor([50, 8])
        book = crafted.add_tensor([16], crafted.draw(16))
        crafted.add_operator("GATHER", [book, places], [weights])
        answers.append(crafted.add_dense(source, weights, 50))
    protected = lock_tflite(crafted.finish([source], answers), runs=False)
    assert codes.tobytes() not in protected.public
    assert protected.bytes_left == 8  # The shape.


def test_numbers_of_a_sparse_codebook_in_float16() -> None:
    """Two operators make its values of the constant."""
    crafted = Crafted()
    float16, int32 = schema.TensorType.FLOAT16, schema.TensorType.INT32
    codes = crafted.rng.integers(0, 16, (50, 8)).astype(np.int32)
    places = crafted.add_tensor([50, 8], codes, type_=int32)
    stored = crafted.add_tensor([16], crafted.draw(16).astype(np.float16))
    dense = crafted.add_tensor([16], type_=float16)
    book, weights = crafted.add_tensor([16]), crafted.add_tensor([50, 8])
    crafted.add_operator("DENSIFY", [stored], [dense])
    crafted.add_operator("DEQUANTIZE", [dense], [book])
    crafted.add_operator("GATHER", [book, places], [weights])
    source = crafted.add_tensor([1, 8])
    out = crafted.add_dense(source, weights, 50)
    protected = lock_tflite(crafted.finish([source], [out]), runs=False)
    assert codes.tobytes() not in protected.public and protected.bytes_left == 0
