"""Operators of mobile models, and weights in other places than a filter's."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters import convert_keras, lock_tflite
from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.audit.network.answers import check_answers
from edgepro_tf.audit.network.importer import Network, import_model
from edgepro_tf.audit.pair import audit_pair
from edgepro_tf.audit.target import make_target, relock
from edgepro_tf.datasets import load_dataset
from edgepro_tf.errors import ConversionError
from edgepro_tf.locks import Step
from tests.crafted import CODES, UNSIGNED, Crafted, schema
from tests.edgepro_tf.audit.conftest import BUDGET

layers = keras.layers
ROWS, IMAGE = (6, 8), (6, 6, 4)
FLOAT32 = schema.TensorType.FLOAT32

# What each computes of an example's rows or image, and the operator it becomes.
OPERATORS: dict[str, tuple[tuple[int, ...], Callable[[tf.Tensor], tf.Tensor]]] = {
    "CEIL": (ROWS, tf.math.ceil),
    "FLOOR_DIV": (ROWS, lambda x: tf.math.floordiv(x, 0.25)),
    "FLOOR_MOD": (ROWS, lambda x: tf.math.floormod(x, 0.75)),
    "ATAN2": (ROWS, lambda x: tf.atan2(x[..., :4], x[..., 4:])),
    "TOPK_V2": (ROWS, lambda x: tf.math.top_k(x, 3).values),
    "ONE_HOT": (ROWS, lambda x: x[..., None] * tf.one_hot(tf.cast(x > 0, tf.int32), 2)),
    "GATHER_ND": (ROWS, lambda x: tf.transpose(
        tf.gather_nd(tf.transpose(x, [1, 0, 2]), [[3], [1]]), [1, 0, 2])),
    "SELECT_V2": (ROWS, lambda x: tf.where(x > 0, x, 0.1 * x)),
    "LOCAL_RESPONSE_NORMALIZATION": (IMAGE, lambda x: tf.nn.lrn(x, 1, 0.5, 2.0, 0.75)),
    "SQUARED_DIFFERENCE": (ROWS, lambda x: tf.math.squared_difference(x, x[:, :1])),
    "RSQRT": (ROWS, lambda x: tf.math.rsqrt(1 + x * x)),
    "ELU": (ROWS, tf.nn.elu),
    "LEAKY_RELU": (ROWS, lambda x: tf.nn.leaky_relu(x, 0.3)),
    "GELU": (ROWS, tf.nn.gelu),
    "HARD_SWISH": (ROWS, lambda x: x * tf.nn.relu6(x + 3) / 6),
    "MIRROR_PAD": (IMAGE, lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]],
                                           "SYMMETRIC")),
    "L2_NORMALIZATION": (ROWS, lambda x: tf.math.l2_normalize(x, -1)),
    "CUMSUM": (ROWS, lambda x: tf.cumsum(x, 1, exclusive=True, reverse=True)),
    "BATCH_MATMUL": (ROWS, lambda x: tf.einsum("bti,bsi->bts", x, x)),
}  # fmt: skip


def compute(network: Network, x: np.ndarray) -> np.ndarray:
    return np.asarray(network.forward(list(network.values), x.astype(np.float32)))


@pytest.mark.parametrize("is_single", [False, True])
@pytest.mark.parametrize("kind", OPERATORS)
def test_an_operator_computes_what_the_interpreter_does(
    kind: str, is_single: bool
) -> None:
    shape, compute_one = OPERATORS[kind]
    keras.utils.set_random_seed(0)
    source = keras.Input(shape)
    x = layers.Lambda(compute_one)(layers.Dense(shape[-1])(source))
    model = keras.Model(source, layers.Dense(3)(layers.Flatten()(x)))
    content = export_keras(model, ExportOptions())
    network = import_model(content)
    assert kind in {node.kind for node in network.graph.nodes}
    network = dataclasses.replace(network, is_single=is_single)
    check_answers(network, list(network.values), content)
    x = np.random.default_rng(0).normal(size=(4, *shape))
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(compute(network, x), expected, atol=1e-4)

    @tf.function(jit_compile=True)
    def differentiate(values: list[tf.Tensor], x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(network.forward(values, x))
        return tape.gradient(loss, values, unconnected_gradients="zero")

    values = [tf.constant(value) for value in network.values]
    found = differentiate(values, tf.constant(x, tf.float32))
    assert all(np.isfinite(gradient).all() for gradient in found)


def add_product(
    crafted: Crafted, inputs: list[int], shape: list[int], *, x: bool, y: bool
) -> int:
    """A BATCH_MATMUL, its left or right side transposed; its output's number."""
    out = crafted.add_tensor(shape)
    operator = crafted.add_operator("BATCH_MATMUL", inputs, [out], version=1)
    operator.builtinOptions = schema.BatchMatMulOptionsT()
    operator.builtinOptionsType = schema.BuiltinOptions.BatchMatMulOptions
    operator.builtinOptions.adjX, operator.builtinOptions.adjY = x, y
    return out


