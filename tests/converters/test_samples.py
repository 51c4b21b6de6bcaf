"""Inputs to verify with: sizes that a model leaves open, fixed batches, no arrays."""

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters import convert_keras, lock_tflite
from converters.keras_export import ExportOptions, export_keras
from converters.samples import make_samples
from edgepro_tf.errors import ConversionError, VerificationError
from edgepro_tf.flatbuffer.schema import read_model
from tests.crafted import Crafted
from tests.flatbuffers import build_cached, representative
from tests.networks import NETWORKS

RNG = np.random.default_rng(0)


def long_filter(width: int) -> keras.Model:
    """Takes sequences of any length from ``width`` on."""
    return keras.Sequential(
        [
            keras.Input((None, 4)),
            keras.layers.Conv1D(4, width),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(2),
        ]
    )


@pytest.mark.parametrize("width", [7, 40])
def test_noise_is_as_long_as_the_model_needs(width: int) -> None:
    model = long_filter(width)
    assert convert_keras(model).keras_difference < 1e-5


def test_noise_fits_a_width_that_only_statistics_have() -> None:
    """Keras leaves the inputs' number open where a normalisation has learned it."""
    crafted = Crafted()
    source, normal = crafted.add_tensor([1, 1]), crafted.add_tensor([1, 9])
    crafted.model.subgraphs[0].tensors[source].shapeSignature = [-1, -1]
    mean = crafted.add_tensor([1, 9], crafted.draw(1, 9))
    crafted.add_operator("SUB", [source, mean], [normal])
    out = crafted.add_dense(normal, crafted.add_weights(4, 9), 4)
    assert lock_tflite(crafted.finish([source], [out])).bytes_left == 0


def test_sizes_that_no_runtime_takes_are_refused_in_a_sentence() -> None:
    """TensorFlow's own signature runner ends the process there."""
    with pytest.raises(VerificationError, match="Pass real inputs as samples"):
        convert_keras(long_filter(600))
    short = RNG.normal(size=(2, 32, 4)).astype(np.float32)
    with pytest.raises(VerificationError, match="Pass real inputs as samples"):
        convert_keras(long_filter(40), samples=short)


def test_a_fixed_batch_takes_its_samples_together() -> None:
    model = keras.Sequential(
        [keras.Input((8,), batch_size=4), keras.layers.Dense(3, activation="relu")]
    )
    x = RNG.normal(size=(10, 8)).astype(np.float32)
    assert convert_keras(model, samples=x).keras_difference < 1e-5
    assert convert_keras(model, samples=x[:8].reshape(2, 4, 8)).tensors_protected
    with pytest.raises(ConversionError, match=r"at least 4 samples.* got 3"):
        convert_keras(model, samples=x[:3])


def test_what_is_no_array_is_refused() -> None:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    for samples in ((row for row in np.zeros((5, 8))), 1.0):
        with pytest.raises(ConversionError, match=r"arrays \[count, \.\.\.\], got"):
            convert_keras(model, samples=samples)


