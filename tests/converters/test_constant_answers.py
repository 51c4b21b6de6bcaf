"""Weights that are a model's answer, in real runtimes: no operator writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters import ProtectedModel, lock_tflite
from edgepro_tf.runtime import compiled_models
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import find_runtime
from edgepro_tf.runtime.memory_files import restore_to_memory_file
from tests.crafted import Crafted
from tests.runtime_only.test_golden_pair import RUNTIMES

SHAPE = (40, 16)
KINDS = {"float32": {}, "float16": {}, "int8": {"scales": 0.02}}


def make_pair(kind: str) -> tuple[ProtectedModel, np.ndarray]:
    """A dense layer, and a table beside it that is an answer; and the table."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 16])
    values = crafted.draw(*SHAPE) if kind != "int8" else crafted.draw(*SHAPE) * 30
    table = np.clip(values, -127, 127).astype(kind)
    answers = [
        crafted.add_dense(source, crafted.add_weights(4, 16), 4),
        crafted.add_tensor(SHAPE, table, **KINDS[kind]),
    ]
    return lock_tflite(crafted.finish([source], answers)), table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RUNTIMES)
def test_an_interpreter_gives_them_before_it_runs_and_after(
    name: str, kind: str
) -> None:
    pair, table = make_pair(kind)
    assert table.tobytes() not in pair.public
    interpreter = open_with_payload(
        pair.public, pair.payload, runtime=find_runtime(name)
    )
    number = interpreter.get_output_details()[1]["index"]
    for _ in range(2):
        assert np.array_equal(interpreter.get_tensor(number), table)
        assert np.array_equal(interpreter.tensor(number)(), table)
        interpreter.invoke()


@pytest.mark.skipif(
    not compiled_models.has_compiled_model(), reason="no ai-edge-litert 2"
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_model_gives_them(kind: str) -> None:
    from ai_edge_litert.compiled_model import CompiledModel

    pair, table = make_pair(kind)
    with restore_to_memory_file(pair.public, pair.payload) as file:
        model = CompiledModel.from_file(file.path)

    def read(buffer: Any) -> np.ndarray:
        return np.reshape(buffer.read(table.size, table.dtype), SHAPE)

    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    inputs[0].write(np.zeros((1, 16), np.float32))
    model.run_by_index(0, inputs, outputs)
    assert np.array_equal(read(outputs[1]), table)
    ((key, names),) = model.get_signature_list().items()
    given, *_ = names["inputs"]
    wanted = names["outputs"][1]
    by_name = {
        each: model.create_output_buffer_by_name(key, each) for each in names["outputs"]
    }
    model.run_by_name(key, {given: inputs[0]}, by_name)
    assert np.array_equal(read(by_name[wanted]), table)
