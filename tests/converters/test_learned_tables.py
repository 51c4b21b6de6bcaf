"""What is learned is locked wherever an operator reads it: beside a shape, too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from converters import lock_tflite
from edgepro_tf.runtime.buffers import restore_to_buffer
from tests import crafted
from tests.converters.test_odd_files import converter_of, lock_exactly
from tests.crafted import Crafted, schema

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(40, 16)).astype(np.float32)
CODES = RNG.integers(-127, 128, TABLE.shape).astype(np.int8)
HEAD = RNG.normal(size=(16, 4)).astype(np.float32)


def cut(length: tf.Tensor) -> tf.Tensor:
    return tf.slice(TABLE, [0, 0], tf.stack([length, 16]))


def cut_in_half_precision(length: tf.Tensor) -> tf.Tensor:
    return tf.cast(TABLE.astype(np.float16), tf.float32)[:length]


def cut_codes(length: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.constant(CODES)[:length], tf.float32) / 127


def cut_codes_by_size(length: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.slice(CODES, [0, 0], tf.stack([length, 16])), tf.float32) / 127


def look_up(length: tf.Tensor) -> tf.Tensor:
    return tf.gather(TABLE, length)


def reshape(length: tf.Tensor) -> tf.Tensor:
    return tf.reshape(TABLE, tf.stack([length * 0 - 1, 16]))[:length]


def scale(length: tf.Tensor) -> tf.Tensor:
    return tf.cast(length, tf.float32) * TABLE[0]


@pytest.mark.parametrize(
    "read",
    [
        cut,
        cut_in_half_precision,
        cut_codes,
        cut_codes_by_size,
        look_up,
        reshape,
        scale,
    ],
    ids=lambda function: function.__name__,
)
def test_a_table_that_is_read_by_the_length_of_the_input(
    read: Callable[[tf.Tensor], tf.Tensor],
) -> None:
    """The positions of a transformer over series of any length."""

    @tf.function(input_signature=[tf.TensorSpec([1, None, 16], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(x + read(tf.shape(x)[1]), 1) @ HEAD

    protected = lock_exactly(bytes(converter_of(network).convert()))
    assert protected.bytes_left <= 32  # Axes, and numbers that cut.
    for table in (TABLE, TABLE[0], TABLE.astype(np.float16), CODES):
        assert table.tobytes() not in protected.public


@pytest.mark.parametrize("kind", ["CONV_2D", "FULLY_CONNECTED"])
def test_a_template_that_filters_of_the_input_are_held_against(kind: str) -> None:
    """The constant is what the operator is fed, and the input is its filter."""
    crafted = Crafted()
    is_dense = kind == "FULLY_CONNECTED"
    template = crafted.draw(*([5, 16] if is_dense else [1, 6, 6, 4]))
    shapes = ([3, 16], [5, 3]) if is_dense else ([3, 2, 2, 4], [1, 5, 5, 3])
    source, out = (crafted.add_tensor(shape) for shape in shapes)
    fed, bias = crafted.add_tensor(template.shape, template), crafted.draw(3)
    size = {} if is_dense else {"strideW": 1, "strideH": 1, "padding": 1}
    size |= {} if is_dense else {"dilationWFactor": 1, "dilationHFactor": 1}
    crafted.add_operator(
        kind, [fed, source, crafted.add_tensor([3], bias)], [out], **size
    )
    protected = lock_exactly(crafted.finish([source], [out]))
    assert protected.bytes_left == 0
    assert template.tobytes() not in protected.public


def test_weights_whose_shape_is_asked_for() -> None:
    crafted = Crafted()
    source, weights = crafted.add_tensor([1, 16]), crafted.add_weights(4, 16)
    type_ = schema.TensorType.INT32
    shape = crafted.add_tensor([2], type_=type_)
    crafted.add_operator("SHAPE", [weights], [shape], outType=type_)
    out = crafted.add_dense(source, weights, 4)
    assert lock_exactly(crafted.finish([source], [out, shape])).bytes_left == 0


def test_complex_weights() -> None:
    """A filter of frequencies."""
    weights = (RNG.normal(size=(8, 5)) + 1j * RNG.normal(size=(8, 5))).astype("c8")

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        return tf.abs(tf.signal.rfft2d(x) * weights)

    protected = lock_exactly(bytes(converter_of(network).convert()))
    assert protected.bytes_left <= 16  # The transform's own size.
    public = np.frombuffer(protected.public, np.float32)
    assert not np.isin(weights.view(np.float32), public).any()


def test_weights_that_a_branch_gives() -> None:
    """One of two networks' layers, as the input asks for."""
    other = RNG.normal(size=(16, 16)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, 16], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        is_loud = tf.reduce_sum(x) > 0
        chosen = tf.cond(
            is_loud, lambda: tf.constant(TABLE[:16]), lambda: tf.constant(other)
        )
        return x @ chosen @ HEAD

    protected = lock_exactly(bytes(converter_of(network).convert()))
    assert protected.bytes_left <= 16  # An axis, and single numbers.
    for weights in (TABLE[:16], other):
        assert weights.tobytes() not in protected.public


