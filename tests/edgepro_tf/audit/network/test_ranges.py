"""Ranges of activations are imported as a quantised file states them."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from converters import convert_keras
from edgepro_tf.audit.network.importer import import_model
from edgepro_tf.audit.workbench.ranges import has_ranges, with_ranges
from edgepro_tf.flatbuffer.views import Range
from edgepro_tf.runtime.interpreters import make_interpreter
from tests.edgepro_tf.audit.conftest import lock


@pytest.mark.parametrize("number_format", ["int8", "int16x8"])
def test_ranges_are_the_files_own(model, data, number_format: str) -> None:  # type: ignore[no-untyped-def]
    """As the interpreter reads them, of the three layers; neither input nor softmax."""
    samples = data.x_train[:64]
    pair = convert_keras(model, samples=samples, number_format=number_format)
    network = import_model(pair.public)
    interpreter = make_interpreter(pair.public)
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    outputs = [network.graph.nodes[one.node].outputs[0] for one in network.linears]
    assert list(network.ranges) == outputs
    for tensor, found in network.ranges.items():
        scale, zero_point = details[tensor]["quantization"]
        levels = np.iinfo(details[tensor]["dtype"])
        assert found.least == pytest.approx(scale * (levels.min - zero_point))
        assert found.greatest == pytest.approx(scale * (levels.max - zero_point))
        assert found.is_symmetric == (number_format == "int16x8")
    if number_format == "int8":
        assert [network.ranges[t].least == 0 for t in outputs] == [True, True, False]


def test_no_range_is_stated_for_constants(model, data) -> None:  # type: ignore[no-untyped-def]
    graph = lock(model, data, "standard", "int8").network.graph
    assert not graph.ranges.keys() & graph.constants.keys()
    assert graph.ranges


def test_layers_of_one_ceiling_have_a_range_each() -> None:
    """ReLU6 after ReLU6: alike, but none is the other moved."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(8, "relu6", kernel_initializer="glorot_normal")
        for _ in range(3)
    ]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3)])
    samples = np.random.default_rng(0).normal(0, 60, (64, 4)).astype(np.float32)
    target = lock(model, SimpleNamespace(x_train=samples), "standard", "int8")  # type: ignore[arg-type]
    known = list(target.network.ranges.values())
    assert has_ranges(target.network) and len(known) == 4
    assert known[0] == known[1] and known[0].greatest == pytest.approx(6, abs=0.1)
    others = [Range(0.0, 1.0 + i) for i in range(4)]
    assert list(with_ranges(target, others).network.ranges.values()) == others
