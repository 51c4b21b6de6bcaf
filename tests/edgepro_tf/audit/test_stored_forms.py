"""Constants behind the flatbuffer, of uint8 and of 4 bits are audited like others."""

from collections.abc import Callable

import numpy as np
import pytest

from converters import lock_tflite
from edgepro_tf.audit.guessing import redraw_tensor
from edgepro_tf.audit.network.answers import check_answers
from edgepro_tf.audit.network.importer import Network, import_model
from edgepro_tf.audit.target import make_target, relock
from edgepro_tf.errors import ConversionError
from edgepro_tf.locks import Step
from edgepro_tf.runtime.interpreters import make_interpreter
from tests.crafted import (
    Crafted,
    add_blockwise,
    add_int4,
    make_dense_chain,
    make_first_generation,
    move_constants_behind,
    pack,
    schema,
    unpack,
)
from tests.flatbuffers import export_cached

UINT8 = schema.TensorType.UINT8


def ask(content: bytes, x: np.ndarray) -> np.ndarray:
    """A real interpreter's answers to examples that fit its input's type."""
    interpreter = make_interpreter(content)
    interpreter.allocate_tensors()
    (source,), (out,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    answers = []
    for one in x:
        interpreter.set_tensor(source["index"], one[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(out["index"])[0])
    return np.array(answers)


@pytest.mark.parametrize("number_format", ["float32", "dynamic", "int8"])
def test_constants_behind_the_flatbuffer_are_the_same(number_format: str) -> None:
    inside = export_cached("mobile", number_format)
    behind = move_constants_behind(inside)
    assert len(behind) > len(inside) / 2 and behind != inside
    network, found = import_model(inside), import_model(behind)
    for right, value in zip(network.values, found.values, strict=True):
        np.testing.assert_array_equal(value, right)
    check_answers(found, list(found.values), behind)


def test_uint8_stands_for_what_the_interpreter_takes_it_for() -> None:
    content = make_first_generation()
    network = import_model(content)
    interpreter = make_interpreter(content)
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    for parameter, values in zip(network.parameters, network.values, strict=True):
        scale, zero_point = details[parameter.tensor]["quantization"]
        levels = interpreter.get_tensor(parameter.tensor).astype(np.float64)
        np.testing.assert_allclose(values, scale * (levels - zero_point), rtol=1e-6)
    x = np.random.default_rng(0).integers(125, 132, (40, 16)).astype(np.uint8)
    expected = 0.05 * (ask(content, x).astype(np.float32) - 128)
    # Two hidden layers rounded to steps of 0.05; a layer makes errors three times as
    # large (16 weights of 0.74), and the largest of 160 is four deviations away.
    found = compute(network, 0.05 * (x.astype(np.float32) - 128))
    inside = np.abs(found).max(1) < 5  # Activations of uint8 end at 6.35.
    assert inside.sum() > 20
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.6)


def compute(network: Network, x: np.ndarray) -> np.ndarray:
    return np.asarray(network.forward(list(network.values), x))


def test_a_range_may_take_the_place_of_an_activation_function() -> None:
    """MobileNetV2 of TensorFlow 1 has its ReLU6 in the scales alone."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8], type_=UINT8, scales=0.02, zero_point=100)
    levels = crafted.rng.integers(0, 256, (64, 8)).astype(np.uint8)
    weights = crafted.add_tensor([64, 8], levels, scales=0.03, zero_point=120)
    out = crafted.add_dense(source, weights, 64, type_=UINT8, scales=6 / 255)
    content = crafted.finish([source], [out])
    x = crafted.rng.integers(0, 256, (9, 8)).astype(np.uint8)
    found = compute(import_model(content), 0.02 * (x.astype(np.float32) - 100))
    assert {found.min(), found.max()} == {0.0, 6.0}
    expected = 6 / 255 * ask(content, x).astype(np.float32)
    np.testing.assert_allclose(found, expected, atol=1.01 * 3 / 255)  # Half a step.


def test_4_bits_are_read_as_the_interpreter_reads_them() -> None:
    content = make_dense_chain(add_int4)
    network = import_model(content)
    assert [p.packed for p in network.parameters] == [2, 2, 2]
    x = np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32)
    expected, found = ask(content, x), compute(network, x)
    # Dynamic range: every layer's input is rounded to a 127th of its largest number.
    np.testing.assert_allclose(found, expected, atol=0.03 * np.abs(expected).max())


MAKERS = {
    "uint8": make_first_generation,
    "int4": lambda: make_dense_chain(add_int4),
    "behind": lambda: move_constants_behind(make_dense_chain(Crafted.add_weights)),
    "int4 behind": lambda: move_constants_behind(make_dense_chain(add_int4)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_pair_is_a_target(name: str) -> None:
    """The lock's records are found, and guesses are drawn as the core draws."""
    content = MAKERS[name]()
    pair = lock_tflite(content)
    target = make_target(pair.public, pair.payload)
    parameters = range(len(target.steps))
    assert all(target.is_locked(i) for i in parameters)
    for value, right in zip(
        target.authorized, import_model(content).values, strict=True
    ):
        np.testing.assert_array_equal(value, right)
    rng = np.random.default_rng(0)
    for value, right in zip(
        target.guess([1.0] * len(parameters), rng), target.authorized, strict=True
    ):
        np.testing.assert_allclose(value, right, rtol=1e-6)
    guess, draw = target.guess([0.0] * len(parameters), rng), relock(target, bytes(32))
    for i in parameters:
        assert not np.array_equal(guess[i], target.authorized[i])
        levels = target.network.parameters[i].levels
        if target.steps[i] & Step.MASK and levels is not None:
            ours, theirs = (v[i] / target.scales[i] for v in (guess, draw.values))
            if target.scales[i].size == 1:  # Several are in another order, too.
                assert levels[0] <= ours.min() and ours.max() <= levels[1]
            assert ours.std() == pytest.approx(theirs.std(), rel=0.2)
        if target.steps[i] & Step.SHUFFLE and target.scales[i].size == 1:
            # The very elements, in another order; but for the sign of some biases.
            ours, theirs, right = (
                np.sort(np.abs(v), None)
                for v in (guess[i], draw.values[i], target.authorized[i])
            )
            np.testing.assert_allclose(ours, right, atol=1e-6)
            np.testing.assert_allclose(theirs, right, atol=1e-6)


def test_a_shuffle_leaves_elements_of_one_byte_together() -> None:
    values = np.arange(1.0, 16).reshape(3, 5).astype(np.float32)
    rng = np.random.default_rng(0)
    found = redraw_tensor(values, Step.SHUFFLE, 0, 0.0, rng, packed=2)
    flat = np.append(found, 0)  # The last byte has one element, or it went elsewhere.
    whole = [pair for pair in flat.reshape(-1, 2).tolist() if 0 not in pair]
    assert len(whole) >= 6 and all(a % 2 == 1 and b == a + 1 for a, b in whole)
    assert not np.array_equal(found, values)
    rng = np.random.default_rng(0)
    right = redraw_tensor(values, Step.SHUFFLE, 0, 1.0, rng, packed=2)
    np.testing.assert_array_equal(right, values)


def test_equal_bytes_with_other_scales_are_two_parameters() -> None:
    crafted = Crafted()
    x = source = crafted.add_tensor([1, 8])
    levels = crafted.rng.integers(-127, 128, (8, 8)).astype(np.int8)
    first = crafted.add_tensor([8, 8], levels, scales=0.01)
    buffer = crafted.model.subgraphs[0].tensors[first].buffer
    second = crafted.add_tensor(
        [8, 8], type_=schema.TensorType.INT8, buffer=buffer, scales=0.02
    )
    for weights in (first, second, first):
        x = crafted.add_dense(x, weights, 8)
    network = import_model(crafted.finish([source], [x]))
    one, other = network.values
    np.testing.assert_allclose(2 * one, other, rtol=1e-6)
    assert [linear.filter for linear in network.linears] == [0, 1, 0]


def add_bfloat16(crafted: Crafted, units: int, inputs: int) -> int:
    data = crafted.rng.integers(0, 256, 2 * units * inputs).astype(np.uint8)
    return crafted.add_tensor(
        [units, inputs], data, type_=schema.TensorType.BFLOAT16, scales=1.0
    )


def add_uneven(crafted: Crafted, units: int, inputs: int) -> int:
    data = crafted.rng.integers(-127, 128, (units, inputs)).astype(np.int8)
    tensor = crafted.add_tensor(data.shape, data, scales=np.full(units, 0.01))
    quantization = crafted.model.subgraphs[0].tensors[tensor].quantization
    quantization.zeroPoint = np.arange(units)
    return tensor


def add_without_scale(crafted: Crafted, units: int, inputs: int) -> int:
    return crafted.add_tensor([units, inputs], np.ones((units, inputs), np.int8))


@pytest.mark.parametrize(
    ("add_weights", "words"),
    [
        (add_bfloat16, "weights with numbers of bfloat16"),
        (add_blockwise, "weights with a scale for every block"),
        (add_uneven, "weights with a zero point for every channel"),
        (add_without_scale, "whose filter is integers without a scale"),
    ],
)
def test_other_forms_are_refused_by_their_names(
    add_weights: Callable[[Crafted, int, int], int], words: str
) -> None:
    with pytest.raises(ConversionError, match=words):
        import_model(make_dense_chain(add_weights))


def test_sparse_weights_are_refused_by_their_name() -> None:
    model = unpack(make_dense_chain(Crafted.add_weights))
    model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()
    with pytest.raises(ConversionError, match="weights with zeros left out"):
        import_model(pack(model))


def test_a_bias_may_name_the_axis_of_its_filter() -> None:
    model = unpack(export_cached("mobile", "int8"))
    graph = model.subgraphs[0]
    biases = [t for t in graph.tensors if t.type == schema.TensorType.INT32]
    for tensor in biases:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            tensor.quantization.quantizedDimension = 3
    right = import_model(export_cached("mobile", "int8")).values
    for value, expected in zip(import_model(pack(model)).values, right, strict=True):
        np.testing.assert_array_equal(value, expected)