PRODUCTS = {
    "right": (False, False, False),
    "right, transposed": (False, False, True),
    "left": (True, False, False),
    "left, transposed": (True, True, False),
}


@pytest.mark.parametrize("side", PRODUCTS)
def test_a_constant_side_of_a_product_is_a_weight(side: str) -> None:
    is_left, x, y = PRODUCTS[side]
    crafted = Crafted()
    source = crafted.add_tensor([1, 6, 8])
    units, inputs = (5, 6) if is_left else (7, 8)
    # As the operator reads it: [units, inputs] on the left, turned on the right.
    shape = (units, inputs) if is_left != (x or y) else (inputs, units)
    weights = crafted.add_tensor([1, *shape], crafted.draw(1, *shape))
    sides = [weights, source] if is_left else [source, weights]
    made = [1, 5, 8] if is_left else [1, 6, 7]
    hidden = add_product(crafted, sides, made, x=x, y=y)
    count = 40 if is_left else 42
    flat = crafted.add_tensor([1, count])
    row = crafted.add_tensor([2], np.int32([-1, count]))
    crafted.add_operator("RESHAPE", [hidden, row], [flat])
    out = crafted.add_dense(flat, crafted.add_weights(3, count), 3)
    content = crafted.finish([source], [out])
    network = import_model(content)
    check_answers(network, list(network.values), content)
    assert [p.role for p in network.parameters] == ["filter", "filter"]
    assert len(network.linears) == (1 if is_left else 2)
    if not is_left:
        product = network.linears[0]
        assert product.channels == 7 and product.is_first
        assert product.channel_axis == (1 if y else 2)
    pair = lock_tflite(content)
    target = make_target(pair.public, pair.payload)
    assert all(target.is_locked(i) for i in range(2))
    np.testing.assert_array_equal(target.authorized[0], network.values[0])


