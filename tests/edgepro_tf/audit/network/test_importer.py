"""What is imported computes what the interpreter computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.audit.network.answers import check_answers
from edgepro_tf.audit.network.importer import Network, import_model
from edgepro_tf.errors import ConversionError
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import input_details, run_model
from tests.crafted import Crafted, schema
from tests.flatbuffers import export_cached
from tests.networks import NETWORKS

CLASSIFIERS = (
    "cnn", "plain_cnn", "sequential", "residual", "depthwise", "mobile", "mlp",
)  # fmt: skip


def shape_of(network: Network) -> tuple[int, ...]:
    """Of one example."""
    return network.graph.shapes[network.graph.inputs[0]][1:]


@pytest.mark.parametrize("number_format", ["float32", "float16"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_equals_the_interpreter(name: str, number_format: str) -> None:
    content = export_cached(name, number_format)
    network = import_model(content)
    shape = (5, *shape_of(network))
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    interpreter = make_interpreter(content)
    interpreter.allocate_tensors()
    (input_name,) = input_details(interpreter)
    (expected,) = run_model(interpreter, {input_name: x}).values()
    logits = network.forward(list(network.values), x).numpy()
    found = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    # Sums of a few hundred float32 products in another order, then a softmax.
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize(
    "name",
    ["sensor_cnn", "ds_cnn", "vision_transformer", "lstm_classifier", "gru_classifier"],
)
def test_networks_of_mobile_developers_are_imported(name: str) -> None:
    """Dilated 1-D convolutions, normalisations left by themselves, attention, cells."""
    keras.utils.set_random_seed(0)
    model = NETWORKS[name]()
    network = import_model(export_keras(model, ExportOptions()))
    x = np.random.default_rng(0).normal(size=(3, *shape_of(network)))
    logits = network.forward(list(network.values), x.astype(np.float32)).numpy()
    has_softmax = network.graph.nodes[-1].kind == "SOFTMAX"
    found = keras.ops.softmax(logits) if has_softmax else logits
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=2e-5)
    # An epsilon that learns goes negative, and its root is no number.
    assert all(p.shape for p in network.parameters)


def test_a_cell_is_one_filter_used_at_every_step() -> None:
    network = import_model(export_keras(NETWORKS["lstm_classifier"](), ExportOptions()))
    kernel, recurrent, *dense = network.distinct_linears.values()
    uses = [one.filter for one in network.linears]
    assert uses.count(kernel.filter) == uses.count(recurrent.filter) == 10
    assert {one.bias for one in network.linears if one.filter == kernel.filter} == {
        kernel.bias
    }
    assert [one.channels for one in (kernel, recurrent, *dense)] == [64, 64, 24, 4]


def test_pieces_of_an_example_are_taken_from_every_example() -> None:
    """Slices, gathered and split channels, a token before the sequence, late steps."""

    @keras.saving.register_keras_serializable("tests")
    class Pieces(keras.layers.Layer):
        def build(self, shape: tuple[int, ...]) -> None:
            self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="normal")

        def call(self, x: tf.Tensor) -> tf.Tensor:
            token = tf.broadcast_to(self.token, [tf.shape(x)[0], 1, x.shape[-1]])
            x = tf.concat([token, x], 1)
            first, second = tf.split(x[:, 1:, ::2], 2, axis=-1)
            gathered = tf.gather(x, [3, 0, 2], axis=1)[:, :, 1:3]
            joined = tf.concat([first, second, gathered], 1)
            tiled = tf.nn.softplus(tf.tile(joined[:, :2], [1, 2, 1]))
            late = tf.reduce_mean(tf.transpose(x, [1, 0, 2])[1:3], 0)
            return tf.concat([joined, tiled], 1)[:, :, 0] + x[:, 0, :1] + late[:, :1]

    model = keras.Sequential(
        [keras.Input((6, 8)), keras.layers.Dense(8), Pieces(), keras.layers.Dense(3)]
    )
    network = import_model(export_keras(model, ExportOptions()))
    x = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    found = network.forward(list(network.values), x).numpy()
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=2e-5)


def test_images_are_resized_reversed_rearranged_and_padded() -> None:
    def compute(x: tf.Tensor) -> tf.Tensor:
        x = tf.nn.space_to_depth(
            tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), 2
        )
        x = tf.nn.depth_to_space(tf.math.l2_normalize(x, -1), 2)
        x = tf.reverse(x, [1])
        x = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]], constant_values=2.0)
        for method in ("bilinear", "nearest"):
            x = tf.image.resize(x, [x.shape[1] + 3, 2 * x.shape[2]], method)
        x = tf.concat([x, tf.cumsum(x, 2), tf.sin(x) * tf.cos(x)], -1)
        ends = [tf.reduce_min(x, 1), tf.reduce_prod(x[:, :2], 1), tf.floor(x[:, 0])]
        return tf.reduce_sum(tf.add_n(ends), 1)

    pixels = keras.Input((6, 8, 4))
    x = keras.layers.Lambda(compute)(keras.layers.Conv2D(4, 3, padding="same")(pixels))
    model = keras.Model(pixels, keras.layers.Dense(3)(x))
    content = export_keras(model, ExportOptions())
    network = import_model(content)
    check_answers(network, list(network.values), content)
    x = np.random.default_rng(0).normal(size=(4, 6, 8, 4)).astype(np.float32)
    found = network.forward(list(network.values), x).numpy()
    expected = model.predict(x, verbose=0)
    # Sums of some hundred numbers, up to 500: measured 4e-7 of the largest at most.
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    kinds = {node.kind for node in network.graph.nodes}
    assert {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "PADV2", "MIRROR_PAD"} < kinds
    assert {
        "REVERSE_V2",
        "SPACE_TO_DEPTH",
        "DEPTH_TO_SPACE",
        "L2_NORMALIZATION",
    } < kinds


def test_what_answers_otherwise_than_the_interpreter_is_refused() -> None:
    content = export_cached("mlp", "float32")
    network = import_model(content)
    values = list(network.values)
    check_answers(network, values, content)
    last = network.linears[-1].filter
    values[last] = values[last][::-1]
    with pytest.raises(ConversionError, match="answers otherwise here"):
        check_answers(network, values, content)
    rows = keras.Input((3, 5))
    model = keras.Model(rows, keras.ops.reshape(keras.layers.Dense(4)(rows), (-1, 4)))
    content = export_keras(model, ExportOptions())
    network = import_model(content)
    with pytest.raises(ConversionError, match=r"shape \[24, 4\] to 8 examples"):
        check_answers(network, list(network.values), content)


def make_normalised(scale: float | None, batch: int = 1) -> bytes:
    """A dense layer, and a normalisation over axes 0 and 2 of [1, batch, channels].

    So PyTorch's converter writes one of each example, whose batch of one it has folded.
    """
    crafted = Crafted()
    source = crafted.add_tensor([batch, 8])
    weights = crafted.draw(8, 8)
    if scale is None:
        filters = crafted.add_tensor([8, 8], weights)
    else:
        levels = np.rint(weights / scale).astype(np.int8)
        filters = crafted.add_tensor([8, 8], levels, scales=scale)
    hidden = crafted.add_dense(source, filters, 8)
    crafted.model.subgraphs[0].tensors[hidden].shape = [batch, 8]
    axes = crafted.add_tensor([2], np.int32([0, 2]))
    wide, long = [1, batch, 8], [batch, 8]
    folded, mean = crafted.add_tensor(wide), crafted.add_tensor([1, batch, 1])
    row, pair = (crafted.add_tensor([len(to)], np.int32(to)) for to in (wide, long))
    out, flat = crafted.add_tensor(wide), crafted.add_tensor(long)
    crafted.add_operator("RESHAPE", [hidden, row], [folded])
    operator = crafted.add_operator("MEAN", [folded, axes], [mean])
    operator.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    operator.builtinOptions = schema.ReducerOptionsT()
    operator.builtinOptions.keepDims = True
    crafted.add_operator("SUB", [folded, mean], [out])
    crafted.add_operator("RESHAPE", [out, pair], [flat])
    return crafted.finish([source], [flat])


@pytest.mark.parametrize("scale", [None, 0.02])
def test_a_batch_folded_into_other_axes_is_taken_one_by_one(
    scale: float | None,
) -> None:
    content = make_normalised(scale)
    network = import_model(content)
    found = check_answers(network, list(network.values), content)
    assert found.is_single and not network.is_single
    x = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    interpreter = make_interpreter(content)
    interpreter.allocate_tensors()
    (name,) = input_details(interpreter)
    rows = [run_model(interpreter, {name: row[None]}).popitem()[1] for row in x]
    answers = found.forward(list(network.values), x).numpy()
    # Of dynamic range the interpreter rounds what goes in, to a 127th of the largest.
    np.testing.assert_allclose(answers, np.concatenate(rows), atol=3e-2)
    assert np.abs(network.forward(list(network.values), x) - answers).max() > 0.1


def test_a_folded_batch_of_several_is_refused() -> None:
    content = make_normalised(None, batch=4)
    network = import_model(content)
    words = r"one that fails .* convert it for one example or for batches of any size"
    with pytest.raises(ConversionError, match=words):
        check_answers(network, list(network.values), content)


def test_equal_constants_of_two_shapes_are_two_parameters() -> None:
    @keras.saving.register_keras_serializable("tests")
    class Scaled(keras.layers.Layer):
        def __init__(self, *shape: int) -> None:
            super().__init__()
            self.factor = np.linspace(1, 2, 8, dtype=np.float32).reshape(shape)

        def call(self, x: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(x * self.factor)

    x = keras.Input((3, 8))
    y = keras.layers.Dense(8, bias_initializer="ones")(Scaled(8)(x))
    y = keras.layers.Flatten()(Scaled(1, 1, 8)(y))
    model = keras.Model(x, keras.layers.Dense(2, bias_initializer="ones")(y))
    network = import_model(export_keras(model, ExportOptions()))
    found = [(p.role, p.shape, p.neutral) for p in network.parameters]
    assert ("constant", (8,), 1.0) in found and ("constant", (1, 1, 8), 1.0) in found
    assert ("bias", (2,), 0.0) in found
    x = np.random.default_rng(0).normal(size=(4, 3, 8)).astype(np.float32)
    found = network.forward(list(network.values), x).numpy()
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=2e-5)


@pytest.mark.parametrize("mask_zero", [False, True])
def test_words_are_looked_up_in_a_table_that_is_a_weight(mask_zero: bool) -> None:
    words = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, 5, mask_zero=mask_zero)(words)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(words, keras.layers.Dense(3)(x))
    network = import_model(export_keras(model, ExportOptions()))
    filters = [p.shape for p in network.parameters if p.role == "filter"]
    assert filters == [(20, 5), (3, 5)]
    x = np.random.default_rng(0).integers(0, 20, (4, 6))
    found = network.forward(list(network.values), x.astype(np.float32)).numpy()
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=2e-5)


@pytest.mark.parametrize("number_format", ["dynamic", "int8", "int16x8"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_quantised_file_computes_nearly_the_same(
    name: str, number_format: str
) -> None:
    """Weights are the file's own; activations are not rounded."""
    network = import_model(export_cached(name, number_format))
    plain = import_model(export_cached(name, "float32"))
    assert [p.shape for p in network.parameters if p.role == "filter"] == [
        p.shape for p in plain.parameters if p.role == "filter"
    ]
    x = np.random.default_rng(0).normal(size=(50, *shape_of(network)))
    logits, expected = (
        one.forward(list(one.values), x.astype(np.float32)).numpy()
        for one in (network, plain)
    )
    # A filter's rounding: half of 1/127 of its largest element, a few layers deep.
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()


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
    film = keras.Input((4, 4, 4, 2))
    solid = keras.layers.Flatten()(keras.layers.Conv3D(3, 2)(film))
    with pytest.raises(ConversionError, match="operator CONV_3D"):
        import_model(export_keras(keras.Model(film, solid), ExportOptions()))
    rolled = keras.Sequential(
        [
            keras.Input((4, 3), batch_size=1),
            keras.layers.GRU(5),
            keras.layers.Dense(3),
        ]
    )
    with pytest.raises(ConversionError, match=r"a loop \(WHILE\).*unroll=True"):
        import_model(export_keras(rolled, ExportOptions()))
    with pytest.raises(ConversionError, match="2 outputs"):
        import_model(export_keras(NETWORKS["two_towers"](), ExportOptions()))
    with pytest.raises(ConversionError, match="TFL3"):
        import_model(b"no model at all")
