"""Elements by the type that a file gives them."""

import numpy as np
import pytest

from edgepro_tf.flatbuffer.schema import read_graph
from tests.crafted import INT4, Crafted, schema


def test_bytes_that_are_no_numbers_are_left_out() -> None:
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    raw = crafted.add_tensor([32], crafted.rng.integers(0, 256, 32).astype(np.uint8))
    out = crafted.add_dense(source, crafted.add_weights(4, 8), 4)
    graph = read_graph(crafted.finish([source], [out]))
    assert raw not in graph.constants and raw not in graph.unread


@pytest.mark.parametrize("bits", [4, 2])
def test_packed_integers_begin_with_the_lowest_bits(bits: int) -> None:
    """An odd number of them: the last byte is not full."""
    crafted = Crafted()
    kind = INT4 if bits == 4 else schema.TensorType.INT2
    levels = np.arange(-(1 << (bits - 1)), 1 << (bits - 1)).astype(np.int64)
    levels = np.resize(levels, 15)
    digits = np.append(levels, 0) % (1 << bits)
    places = digits.reshape(-1, 8 // bits) << np.arange(0, 8, bits)
    data = places.sum(1).astype(np.uint8)
    tensor = crafted.add_tensor([3, 5], data, type_=kind, scales=[0.5, 1, 2])
    graph = read_graph(crafted.finish([], []))
    real = levels.reshape(3, 5) * np.float32([[0.5], [1], [2]])
    np.testing.assert_array_equal(graph.real_values(tensor), real)
    assert graph.packed[tensor] == 8 // bits
