"""Files of every making: an exact pair or a sentence, never a lock beside the point."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from converters import ProtectedModel, lock_tflite
from converters.samples import make_samples
from edgepro_tf.errors import ConversionError, VerificationError
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.locks import Step
from edgepro_tf.runtime.delegates import open_with_payload
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import run_model
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

pytestmark = pytest.mark.filterwarnings("error:the lock leaves")


def lock_exactly(original: bytes) -> ProtectedModel:
    """Lock; restored answers like the original with and without XNNPACK."""
    protected = lock_tflite(original)
    assert protected.authorized == original
    sample = make_samples(original)[0]
    for use_xnnpack in (True, False):
        options = {"use_xnnpack": use_xnnpack, "allocate": False}
        restored = open_with_payload(protected.public, protected.payload, **options)
        plain = make_interpreter(original, use_xnnpack=use_xnnpack)
        for ours, theirs in zip(
            run_model(restored, sample).values(),
            run_model(plain, sample).values(),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
    return protected


def add_lowest_int8(crafted: Crafted, units: int, inputs: int) -> int:
    data = crafted.rng.integers(-128, 128, (units, inputs)).astype(np.int8)
    data[0, 0] = -128
    return crafted.add_tensor(data.shape, data, scales=np.full(units, 0.01))


@pytest.mark.parametrize(
    "add_weights",
    [add_int4, add_blockwise, add_lowest_int8, Crafted.add_weights],
    ids=lambda function: function.__name__,
)
def test_weights_of_every_kind_are_locked_whole(
    add_weights: Callable[[Crafted, int, int], int],
) -> None:
    protected = lock_exactly(make_dense_chain(add_weights))
    assert protected.bytes_left <= 0.15 * protected.constant_bytes  # blockwise scales


def test_a_quantised_model_of_the_first_generation() -> None:
    """Asymmetric uint8 with one scale a tensor, as TensorFlow 1 wrote it."""
    assert lock_exactly(make_first_generation()).bytes_left == 0


def test_sparse_weights() -> None:
    weights = np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float32)
    blocks = np.random.default_rng(1).random((3, 16, 64)) < 0.2
    weights *= np.repeat(blocks, 4, 1)

    @tf.function(input_signature=[tf.TensorSpec([1, 64], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        for each in weights:
            x = tf.nn.tanh(tf.matmul(x, each))
        return x

    converter = converter_of(network)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    original = bytes(converter.convert())
    tensors = unpack(original).subgraphs[0].tensors
    assert sum(tensor.sparsity is not None for tensor in tensors) == 3
    with pytest.warns(UserWarning, match="places of zeros in 3 sparse tensors"):
        protected = lock_exactly(original)
    assert protected.bytes_left == 0


def converter_of(function: tf.types.experimental.PolymorphicFunction) -> tf.lite:
    concrete = function.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete])


def test_constants_behind_the_flatbuffer() -> None:
    file = move_constants_behind(export_cached("mobile"))
    protected = lock_exactly(file)
    assert protected.bytes_left < 0.01 * protected.constant_bytes
    with pytest.raises(ConversionError, match="damaged"):
        lock_tflite(file[:-1000])


def test_one_constant_in_several_shapes_and_tables() -> None:
    crafted = Crafted()
    source = crafted.add_tensor([1, 16])
    data = crafted.draw(16, 8)
    first = crafted.add_tensor([8, 16], data)
    buffer = crafted.model.subgraphs[0].tensors[first].buffer
    second = crafted.add_tensor([16, 8], buffer=buffer)
    third = crafted.add_tensor([8, 16], data)  # equal bytes, a table of its own
    x = crafted.add_dense(crafted.add_dense(source, first, 8), second, 16)
    file = bytearray(crafted.finish([source], [crafted.add_dense(x, third, 8)]))
    # Now the other table points to the same bytes.
    model = schema.Model.GetRootAs(file, 0)
    slots = [
        table.Pos + table.Offset(4)
        for table in (model.Buffers(i)._tab for i in (buffer, buffer + 1))
    ]
    places = [slot + struct.unpack_from("<I", file, slot)[0] for slot in slots]
    near, far = sorted(range(2), key=lambda i: slots[i])
    struct.pack_into("<I", file, slots[near], places[far] - slots[near])
    protected = lock_exactly(bytes(file))
    assert protected.tensors_protected == 1


def test_zeros_that_are_a_bias_and_a_shape_stay() -> None:
    """The stock converter stores equal bytes once: a bias, and a shape's crops."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 1)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 4], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        x = tf.nn.depthwise_conv2d(x, kernel, [1] * 4, "SAME", dilations=[2, 2])
        return tf.reduce_mean(x + 0.5, [1, 2])

    original = bytes(converter_of(network).convert())
    model = unpack(original)
    zeros = [t for t in model.subgraphs[0].tensors if t.shape is not None]
    by_buffer: dict[int, set[int]] = {}
    for tensor in zeros:
        by_buffer.setdefault(tensor.buffer, set()).add(tensor.type)
    assert any(len(types) > 1 for types in by_buffer.values())
    lock_exactly(original)