def test_weights_that_a_loop_gives() -> None:
    @tf.function(input_signature=[tf.TensorSpec([1, 16], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        _, weights = tf.while_loop(
            lambda step, _: step < tf.cast(tf.reduce_sum(x), tf.int32),
            lambda step, _: (step + 1, tf.constant(TABLE[16:32])),
            (0, tf.constant(TABLE[:16])),
        )
        return x @ weights @ HEAD

    protected = lock_exactly(bytes(converter_of(network).convert()))
    for weights in (TABLE[:16], TABLE[16:32]):
        assert weights.tobytes() not in protected.public


@pytest.mark.parametrize("is_read", [True, False])
def test_weights_that_are_an_answer(is_read: bool) -> None:
    """A signature that gives its table, which a layer may read in another order."""

    @tf.function(input_signature=[tf.TensorSpec([1, 16], tf.float32)])
    def network(x: tf.Tensor) -> dict[str, tf.Tensor]:
        table = tf.constant(TABLE[:16])
        answer = x @ table if is_read else tf.nn.relu(x) @ HEAD
        return {"answer": answer, "table": tf.identity(table)}

    protected = lock_exactly(bytes(converter_of(network).convert()))
    assert protected.bytes_left == 0
    for weights in (TABLE[:16], np.ascontiguousarray(TABLE[:16].T)):
        assert weights.tobytes() not in protected.public


def test_weights_that_nothing_reads() -> None:
    """A recurrent layer's bias, say, whose loop has a copy of its own."""
    crafted = Crafted()
    bias, codes = crafted.draw(32), CODES[:2]
    crafted.add_tensor(bias.shape, bias)
    crafted.add_tensor(codes.shape, codes, scales=0.01)
    passed = crafted.add_tensor(bias.shape, bias[::-1].astype(np.float16))
    crafted.add_operator("DEQUANTIZE", [passed], [crafted.add_tensor(bias.shape)])
    weights = crafted.add_weights(4, 16)
    protected = lock_exactly(crafted.finish_dense(weights, 4, 16))
    assert protected.bytes_left == 0
    for constant in (bias, bias[::-1].astype(np.float16), codes):
        assert constant.tobytes() in protected.authorized
        assert constant.tobytes() not in protected.public


def test_weights_of_tensorflows_own_operators() -> None:
    """Select TF: no runtime here links them, so the bytes alone are verified."""

    @tf.function(input_signature=[tf.TensorSpec([1, 16], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        filters = TABLE[:4].reshape(4, 4, 4)
        image = tf.reshape(x, [1, 2, 2, 4])
        return tf.nn.dilation2d(image, filters, [1] * 4, "SAME", "NHWC", [1] * 4)

    converter = converter_of(network)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    original = bytes(converter.convert())
    protected = lock_tflite(original, runs=False)
    assert TABLE[:4].tobytes() in original
    assert protected.bytes_left == 16  # A shape.
    assert bytes(restore_to_buffer(protected.public, protected.payload)) == original


def test_halved_weights_that_a_branch_gives() -> None:
    """In float16 a branch is an operator and what that gives."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 16])
    asked = crafted.add_tensor([], type_=schema.TensorType.BOOL)
    chosen = crafted.add_tensor([4, 16])
    crafted.add_operator(
        "IF", [asked], [chosen], thenSubgraphIndex=1, elseSubgraphIndex=2
    )
    out = crafted.add_dense(source, chosen, 4)
    branches = []
    for _ in range(2):
        crafted.add_subgraph()
        branches.append(crafted.draw(4, 16).astype(np.float16))
        half = crafted.add_tensor([4, 16], branches[-1])
        crafted.add_operator("DEQUANTIZE", [half], [crafted.add_tensor([4, 16])])
        crafted.model.subgraphs[-1].outputs = [1]
    content = crafted.finish([source, asked], [out])
    protected = lock_tflite(content, runs=False)  # XNNPACK runs no such branch.
    assert bytes(restore_to_buffer(protected.public, protected.payload)) == content
    assert protected.bytes_left == 0
    assert all(each.tobytes() not in protected.public for each in branches)


def read_moved_twice(codes: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    turned = tf.reshape(tf.transpose(codes), tf.stack([length * 0 + 16, -1]))
    return tf.cast(turned[:, :length], tf.float32)


def read_joined(codes: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.concat([codes[:, :length], codes], 1), tf.float32)


def read_by_halves(codes: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Two integers of four bits in a byte."""
    four = tf.constant(4, tf.int8)
    return tf.cast(tf.bitwise.right_shift(codes[:, :length], four), tf.float32)


@pytest.mark.parametrize(
    "read",
    [read_moved_twice, read_joined, read_by_halves],
    ids=lambda function: function.__name__,
)
def test_codes_that_go_a_long_way(
    read: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> None:
    codes = CODES.T.copy()

    @tf.function(input_signature=[tf.TensorSpec([1, None, 16], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        made = tf.reduce_mean(read(tf.constant(codes), tf.shape(x)[1]), 1)
        return (tf.reduce_mean(x, 1) + made / 127) @ HEAD

    protected = lock_exactly(bytes(converter_of(network).convert()))
    assert protected.bytes_left <= 64  # Axes, and numbers that cut.
    for each in (codes, CODES):
        assert each.tobytes() not in protected.public


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_floats_kept_as_integers_of_their_bits(dtype: type) -> None:
    crafted = Crafted()
    weights = crafted.draw(4, 16)
    bits = weights.view(dtype).reshape(4, 16, -1)
    kept = crafted.add_tensor([*bits.shape][: 2 if bits.shape[-1] == 1 else 3], bits)
    source, made = crafted.add_tensor([1, 16]), crafted.add_tensor([4, 16])
    crafted.add_operator("BITCAST", [kept], [made])
    out = crafted.add_dense(source, made, 4)
    protected = lock_exactly(crafted.finish([source], [out]))
    assert protected.bytes_left == 0
    assert weights.tobytes() not in protected.public


@pytest.mark.parametrize("is_quantized", [False, True])
def test_weights_that_a_custom_operator_reads_as_well(is_quantized: bool) -> None:
    """An embedding of its own, which is the head's filter, too."""
    crafted = Crafted()
    weights = crafted.draw(40, 16)
    scales = np.full(40, 0.02) if is_quantized else None
    if is_quantized:
        weights = (40 * weights).astype(np.int8)
    table = crafted.add_tensor([40, 16], weights, scales=scales)
    source, hidden = crafted.add_tensor([1, 4]), crafted.add_tensor([1, 16])
    crafted.add_operator("CUSTOM", [source, table], [hidden], custom="Ours")
    content = crafted.finish([source], [crafted.add_dense(hidden, table, 40)])
    protected = lock_tflite(content, runs=False)
    assert bytes(restore_to_buffer(protected.public, protected.payload)) == content
    assert protected.bytes_left == 0
    assert weights.tobytes() not in protected.public


@pytest.mark.parametrize("name", ["FLOAT64", "BFLOAT16", "COMPLEX128"])
def test_numbers_of_any_format_that_are_multiplied(name: str) -> None:
    crafted = Crafted()
    type_ = getattr(schema.TensorType, name)
    size = {"FLOAT64": 8, "BFLOAT16": 2, "COMPLEX128": 16}[name]
    data = crafted.rng.integers(0, 100, 64 * size).astype(np.uint8)
    weights = crafted.add_tensor([4, 16], data, type_=type_)
    source, out = (crafted.add_tensor([4, 16], type_=type_) for _ in range(2))
    crafted.add_operator("MUL", [source, weights], [out])
    content = crafted.finish([source], [out])
    protected = lock_tflite(content, runs=False)  # No runtime multiplies these.
    assert bytes(restore_to_buffer(protected.public, protected.payload)) == content
    assert protected.bytes_left == 0
    assert data[:32].tobytes() not in protected.public


@pytest.mark.filterwarnings("error:the lock leaves")
@pytest.mark.parametrize("way", ["CAST", "TRANSPOSE, CAST", "CAST, TRANSPOSE"])
@pytest.mark.parametrize("name", crafted.CODES | crafted.UNSIGNED)
def test_integers_that_are_cast_to_numbers_are_locked(name: str, way: str) -> None:
    """Keras' weight-only int8 has no quantisation scales, but a MUL behind it."""
    type_, dtype = (crafted.CODES | crafted.UNSIGNED)[name]
    file = Crafted()
    codes = file.rng.integers(0, 2 if name == "bool" else 100, (64, 48)).astype(dtype)
    x, w = file.add_tensor([1, 48]), file.add_tensor([64, 48], codes, type_=type_)
    for kind in way.split(", "):
        type_ = schema.TensorType.FLOAT32 if kind == "CAST" else type_
        made = file.add_tensor([64, 48], type_=type_)
        shape = [] if kind == "CAST" else [file.add_tensor([2], np.int32([0, 1]))]
        file.add_operator(kind, [w, *shape], [made])
        w = made
    hidden = file.add_tensor([1, 64])
    file.add_operator("FULLY_CONNECTED", [x, w, -1], [hidden])
    y = file.add_dense(hidden, file.add_weights(3, 64), 3)
    content = file.finish([x], [y])
    protected = lock_tflite(content, runs=False)
    assert codes.tobytes() not in protected.public
    assert bytes(restore_to_buffer(protected.public, protected.payload)) == content
    assert protected.bytes_left < 0.02 * protected.constant_bytes
