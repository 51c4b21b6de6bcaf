"""What is imported computes what the interpreter computes."""

import numpy as np
import pytest

from edgepro_tf.audit.importer import import_model
from edgepro_tf.errors import ConversionError
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import input_details, run_model
from tests.flatbuffers import export_cached

CLASSIFIERS = (
    "cnn", "plain_cnn", "sequential", "residual", "depthwise", "mobile", "mlp",
)  # fmt: skip


@pytest.mark.parametrize("number_format", ["float32", "float16"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_equals_the_interpreter(name: str, number_format: str) -> None:
    content = export_cached(name, number_format)
    network = import_model(content)
    shape = (5, *network.input_shape)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    interpreter = make_interpreter(content)
    interpreter.allocate_tensors()
    (input_name,) = input_details(interpreter)
    (expected,) = run_model(interpreter, {input_name: x}).values()
    logits = network.forward(list(network.values), x).numpy()
    found = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    # Sums of a few hundred float32 products in another order, then a softmax.
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_every_weight_is_a_parameter() -> None:
    network = import_model(export_cached("mlp", "float32"))
    filters = [p.shape for p in network.parameters if p.role == "filter"]
    assert filters == [(12, 10), (12, 12), (4, 12)]
    assert [one.is_first for one in network.linears] == [True, False, False]
    assert [one.is_head for one in network.linears] == [False, False, True]


def test_equal_biases_are_trained_apart() -> None:
    network = import_model(export_cached("cnn", "float32"))
    biases = [one.bias for one in network.linears]
    assert len(set(biases)) == len(biases)


def test_what_cannot_be_attacked_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"no float constant|operator QUANTIZE"):
        import_model(export_cached("cnn", "int8"))
    with pytest.raises(ConversionError, match="2 inputs"):
        import_model(export_cached("shared", "float32"))
    with pytest.raises(ConversionError, match="TFL3"):
        import_model(b"no model at all")