def test_shapes_computed_from_floats_stay() -> None:
    """An upsampling by 2.0 of whatever size comes in."""
    kernel = np.random.default_rng(0).normal(size=(1, 1, 3, 4)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        x = tf.nn.conv2d(x, kernel, 1, "SAME")
        size = tf.cast(tf.shape(x)[1:3], tf.float32) * [2.0, 3.0]
        return tf.image.resize(x, tf.cast(size, tf.int32))

    protected = lock_exactly(bytes(converter_of(network).convert()))
    assert np.float32([2, 3]).tobytes() in protected.public


def test_control_flow_and_variables() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.4, (4, 8, 8)).astype(np.float32)

    class Network(tf.Module):
        def __init__(self) -> None:
            self.state = tf.Variable(np.zeros((1, 8), np.float32))

        @tf.function(input_signature=[tf.TensorSpec([1, 8], tf.float32)])
        def run(self, x: tf.Tensor) -> tf.Tensor:
            for _ in tf.range(3):
                x = tf.nn.tanh(tf.matmul(x, weights[0]))
            if tf.reduce_sum(x) > 0:
                x = tf.matmul(x, weights[1])
            else:
                x = tf.matmul(x, weights[2])
            self.state.assign(self.state * 0.5 + tf.matmul(x, weights[3]))
            return self.state.read_value()

    network = Network()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [network.run.get_concrete_function()], network
    )
    converter.experimental_enable_resource_variables = True
    original = bytes(converter.convert())
    kinds = read_model(original).operator_kinds
    assert {"WHILE", "IF", "ASSIGN_VARIABLE"} <= set(kinds[0])
    locked = {t.size_bytes for t in lock_exactly(original).lock.tensors}
    assert 4 * 64 in locked


def test_embeddings_are_locked_and_ids_stay_in_range() -> None:
    table = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    head = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, 6], tf.int32)])
    def network(ids: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.reduce_mean(tf.gather(table, ids), 1), head)

    protected = lock_exactly(bytes(converter_of(network).convert()))
    assert protected.bytes_left < 0.05 * protected.constant_bytes


def test_inputs_of_every_type() -> None:
    weights = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    specs = [
        tf.TensorSpec([1, 8], tf.float32, "x"),
        tf.TensorSpec([1, 4], tf.bool, "where"),
        tf.TensorSpec([1, 4], tf.int64, "other"),
        tf.TensorSpec([1, 4], tf.float64, "wide"),
        tf.TensorSpec([1], tf.string, "text"),
    ]

    @tf.function(input_signature=specs)
    def network(x, where, other, wide, text):  # type: ignore[no-untyped-def]
        other = tf.cast(other, tf.float32) + tf.cast(wide, tf.float32)
        return tf.where(where, tf.matmul(x, weights), other), text

    lock_exactly(bytes(converter_of(network).convert()))


def test_an_empty_subgraph_a_constant_without_elements_and_no_input() -> None:
    crafted = Crafted()
    source = crafted.add_tensor([1, 8], crafted.draw(1, 8))
    hidden = crafted.add_dense(source, crafted.add_weights(8, 8), 8)
    empty = crafted.add_tensor([1, 0], np.zeros((1, 0), np.float32))
    joined = crafted.add_tensor([1, 8])
    crafted.add_operator("CONCATENATION", [hidden, empty], [joined], axis=1)
    crafted.add_subgraph()
    lock_exactly(crafted.finish([], [joined]))


@pytest.mark.parametrize("extreme", [2**31 - 1, -(2**31)])
def test_extreme_biases(extreme: int) -> None:
    model = unpack(export_cached("mobile", "int8"))
    head = read_model(export_cached("mobile", "int8")).operators[-1].operands[1]
    buffer = model.buffers[head.constant.buffer]
    values = np.array(buffer.data, np.uint8).view(np.int32).copy()
    values[0] = extreme
    buffer.data = values.view(np.uint8)
    (record,) = [
        record
        for record in lock_exactly(pack(model)).lock.tensors
        if record.tensor == head.constant.tensor and not record.target
    ]
    assert bool(record.steps & Step.SIGNS) == (extreme > 0)


def with_first_weights(values: np.ndarray) -> bytes:
    original = bytearray(export_cached("mobile"))
    offset, _ = read_model(original).operators[0].operands[0].constant.data
    original[offset : offset + values.nbytes] = values.tobytes()
    return bytes(original)


def test_subnormal_numbers_and_signed_zeros() -> None:
    original = with_first_weights(np.float32([1e-41, -1e-39, -0.0, 0.0]))
    assert lock_tflite(original).authorized == original


def test_a_model_that_answers_no_numbers_says_so() -> None:
    original = with_first_weights(np.float32([np.nan, np.inf, -np.inf]))
    with pytest.raises(VerificationError, match="a model that answers with numbers"):
        lock_tflite(original)


