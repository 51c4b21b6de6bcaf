"""Answers that are no numbers: told apart from agreement."""

import keras
import numpy as np
import pytest

from converters import convert_keras, lock_tflite
from converters.verify import compare_with_keras
from edgepro_tf.errors import ConversionError, VerificationError
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
    class Fixed(keras.layers.Layer):
        def call(self, inputs: object) -> object:
            return keras.ops.convert_to_tensor(np.float32([[1, np.nan, 4]]))

    inputs = keras.Input((1,))
    model = keras.Model(inputs, Fixed()(inputs))
    sample = {model.inputs[0].name: np.zeros((1, 1), np.float32)}
    outputs = [{"y": np.float32([answer])}]
    assert compare_with_keras(model, [sample], outputs) == difference


def test_an_input_type_that_the_format_lacks_is_refused() -> None:
    with pytest.raises(ConversionError, match="Take the number format int8"):
        convert_keras(build_cached("mlp"), inference_type="int8")
