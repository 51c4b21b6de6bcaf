"""Numbers of rows in a table of values: clustered weights, packed embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from converters import lock_tflite
from converters.samples import make_samples
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import run_model
from tests.converters.test_odd_files import lock_exactly
from tests.crafted import CODES, UNSIGNED, Crafted, schema


def assert_moved(codes: np.ndarray, original: bytes, public: bytes) -> np.ndarray:
    """They are others of the same in their place, which the public file can pick."""
    place = original.index(codes.tobytes())
    moved = np.frombuffer(public, codes.dtype, codes.size, place)
    assert not np.array_equal(moved, codes.ravel())
    np.testing.assert_array_equal(np.sort(moved), np.sort(codes.ravel()))
    run_model(make_interpreter(public), make_samples(original)[0])
    return moved.reshape(codes.shape)


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
    assert_moved(codes, original, protected.public)


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
    assert_moved(codes, original, lock_exactly(original).public)


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
    protected = lock_tflite(crafted.finish_dense(weights, 50, 8), runs=False)
    assert codes.tobytes() not in protected.public and protected.bytes_left == 0


def add_book(crafted: Crafted, shape: list[int], way: str) -> int:
    """A table of values that an operator makes of constants."""
    values = crafted.draw(*shape)
    if not way:
        return crafted.add_tensor(shape, values)
    dtypes = {"CAST": np.int8, "DEQUANTIZE": np.float16, "MUL": np.float32}
    stored = crafted.add_tensor(shape, (40 * values).astype(dtypes[way]))
    scale = [crafted.add_tensor([1], np.float32([0.025]))] if way == "MUL" else []
    book = crafted.add_tensor(shape)
    crafted.add_operator(way, [stored, *scale], [book])
    return book


@pytest.mark.parametrize("way", ["", "CAST", "DEQUANTIZE", "MUL"])
@pytest.mark.parametrize("kind", ["GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"])
def test_numbers_that_any_operator_picks_values_by(kind: str, way: str) -> None:
    crafted = Crafted()
    codes = crafted.rng.integers(0, 16, 400).astype(np.int32)
    book = add_book(crafted, [16, 1], way)
    places = crafted.add_tensor([400, 1] if kind == "GATHER_ND" else [400], codes)
    picked, weights = crafted.add_tensor([400, 1]), crafted.add_tensor([50, 8])
    inputs = [places, book] if kind == "EMBEDDING_LOOKUP" else [book, places]
    crafted.add_operator(kind, inputs, [picked])
    shape = crafted.add_tensor([2], np.int32([50, 8]))
    crafted.add_operator("RESHAPE", [picked, shape], [weights])
    original = crafted.finish_dense(weights, 50, 8)
    assert_moved(codes, original, lock_exactly(original).public)


def test_numbers_of_a_row_and_a_column_stay_together() -> None:
    """Places in a table of two rows and sixteen columns: each as good as any other."""
    crafted = Crafted()
    codes = crafted.rng.integers(0, [2, 16], (50, 8, 2)).astype(np.int32)
    book = crafted.add_tensor([2, 16], crafted.draw(2, 16))
    places, weights = crafted.add_tensor([50, 8, 2], codes), crafted.add_tensor([50, 8])
    crafted.add_operator("GATHER_ND", [book, places], [weights])
    original = crafted.finish_dense(weights, 50, 8)
    moved = assert_moved(codes, original, lock_exactly(original).public)
    assert moved[..., 0].max() == 1


def test_numbers_that_ones_stand_at() -> None:
    crafted = Crafted()
    codes = crafted.rng.integers(0, 16, 50).astype(np.int32)
    places, hot = crafted.add_tensor([50], codes), crafted.add_tensor([50, 16])
    values = [np.int32([16]), np.float32([1]), np.float32([0])]
    options = [crafted.add_tensor([], value) for value in values]
    crafted.add_operator("ONE_HOT", [places, *options], [hot], axis=-1)
    original = crafted.finish_dense(hot, 50, 16)
    assert_moved(codes, original, lock_exactly(original).public)


def test_numbers_that_share_a_byte() -> None:
    """Two of four bits each, taken apart before they pick values."""
    crafted = Crafted()
    uint8, int32 = schema.TensorType.UINT8, schema.TensorType.INT32
    codes = crafted.rng.integers(0, 256, (50, 8)).astype(np.uint8)
    kept = crafted.add_tensor([50, 8], codes)
    whole = crafted.add_tensor([50, 8], type_=int32)
    crafted.add_operator("CAST", [kept], [whole], inDataType=uint8, outDataType=int32)
    sixteen = crafted.add_tensor([1], np.int32([16]))
    halves = [crafted.add_tensor([50, 8], type_=int32) for _ in range(2)]
    for kind, half in zip(("FLOOR_DIV", "FLOOR_MOD"), halves, strict=True):
        crafted.add_operator(kind, [whole, sixteen], [half])
    places, weights = (
        crafted.add_tensor([50, 16], type_=int32),
        crafted.add_tensor([50, 16]),
    )
    crafted.add_operator("CONCATENATION", halves, [places], axis=1)
    book = crafted.add_tensor([16], crafted.draw(16))
    crafted.add_operator("GATHER", [book, places], [weights])
    original = crafted.finish_dense(weights, 50, 16)
    assert_moved(codes, original, lock_exactly(original).public)


def test_where_the_rows_of_each_field_of_an_input_begin_stays() -> None:
    """One table for all fields: begun elsewhere, their numbers would leave it."""
    crafted = Crafted()
    int32 = schema.TensorType.INT32
    starts = np.arange(0, 80, 2).astype(np.int32)
    fields, places = (crafted.add_tensor([1, 40], type_=int32) for _ in range(2))
    crafted.add_operator("ADD", [fields, crafted.add_tensor([40], starts)], [places])
    table, rows = crafted.add_weights(80, 4), crafted.add_tensor([1, 40, 4])
    crafted.add_operator("GATHER", [table, places], [rows])
    original = crafted.finish([fields], [rows])
    assert starts.tobytes() in lock_exactly(original).public


@pytest.mark.parametrize("kind", ["SELECT", "SELECT_V2"])
def test_bits_that_pick_one_of_two_values(kind: str) -> None:
    crafted = Crafted()
    codes = crafted.rng.integers(0, 2, (50, 8)).astype(np.uint8)
    bits = crafted.add_tensor([50, 8], codes, type_=schema.TensorType.BOOL)
    values = [crafted.add_weights(50, 8) for _ in range(2)]
    weights = crafted.add_tensor([50, 8])
    crafted.add_operator(kind, [bits, *values], [weights])
    original = crafted.finish_dense(weights, 50, 8)
    assert_moved(codes, original, lock_exactly(original).public)


def test_bits_that_hide_a_part_of_the_input_stay() -> None:
    """A causal mask is no weight, and takes its time to move."""
    crafted = Crafted()
    codes = np.tril(np.ones((50, 50), np.uint8))
    bits = crafted.add_tensor([50, 50], codes, type_=schema.TensorType.BOOL)
    source, seen = crafted.add_tensor([50, 50]), crafted.add_tensor([50, 50])
    nothing = crafted.add_tensor([50, 50], np.full((50, 50), -100, np.float32))
    crafted.add_operator("SELECT", [bits, source, nothing], [seen])
    original = crafted.finish([source], [seen])
    assert codes.tobytes() in lock_exactly(original).public


def add_places(crafted: Crafted, way: str) -> tuple[np.ndarray, int, int]:
    """Rows and columns of a table of 50 x 8 by an input: numbers, input and places."""
    int32 = schema.TensorType.INT32
    numbers = crafted.rng.integers(0, [50, 8], (100, 2)).astype(np.int32)
    source = crafted.add_tensor([20], type_=int32)
    places = crafted.add_tensor([20, 2], type_=int32)
    if way == "GATHER":
        kept = crafted.add_tensor([100, 2], numbers)
        crafted.add_operator("GATHER", [kept, source], [places])
    elif way == "TRANSPOSE":
        numbers = np.ascontiguousarray(numbers.T)
        picked = crafted.add_tensor([2, 20], type_=int32)
        order = crafted.add_tensor([2], np.int32([1, 0]))
        kept = crafted.add_tensor([2, 100], numbers)
        crafted.add_operator("GATHER", [kept, source], [picked], axis=1)
        crafted.add_operator("TRANSPOSE", [picked, order], [places])
    else:
        numbers = numbers[:, 0].copy()
        halves = [crafted.add_tensor([20], type_=int32) for _ in range(2)]
        kept = crafted.add_tensor([100], numbers)
        crafted.add_operator("GATHER", [kept, source], halves[:1])
        eight = crafted.add_tensor([1], np.int32([8]))
        crafted.add_operator("FLOOR_MOD", [source, eight], halves[1:])
        crafted.add_operator("PACK", halves, [places], valuesCount=2, axis=1)
    return numbers, source, places


@pytest.mark.parametrize("way", ["GATHER", "TRANSPOSE", "PACK"])
def test_rows_and_columns_by_an_input_stay_in_their_table(way: str) -> None:
    """One in the other's place would be none that the table has."""
    crafted = Crafted()
    numbers, source, places = add_places(crafted, way)
    table, picked = crafted.add_weights(50, 8), crafted.add_tensor([20])
    crafted.add_operator("GATHER_ND", [table, places], [picked])
    original = crafted.finish([source], [picked])
    public = lock_exactly(original).public
    if way == "TRANSPOSE":  # Rows and columns lie across, and stay as they are.
        assert numbers.tobytes() in public
    else:
        moved = assert_moved(numbers, original, public)
        assert way == "PACK" or moved[:, 1].max() < 8