def test_boxes_of_a_detector() -> None:
    """The custom operator's anchors stay: it refuses a box with a negative side."""
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    options = flexbuffers.Builder()
    with options.Map():
        for key in ("max_detections", "max_classes_per_detection", "num_classes"):
            options.Int(key, 2)
        for key in ("nms_score_threshold", "nms_iou_threshold"):
            options.Float(key, 0.1)
        for key in ("y_scale", "x_scale", "h_scale", "w_scale"):
            options.Float(key, 5.0)
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    parts = []
    for extent in (4, 3):
        flat = crafted.add_dense(source, crafted.add_weights(4 * extent, 8), 4 * extent)
        shape = np.array([1, 4, extent], np.int32)
        parts.append(crafted.add_tensor(list(shape)))
        crafted.add_operator(
            "RESHAPE", [flat, crafted.add_tensor([3], shape)], parts[-1:]
        )
    anchors = crafted.add_tensor([4, 4], np.full((4, 4), 0.5, np.float32))
    outputs = [crafted.add_tensor([]) for _ in range(4)]
    crafted.add_operator(
        "CUSTOM",
        [*parts, anchors],
        outputs,
        custom="TFLite_Detection_PostProcess",
        custom_options=bytes(options.Finish()),
    )
    lock_exactly(crafted.finish([source], outputs))


def test_random_answers_are_a_warning() -> None:
    weights = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    tf.random.set_seed(None)  # Another test's would make the answers repeat.

    @tf.function(input_signature=[tf.TensorSpec([1, 8], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, weights) + tf.random.uniform([1, 4])

    with pytest.warns(UserWarning, match="differ from run to run"):
        lock_tflite(bytes(converter_of(network).convert()))


def test_nothing_to_lock_says_so() -> None:
    @tf.function(input_signature=[tf.TensorSpec([1, 8], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(x * 3.0 + 1.0)

    with pytest.raises(ConversionError, match="found none that the recipe 'standard'"):
        lock_tflite(bytes(converter_of(network).convert()))


def test_a_file_beyond_2_gb_says_so(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ConversionError, match=r"large\.tflite.* got 2,147,483,648"):
        lock_tflite(path)


def test_an_input_with_data_of_its_own_is_refused() -> None:
    """A runtime would write what it is fed into the file's own bytes."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    weights = crafted.add_weights(8, 8)
    out = crafted.add_dense(source, weights, 8)
    words = r"got input 't1', which is a constant.*keep a state .* in int16x8"
    with pytest.raises(ConversionError, match=words):
        lock_tflite(crafted.finish([source, weights], [out]))


@pytest.mark.parametrize("name", [None, "x"])
def test_inputs_without_a_name_of_their_own(name: str | None) -> None:
    crafted = Crafted()
    left, right = crafted.add_tensor([1, 8]), crafted.add_tensor([1, 6])
    outs = [
        crafted.add_dense(left, crafted.add_weights(4, 8), 4),
        crafted.add_dense(right, crafted.add_weights(4, 6), 4),
    ]
    for tensor in crafted.model.subgraphs[0].tensors:
        tensor.name = name
    protected = lock_exactly(crafted.finish([left, right], outs))
    (sample, *_) = make_samples(protected.public)
    assert [values.shape for values in sample.values()] == [(1, 8), (1, 6)]
    answers = run_model(make_interpreter(protected.public), sample)
    assert len(answers) == 2


def test_a_first_signature_that_reads_no_weight() -> None:
    class Pair(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(
                np.random.default_rng(0).normal(size=(8, 8)), dtype=tf.float32
            )

        @tf.function(input_signature=[tf.TensorSpec([1, 8], tf.float32)])
        def halve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x * 0.5}

        @tf.function(input_signature=[tf.TensorSpec([1, 8], tf.float32)])
        def score(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x @ self.w}

    pair = Pair()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [f.get_concrete_function() for f in (pair.halve, pair.score)], pair
    )
    protected = lock_tflite(bytes(converter.convert()))
    restored = open_with_payload(protected.public, protected.payload)
    x = {"x": np.ones((1, 8), np.float32)}
    assert sorted(restored.get_signature_list()) == ["halve", "score"]
    np.testing.assert_allclose(
        run_model(restored, x, "score")["y"], x["x"] @ pair.w.numpy(), rtol=1e-5
    )


def test_an_operator_without_a_vector_of_inputs_reads_none() -> None:
    """Not the first tensor, which may be weights."""
    crafted = Crafted()
    weights, source = crafted.add_weights(8, 8), crafted.add_tensor([1, 8])
    out = crafted.add_dense(source, weights, 8)
    crafted.add_operator("CUSTOM", [], [], custom="Ours").inputs = None
    protected = lock_tflite(crafted.finish([source], [out]), runs=False)
    assert protected.bytes_left == 0