def test_a_constant_of_one_number_is_known_and_no_parameter() -> None:
    """PyTorch's converter writes an epsilon as [1], which a lock masks."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    hidden, root = (crafted.add_tensor([1, 8]) for _ in range(2))
    epsilon = crafted.add_tensor([1], np.float32([1e-5]))
    crafted.add_operator("ADD", [source, epsilon], [hidden])
    crafted.add_operator("ABS", [hidden], [root])
    out = crafted.add_dense(root, crafted.add_weights(3, 8), 3)
    pair = lock_tflite(crafted.finish([source], [out]))
    public = import_model(pair.public)
    assert public.graph.constants[epsilon] != np.float32(1e-5)
    target = make_target(pair.public, pair.payload)
    assert [p.role for p in target.network.parameters] == ["filter"]
    assert target.network.graph.constants[epsilon] == np.float32(1e-5)
    np.testing.assert_array_equal(target.network.values[0], public.values[0])


def make_coded(name: str, kinds: tuple[str, ...] = ("CAST",)) -> bytes:
    """Dense layers whose first weights are integers until a CAST."""
    type_, dtype = (CODES | UNSIGNED)[name]
    crafted = Crafted()
    least = 0 if np.iinfo(dtype).min == 0 else -100
    codes = crafted.rng.integers(least, 2 if name == "bool" else 100, (16, 8))
    w = crafted.add_tensor([16, 8], codes.astype(dtype), type_=type_)
    source = crafted.add_tensor([1, 8])
    for kind in kinds:
        type_ = FLOAT32 if kind == "CAST" else type_
        made = crafted.add_tensor([16, 8], type_=type_)
        order = [] if kind == "CAST" else [crafted.add_tensor([2], np.int32([0, 1]))]
        crafted.add_operator(kind, [w, *order], [made])
        w = made
    hidden = crafted.add_dense(source, w, 16)
    scaled = crafted.add_tensor([1, 16])
    scale = crafted.add_tensor([16], crafted.rng.uniform(0.01, 0.02, 16).astype("f"))
    crafted.add_operator("MUL", [hidden, scale], [scaled])
    out = crafted.add_dense(scaled, crafted.add_weights(3, 16), 3)
    return crafted.finish([source], [out])


@pytest.mark.parametrize("name", CODES)
def test_integers_that_a_cast_makes_weights_of_are_read(name: str) -> None:
    content = make_coded(name)
    network = import_model(content)
    check_answers(network, list(network.values), content)
    first = network.parameters[network.linears[0].filter]
    values = network.values[network.linears[0].filter]
    np.testing.assert_array_equal(values, np.rint(values))
    assert first.levels is not None and values.max() <= first.levels[1]
    pair = lock_tflite(content)
    target = make_target(pair.public, pair.payload)
    assert all(target.is_locked(i) for i in range(len(network.parameters)))
    np.testing.assert_array_equal(target.authorized[0], network.values[0])
    draw = relock(target, bytes(32)).values[0]
    np.testing.assert_array_equal(draw, np.rint(draw))
    rng = np.random.default_rng(0)
    guess = target.guess([0.0] * len(target.steps), rng)[0]
    assert not np.array_equal(guess, values)
    if target.steps[0] & Step.MASK:
        assert np.abs(guess).max() <= max(map(abs, first.levels))


def test_an_audit_of_keras_weight_only_int8_runs() -> None:
    """A CAST makes the right side of a product, which a MUL scales."""
    data = load_dataset("digits")
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    hidden = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    hidden = layers.Dense(16, activation="relu")(hidden)
    model = keras.Model(image, layers.Dense(10, activation="softmax")(hidden))
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(data.x_train, data.y_train, epochs=3, verbose=0)
    weights_alone = keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)
    model.quantize(config=weights_alone)
    pair = convert_keras(model, samples=data.x_train[:200])
    network = import_model(pair.public)
    assert [one.kind for one in network.linears].count("BATCH_MATMUL") == 1
    assert network.graph.codes
    budget = dataclasses.replace(
        BUDGET, least_steps=40, most_steps=40, epochs=1, seeds=(0,), shares=(0.1,),
        wrong_locks=4, sign_rounds=5,
    )  # fmt: skip
    report = audit_pair(pair.public, pair.payload, data, budget=budget)
    assert report.facts["authorized_accuracy"] > 0.8 > report.facts["chance"]
    assert report.facts["released_accuracy"] < 0.3


@pytest.mark.parametrize("name", UNSIGNED)
def test_large_integers_without_a_sign_are_refused(name: str) -> None:
    with pytest.raises(ConversionError, match="weights with more than 8 bits and no"):
        import_model(make_coded(name))


def test_integers_moved_about_before_their_use_are_refused() -> None:
    with pytest.raises(ConversionError, match="a CAST makes of integers, moved about"):
        import_model(make_coded("int8", ("CAST", "TRANSPOSE")))
    with pytest.raises(ConversionError, match="a CAST makes of integers, moved about"):
        import_model(make_coded("int8", ("TRANSPOSE", "CAST")))
