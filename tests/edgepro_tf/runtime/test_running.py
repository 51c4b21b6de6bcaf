"""Feeding an interpreter: shapes and threads are checked before it takes them."""

import os
from pathlib import Path

import numpy as np
import pytest

from edgepro_tf import native
from edgepro_tf.errors import InterpreterError
from edgepro_tf.locks import ElementType, ModelLock, Step, TensorLock
from edgepro_tf.payload import pack_lock
from edgepro_tf.runtime.buffers import restore_to_buffer
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from edgepro_tf.runtime.running import (
    check_shape,
    input_details,
    predict_classes,
    quantize_input,
    signature_shape,
)
from tests.crafted import Crafted
from tests.edgepro_tf.native.sample_models import read_model


def test_values_of_another_shape_are_refused() -> None:
    (detail,) = input_details(make_interpreter(read_model("float32"))).values()
    shape = tuple(detail["shape"][1:])
    check_shape("m.tflite", detail, np.zeros((7, *shape)))
    for other in (shape, (7, *shape, 1), (7, shape[0] + 1, *shape[1:])):
        with pytest.raises(InterpreterError, match=r"of m.tflite: .*\[count, "):
            check_shape("m.tflite", detail, np.zeros(other))


def test_an_extent_that_is_free_takes_any() -> None:
    detail = {"name": "x", "shape_signature": np.array([-1, -1, 3])}
    check_shape("m", detail, np.zeros((2, 9, 3)))
    with pytest.raises(InterpreterError, match=r"\[count, any, 3\], got \[2, 9, 4\]"):
        check_shape("m", detail, np.zeros((2, 9, 4)))


def test_a_runtime_may_name_no_signature_of_shapes() -> None:
    detail = {"shape": np.array([1, 3])}
    assert signature_shape(detail) == (1, 3)
    assert signature_shape({**detail, "shape_signature": np.array([-1, 3])}) == (-1, 3)
    check_shape("m", detail, np.zeros((9, 3)))


def test_an_input_without_axes_takes_a_single_number() -> None:
    detail = {"name": "x", "shape_signature": np.array([]), "dtype": np.int32}
    detail["quantization"] = (0.0, 0)
    check_shape("m", detail, np.array(3))
    assert quantize_input(np.array(3.0), detail).shape == ()
    assert quantize_input(np.array(3), {**detail, "dtype": np.float32}).shape == ()
    for other in (np.zeros(1), np.zeros((2, 2))):
        with pytest.raises(InterpreterError, match=r"expected a single number, got \["):
            check_shape("m", detail, other)


def test_a_name_that_runtimes_do_not_take_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"m\xff.tflite")
    path.write_bytes(read_model("float32"))
    with pytest.raises(InterpreterError, match=r"a path in UTF-8.*'.*m\\udcff.tflite'"):
        make_interpreter(path)


def test_a_long_report_is_cut() -> None:
    def refuse() -> None:
        raise ValueError("Tensor 33 has invalid parameters." * 50)

    with pytest.raises(InterpreterError) as refused:
        call_runtime(refuse)
    assert str(refused.value).startswith("cannot open model: Tensor 33 has invalid")
    assert len(str(refused.value)) < 230


def test_a_number_beyond_a_table_is_explained() -> None:
    def refuse() -> None:
        raise RuntimeError("gather index out of boundsNode number 3 (GATHER) failed.")

    with pytest.raises(InterpreterError) as refused:
        call_runtime(refuse, _task="run")
    assert "out of bounds. Node number 3 (GATHER)" in refused.value.problem
    assert "names no row of a table" in refused.value.hint


@pytest.mark.parametrize(
    ("dtype", "scale", "values"),
    [
        (np.int8, 0.1, np.array([200], np.uint8)),
        (np.uint8, 0.1, np.array([-1, 5])),
        (np.int32, 0.0, np.array([2**40])),
        (np.int32, 0.0, np.array([0.5, 1.0])),
        (np.int8, 0.1, np.array([np.nan])),
    ],
)
def test_what_an_integer_input_would_not_hold_is_refused(
    dtype: type, scale: float, values: np.ndarray
) -> None:
    detail = {"name": "x", "dtype": dtype, "quantization": (scale, 0)}
    with pytest.raises(InterpreterError, match="cannot feed input 'x': expected integ"):
        quantize_input(values, detail)


def test_numbers_that_fit_are_fed() -> None:
    detail = {"name": "x", "dtype": np.int8, "quantization": (0.5, 1)}
    real, raw = np.array([-1.0, 0.2, 1e9]), np.array([-128, 127])
    np.testing.assert_array_equal(quantize_input(real, detail), [-1, 1, 127])
    np.testing.assert_array_equal(quantize_input(raw, detail), raw)
    index = {"name": "x", "dtype": np.int32, "quantization": (0.0, 0)}
    np.testing.assert_array_equal(quantize_input(np.array([3.0]), index), [3])


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_complex_numbers_are_no_real_ones(dtype: type) -> None:
    detail = {"name": "x", "dtype": dtype, "quantization": (0.5, 0)}
    with pytest.raises(InterpreterError, match="expected real numbers, got complex"):
        quantize_input(np.array([1 + 2j]), detail)
    detail["dtype"] = np.complex64
    assert quantize_input(np.array([1 + 2j]), detail) == [1 + 2j]


@pytest.mark.parametrize("count", [0, -1, 257, 10**6])
def test_threads_that_no_machine_has_are_refused(count: int) -> None:
    with pytest.raises(InterpreterError, match="expected 1 to 256 threads"):
        make_interpreter(read_model("float32"), num_threads=count)


@pytest.mark.parametrize("count", [-1, 257, 10**6])
def test_threads_to_restore_on_are_checked(count: int) -> None:
    with pytest.raises(InterpreterError, match="expected 0 to 256 threads"):
        restore_to_buffer(read_model("float32"), b"", threads=count)


def test_one_output_unit_tells_two_classes_apart() -> None:
    assert predict_classes(np.eye(3)).tolist() == [0, 1, 2]
    assert predict_classes(np.array([[0.1], [0.5], [0.9]])).tolist() == [0, 1, 1]
    assert predict_classes(np.array([[-3.0], [0.2], [9.0]])).tolist() == [0, 1, 1]
    assert predict_classes(np.zeros((0, 1))).tolist() == []


def test_a_runtime_that_shows_not_every_subgraph_is_refused() -> None:
    """Restored in part, a model might answer as its public file does."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 16])
    out = crafted.add_dense(source, crafted.add_weights(4, 16), 4)
    crafted.add_subgraph()
    crafted.model.subgraphs[-1].name = "VALIDATION:main"  # Runtimes leave it out.
    weights = crafted.add_weights(4, 16)
    public = bytearray(crafted.finish([source], [out]))
    record = TensorLock(1, weights, ElementType.FLOAT32, (1, 4, 16), Step.SHUFFLE)
    lock = ModelLock.with_new_seed((record,))
    fingerprints = native.apply_lock(public, pack_lock(lock))
    payload = pack_lock(lock.with_fingerprints(fingerprints))
    with pytest.raises(InterpreterError, match="did not show all of its subgraphs"):
        open_with_payload(bytes(public), payload)
