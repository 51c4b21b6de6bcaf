"""Feeding an interpreter: shapes and threads are checked before it takes them."""

import numpy as np
import pytest

from edgepro_tf.errors import InterpreterError
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import check_shape, only_input
from tests.edgepro_tf.native.sample_models import read_model


def test_values_of_another_shape_are_refused() -> None:
    _, detail = only_input("m.tflite", make_interpreter(read_model("float32")))
    shape = tuple(detail["shape"][1:])
    check_shape("m.tflite", detail, np.zeros((7, *shape)))
    for other in (shape, (7, *shape, 1), (7, shape[0] + 1, *shape[1:])):
        with pytest.raises(
            InterpreterError, match=r"cannot feed m.tflite: .*\[count, "
        ):
            check_shape("m.tflite", detail, np.zeros(other))


def test_an_extent_that_is_free_takes_any() -> None:
    detail = {"shape_signature": np.array([-1, -1, 3])}
    check_shape("m", detail, np.zeros((2, 9, 3)))
    with pytest.raises(InterpreterError, match=r"\[count, any, 3\], got \[2, 9, 4\]"):
        check_shape("m", detail, np.zeros((2, 9, 4)))


@pytest.mark.parametrize("count", [0, -1, 257, 10**6])
def test_threads_that_no_machine_has_are_refused(count: int) -> None:
    with pytest.raises(InterpreterError, match="expected 1 to 256 threads"):
        make_interpreter(read_model("float32"), num_threads=count)