def make_series(x: tf.Tensor, *labels: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """[12] numbers or a batch of them as series [3, 4]; labels stay."""
    series = tf.reshape(x, [*x.shape[:-1], 3, 4] if x.shape.rank == 1 else [-1, 3, 4])
    return (series, *labels) if labels else series


def test_a_dataset_is_taken_as_fit_takes_it() -> None:
    """Batched or not, by name or in order; labels are no inputs."""
    rng = np.random.default_rng(0)
    x = {n: rng.normal(size=(30, 12)).astype(np.float32) for n in ("left", "right")}
    y = np.zeros(30, np.int32)
    content = export_keras(NETWORKS["two_towers"](), ExportOptions())
    expected = make_samples(content, x, most=30)
    of = tf.data.Dataset.from_tensor_slices
    for data in (of((x, y)), of((x, y)).batch(7), of(x).batch(7)):
        found = make_samples(content, data, most=30)
        assert len(found) == 30
        for a, b in zip(found, expected, strict=True):
            for name in x:
                np.testing.assert_array_equal(a[name], b[name])
    for spec in (of((x["left"], y)).batch(7), of(x["left"])):
        protected = convert_keras(long_filter(3), samples=spec.map(make_series))
        assert protected.keras_difference < 1e-5
    with pytest.raises(ConversionError, match="a sample at least"):
        make_samples(content, of((x, y)).take(0))
    ragged = tf.data.Dataset.range(1, 4).map(lambda n: tf.zeros([2, 12 + n, 4]))
    with pytest.raises(ConversionError, match="of one shape"):
        convert_keras(long_filter(3), samples=ragged)


@pytest.mark.parametrize("recipe", ["standard", "strict"])
def test_a_single_weight_is_locked_every_time(recipe: str) -> None:
    """Its sign is all that an integer's shuffle moves, in every second draw."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    options = ExportOptions("int8", lambda: representative(model), "float32")
    content = export_keras(model, options)
    for _ in range(20):
        assert lock_tflite(bytearray(content), recipe=recipe).public != content


def test_samples_calibrate_what_is_quantised() -> None:
    model = NETWORKS["two_towers"]()
    samples = {name: RNG.random((120, 12), np.float32) for name in ("left", "right")}
    by_samples = convert_keras(model, number_format="int8", samples=samples)
    by_hand = convert_keras(
        model,
        number_format="int8",
        representative_dataset=lambda: (
            {name: array[i : i + 1] for name, array in samples.items()}
            for i in range(120)
        ),
    )
    assert by_samples.authorized == by_hand.authorized
    with pytest.raises(ConversionError, match=r"expected real inputs.*Pass samples"):
        convert_keras(model, number_format="int8")


@pytest.mark.parametrize("number_format", ["float32", "int8"])
def test_arrays_without_their_one_channel_are_samples(number_format: str) -> None:
    """Data sets of grey images come so."""
    model = NETWORKS["ds_cnn"]()
    series = RNG.normal(size=(8, 49, 10)).astype(np.float32)
    bare, whole = (
        convert_keras(model, number_format=number_format, samples=samples)
        for samples in (series, series[..., None])
    )
    assert bare.authorized == whole.authorized


@pytest.mark.parametrize("shape", [(8, 9, 2), (2, 8, 8)])
@pytest.mark.parametrize("number_format", ["float32", "int8"])
def test_samples_of_another_shape_are_none(
    shape: tuple[int, ...], number_format: str
) -> None:
    """Channels first are as many numbers, and were taken for other images."""
    samples, model = np.zeros((8, *shape), np.float32), build_cached("mobile")
    with pytest.raises(ConversionError, match=r"samples of shape \(-1, 8, 8, 2\)"):
        convert_keras(model, number_format=number_format, samples=samples)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([RNG.random((4, 10), np.float32)] * 5, "for each input, got 5 for 1. Gather"),
        (list(RNG.random((5, 10), np.float32)), "for each input, got 5 for 1. Gather"),
        ((np.ones((4, 10)), np.ones(4)), "got 2 for 1.*without labels"),
        ([[[[1.0, 2.0], [3.0]]]], "parts of several shapes"),
        (np.full((4, 10), np.inf), "^cannot find the ranges of numbers: .* finite"),
    ],
)
def test_samples_are_not_taken_in_part(samples: Any, words: str) -> None:
    """Of batches in a list, or examples, the first alone was taken."""
    with pytest.raises(ConversionError, match=words):
        convert_keras(build_cached("mlp"), number_format="int8", samples=samples)


def test_samples_of_other_names_are_named() -> None:
    x = RNG.random((5, 10), np.float32)
    with pytest.raises(ConversionError, match=r"the inputs [^,]+, got x, y, none for"):
        convert_keras(build_cached("mlp"), samples={"x": x, "y": x})


@pytest.mark.parametrize("number_format", ["int8", "int16x8"])
def test_loops_are_unrolled_for_the_quantiser(number_format: str) -> None:
    """It ends the process where it meets one."""
    model = keras.Sequential(
        [
            keras.Input((6, 4), batch_size=1),
            keras.layers.Bidirectional(keras.layers.LSTM(5)),
            keras.layers.Dense(3),
        ]
    )
    protected = convert_keras(
        model,
        number_format=number_format,
        representative_dataset=lambda: representative(model),
    )
    assert "WHILE" not in read_model(protected.public).operator_kinds[0]


def test_inputs_that_the_stock_converter_cannot_name_get_a_hint() -> None:
    inputs = keras.Input((3,), name="naïve input")
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with pytest.raises(ConversionError, match="names of ASCII letters"):
        convert_keras(model)


def convert_sound(model_of: Callable[[tf.Tensor], tf.Tensor]) -> bytes:
    """A model of 1,600 numbers in a row, without an axis for a batch."""
    function = tf.function(model_of, input_signature=[tf.TensorSpec([1600])])
    concrete = function.get_concrete_function()
    converted: bytes = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete], function
    ).convert()
    return converted


def test_the_length_of_a_sound_is_no_count_of_inputs() -> None:
    weights = RNG.normal(size=(16, 4)).astype(np.float32)
    frames = convert_sound(lambda x: tf.reshape(x, [100, 16]) @ weights)
    mean = convert_sound(
        lambda x: tf.reduce_mean(tf.reshape(x, [100, 16]) @ weights, 0)
    )
    sounds = RNG.normal(size=(100, 1600)).astype(np.float32)
    for model in (frames, mean):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            few = [lock_tflite(model), lock_tflite(model, samples=sounds[:50])]
        assert [each.agreement for each in few] == [None, None]
        assert not any("takes too long" in str(each.message) for each in told)
        enough = lock_tflite(model, samples=sounds).agreement
        assert enough is not None and enough.rows == 100
