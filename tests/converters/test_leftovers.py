"""What a lock leaves readable: nothing of a channel, or a warning."""

from __future__ import annotations

import struct
import warnings
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters import convert_keras, lock_tflite
from converters.keras_export import FORMATS
from converters.ranges import find_ranges
from converters.samples import make_samples
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.flatbuffer.views import Role
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import run_model
from tests import models
from tests.crafted import Crafted, pack, schema, unpack
from tests.flatbuffers import build_cached, export_cached, representative


def _channel_vectors(model: bytes) -> list[tuple[str, np.ndarray]]:
    """What the file says of every channel of a tensor, where it tells them apart."""
    found = []
    (graph,) = unpack(model).subgraphs
    for index, tensor in enumerate(graph.tensors):
        for name in ("scale", "min", "max", "zeroPoint"):
            values = getattr(tensor.quantization, name, None)
            # A draw of a few often leaves them where they are.
            if values is not None and np.unique(values).size >= 8:
                found.append((f"{index} {name}", values))
    return found


@pytest.mark.parametrize("number_format", FORMATS)
def test_nothing_said_of_every_channel_stays_in_place(number_format: str) -> None:
    model = build_cached("mobile")
    rows = representative(model)
    protected = convert_keras(
        model,
        number_format=number_format,
        representative_dataset=lambda: iter(rows),
    )
    # One draw in 8! leaves eight in place, two of them never.
    draws = [protected.public, lock_tflite(protected.authorized).public]
    first, second = (dict(_channel_vectors(public)) for public in draws)
    for name, values in _channel_vectors(protected.authorized):
        stay = [np.array_equal(each[name], values) for each in (first, second)]
        assert not all(stay), name
    is_per_channel = number_format in ("int8", "int16x8")
    assert bool(first) == is_per_channel


def test_int16x8_answers_as_with_its_ranges() -> None:
    model = build_cached("mobile")
    rows = representative(model)
    authorized = convert_keras(
        model, number_format="int16x8", representative_dataset=lambda: iter(rows)
    ).authorized
    stock = export_cached("mobile", "int16x8")
    assert find_ranges(read_model(stock), stock)
    assert not find_ranges(read_model(authorized), authorized)
    for sample in make_samples(stock):
        ours, theirs = (
            run_model(make_interpreter(each), sample) for each in (authorized, stock)
        )
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_a_file_that_names_its_ranges_restores_to_the_bit_and_warns() -> None:
    stock = export_cached("mobile", "int16x8")
    with pytest.warns(
        UserWarning, match=r"the range of every channel of \d+ tensors"
    ) as warned:
        assert lock_tflite(stock).authorized == stock
    assert warned[0].filename == __file__  # The line that locked it.


def test_ranges_without_an_end_tell_no_channels_apart() -> None:
    """As the stock quantiser to int16x8 gives them to a recurrent layer (GRU)."""
    model = unpack(export_cached("mobile", "int16x8"))
    for tensor in model.subgraphs[0].tensors:
        found = tensor.quantization
        if found is not None and np.size(found.min) > 1:
            found.min = np.full(np.size(found.min), -np.inf, np.float32)
            found.max = -found.min
    content = pack(model)
    assert not find_ranges(read_model(content), content)


def test_a_budget_that_leaves_an_end_open_warns() -> None:
    model = models.reader(400)
    with pytest.warns(UserWarning, match="the restore budget leaves open: .*embedding"):
        convert_keras(model, restore_budget=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        convert_keras(model, restore_budget=1.0)


def test_a_budget_that_leaves_large_constants_of_no_role_open_warns() -> None:
    """They may be a network's filters, handed to a subgraph or multiplied by a mask."""
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(64, activation="relu")(inputs)
    table = tf.random.normal([256, 64], seed=0)
    spread = keras.layers.Reshape((1, 64))(hidden) * table
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.ops.mean(spread, 1)))
    with pytest.warns(UserWarning, match=r"leaves open: .*, which may be filters"):
        convert_keras(model, restore_budget=0.3)


