"""Answers that are no numbers: told apart from agreement."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters import convert_keras, lock_tflite
from converters.agreement import Agreement
from converters.verify_keras import compare_answers
from edgepro_tf.errors import ConversionError, InterpreterError, VerificationError
from edgepro_tf.runtime.interpreters import call_runtime, make_interpreter
from tests.flatbuffers import build_cached, export_cached


def _spoiled(value: float) -> keras.Model:
    model = keras.models.clone_model(build_cached("mlp"))
    model.set_weights([weight * value for weight in build_cached("mlp").get_weights()])
    return model


def test_a_diverged_network_is_refused() -> None:
    with pytest.raises(VerificationError, match="nothing but NaN or infinity"):
        convert_keras(_spoiled(np.nan))


def test_samples_that_are_no_numbers_are_refused() -> None:
    samples = np.full((4, 10), np.nan, np.float32)
    with pytest.raises(VerificationError, match="or the samples are none"):
        lock_tflite(export_cached("mlp"), samples=samples)


@pytest.mark.parametrize(
    ("answer", "difference"),
    [([1, np.nan, 4], 0), ([1, np.nan, 5], 0.25), ([np.nan, np.nan, 4], np.inf)],
)
def test_nan_agrees_with_nan_alone(answer: list[float], difference: float) -> None:
    asked, outputs = [np.float32([[1, np.nan, 4]])], {"y": np.float32([answer])}
    assert compare_answers([asked], [outputs]) == difference


def test_a_model_that_answers_at_random_is_converted() -> None:
    """Its samples of a distribution are others each time, in Keras as in a runtime."""

    class Drawn(keras.layers.Layer):
        def call(self, mean: tf.Tensor) -> tf.Tensor:
            return mean + tf.random.normal(tf.shape(mean))

    inputs = keras.Input((8,))
    model = keras.Model(inputs, Drawn()(keras.layers.Dense(4)(inputs)))
    with pytest.warns(UserWarning, match="Keras' answers differ from run to run"):
        assert convert_keras(model).keras_difference is None


def _lose_relu() -> keras.Model:
    """TensorFlow 2.21 converts it without its ReLU."""

    class Computed(keras.layers.Dense):
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(inputs @ (self.kernel * tf.reduce_max(inputs)))

    keras.utils.set_random_seed(0)
    layers = [keras.Input((16,)), Computed(8, use_bias=False), keras.layers.Dense(3)]
    return keras.Sequential(layers)


def test_what_the_stock_converter_gets_wrong_is_refused() -> None:
    with pytest.raises(VerificationError, match="loses the ReLU"):
        convert_keras(_lose_relu())


def test_quantised_answers_far_from_keras_are_told() -> None:
    with pytest.warns(UserWarning, match="nearly as Keras does, got a difference of"):
        protected = convert_keras(_lose_relu(), number_format="dynamic")
    assert protected.keras_difference is not None
    assert protected.keras_difference > 0.5


def test_an_input_type_that_the_format_lacks_is_refused() -> None:
    with pytest.raises(ConversionError, match="Take the number format int8"):
        convert_keras(build_cached("mlp"), inference_type="int8")


def test_outputs_of_strings_are_no_numbers() -> None:
    """Text passed through beside what is computed, and nothing but text."""

    class Reader(tf.Module):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.first, self.last = (
                tf.Variable(rng.normal(size=(8, n)).astype(np.float32)) for n in (8, 3)
            )

        @tf.function(
            input_signature=[tf.TensorSpec([1], tf.string), tf.TensorSpec([1, 8])]
        )
        def read(self, text: tf.Tensor, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"text": text, "y": tf.nn.relu(x @ self.first) @ self.last}

    reader = Reader()
    function = reader.read.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], reader)
    protected = lock_tflite(converter.convert())
    assert protected.tensors_protected


def test_a_detector_that_finds_nothing_is_locked() -> None:
    """Its answers to noise are empty, which is no NaN."""

    class Detector(tf.Module):
        def __init__(self) -> None:
            self.filter = tf.Variable(np.eye(8, dtype=np.float32))

        @tf.function(input_signature=[tf.TensorSpec([1, 8])])
        def find(self, x: tf.Tensor) -> tf.Tensor:
            scores = tf.reshape(x @ self.filter, [8])
            return tf.gather(scores, tf.where(scores > 99)[:, 0])

    detector = Detector()
    function = detector.find.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], detector)
    with pytest.warns(UserWarning, match="one answer to every sample"):
        assert lock_tflite(converter.convert()).tensors_protected


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: keras.layers.Dense(4, name="größe"), "got 'größe'. Rename it"),
        (lambda: keras.layers.Activation("threshold"), "missing 2 required positional"),
    ],
)
def test_what_cannot_be_traced_says_why(layer, words: str) -> None:  # type: ignore[no-untyped-def]
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    model.add(layer())
    with pytest.raises(ConversionError, match=words):
        convert_keras(model)


def test_a_layer_that_asks_for_an_open_size_is_told_of() -> None:
    larger = keras.layers.UpSampling2D(2, interpolation="bilinear")
    layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3), larger]
    with pytest.raises(ConversionError, match="an open size or a value"):
        convert_keras(keras.Sequential(layers))


def test_a_stateful_layer_is_left_in_its_state() -> None:
    """Keras is asked for the samples' answers, and each call moves what it keeps."""
    layer = keras.layers.LSTM(3, stateful=True)
    inputs = keras.Input((5, 4), batch_size=1)
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
    x = np.random.default_rng(0).normal(size=(4, 5, 4)).astype(np.float32)
    model(x[:1])
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in layer.states]
    protected = convert_keras(model, samples=x)
    assert protected.keras_difference is not None and np.any(before)
    for values, state in zip(before, layer.states, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(state), values)


def test_answers_that_are_no_numbers_are_said_to_be_none() -> None:
    """Of a vector of zeros TFLite makes NaN, Keras zeros."""
    layers = [keras.layers.ReLU(), keras.layers.UnitNormalization()]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
    samples = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], np.float32)
    with pytest.raises(VerificationError, match="got NaN, infinity or another shape"):
        convert_keras(model, samples=samples)


def test_a_model_that_xnnpack_refuses_is_run_and_drawn_by_chance() -> None:
    """In int8 units that never fire have a scale that is next to nothing."""
    x = np.random.default_rng(0).random((100, 8)).astype(np.float32)
    image = keras.Input((8,))
    never = keras.layers.Dense(
        2, "relu", kernel_initializer=keras.initializers.Constant(-1)
    )(image)
    gate = keras.layers.Dense(8, "sigmoid")(never)
    head = keras.layers.Dense(4, "softmax")(keras.layers.Multiply()([image, gate]))
    model = keras.Model(image, head)
    protected = convert_keras(model, number_format="int8", samples=x)
    with pytest.raises(InterpreterError):
        call_runtime(make_interpreter(protected.authorized).allocate_tensors)
    assert isinstance(protected.agreement, Agreement)