def test_a_table_read_by_gather_nd_is_a_first_filter() -> None:
    table = tf.Variable(tf.random.normal([300, 16], seed=0))

    @tf.function(input_signature=[tf.TensorSpec([1, 4, 1], tf.int32)])
    def embed(words: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.gather_nd(table, words), 1)

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [embed.get_concrete_function()], embed
    )
    content = converter.convert()
    (operator,) = read_model(content).operators
    assert operator.kind == "GATHER_ND" and operator.is_first
    assert operator.operands[0].role is Role.FILTER


def test_a_custom_operator_that_litert_has_is_locked() -> None:
    """MediaPipe's transposed convolution: padding 1 (same), strides of two."""
    crafted = Crafted()
    source, out = crafted.add_tensor([1, 4, 4, 3]), crafted.add_tensor([1, 8, 8, 5])
    filters, bias = (
        crafted.add_tensor(shape, crafted.draw(*shape)) for shape in ([5, 2, 2, 3], [5])
    )
    crafted.add_operator(
        "CUSTOM", [source, filters, bias], [out], custom="Convolution2DTransposeBias",
        custom_options=struct.pack("<iii", 1, 2, 2),
    )  # fmt: skip
    protected = lock_tflite(crafted.finish([source], [out]))
    assert {record.tensor for record in protected.lock.tensors} == {filters, bias}


@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_a_pruned_model_that_a_mask_keeps_from_packing_warns(kept: float) -> None:
    crafted = Crafted()
    x = source = crafted.add_tensor([1, 64])
    for _ in range(2):
        data = crafted.rng.integers(-127, 128, (64, 64)).astype(np.int8)
        data[crafted.rng.random(data.shape) > kept] = 0
        weights = crafted.add_tensor(data.shape, data, scales=np.full(64, 0.01))
        x = crafted.add_dense(x, weights, 64)
    content = crafted.finish([source], [x])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        masked = lock_tflite(content)
    assert any("do not pack" in str(one.message) for one in said) == (kept < 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        shuffled = lock_tflite(content, recipe="strict")
    sizes = [len(zlib.compress(each.public)) for each in (masked, shuffled)]
    assert (sizes[0] > 1.5 * sizes[1]) == (kept < 0.5)


@pytest.mark.parametrize("recipe", ["standard", "fast"])
def test_a_buffer_that_nothing_names_is_told_of(recipe: str) -> None:
    """A tool may leave the weights behind that it quantised."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    out = crafted.add_dense(source, crafted.add_weights(8, 8), 8)
    first = len(crafted.model.buffers)
    for _ in range(3):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(crafted.draw(400).tobytes(), np.uint8)
        crafted.model.buffers.append(buffer)
    metadata = schema.MetadataT()
    metadata.name, metadata.buffer = "labels", first
    crafted.model.metadata = [metadata]
    crafted.model.metadataBuffer = [first + 1]  # Of the schema's early days.
    words = "leaves 1,600 of the model's 1,856 bytes .* buffers that no tensor names"
    with pytest.warns(UserWarning, match=words):
        lock_tflite(crafted.finish([source], [out]), recipe=recipe)


@pytest.mark.parametrize("recipe", ["standard", "fast"])
def test_integers_that_are_an_answer_are_told_of(recipe: str) -> None:
    """They stand for themselves, and no budget reaches them."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    out = crafted.add_dense(source, crafted.add_weights(8, 8), 8)
    table = crafted.add_tensor([50, 8], np.arange(400, dtype=np.int32))
    words = r"leaves 1,600 of the model's 1,856 bytes .* constants that are answers"
    with pytest.warns(UserWarning, match=words):
        lock_tflite(crafted.finish([source], [out, table]), recipe=recipe)


def test_what_is_left_as_it_is_is_told() -> None:
    """A large table of integers is no weight that a lock knows."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    out = crafted.add_dense(source, crafted.add_weights(8, 8), 8)
    ids = crafted.add_tensor([2], type_=schema.TensorType.INT32)
    table = crafted.add_tensor([50, 8], np.arange(400, dtype=np.int32).reshape(50, 8))
    rows = crafted.add_tensor([2, 8], type_=schema.TensorType.INT32)
    crafted.add_operator("GATHER", [table, ids], [rows])
    with pytest.warns(UserWarning, match="leaves 1,600 of the model's 1,856 bytes"):
        protected = lock_tflite(crafted.finish([source, ids], [out, rows]))
    assert "1,600 bytes of constants are left" in str(protected)
