"""The stock converter is called as if it were nobody's but the caller's."""

import logging
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from converters import convert_keras
from converters.keras_export import ExportOptions, _first_sentence, export_keras
from edgepro_tf.errors import ConversionError
from edgepro_tf.runtime.interpreters import make_interpreter
from edgepro_tf.runtime.running import input_details, output_details
from tests.edgepro_tf.test_files import limited_file_size
from tests.flatbuffers import build_cached


def test_exports_in_threads_leave_the_process_as_it_was() -> None:
    """Of what each sets and sets back, the last to end kept the others' state."""
    models = [keras.models.clone_model(build_cached("mlp")) for _ in range(4)]
    before = sys.stdout, warnings.filters[:], logging.getLogger("tensorflow").level
    threads = [
        threading.Thread(target=export_keras, args=(model, ExportOptions()))
        for model in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = sys.stdout, warnings.filters[:], logging.getLogger("tensorflow").level
    assert after == before


def test_what_others_say_during_an_export_is_heard(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = build_cached("mlp")

    def generate() -> Iterator[list[np.ndarray]]:
        print("a sample")
        warnings.warn("of somebody else", stacklevel=1)
        yield [np.ones((1, *model.input_shape[1:]), np.float32)]

    with pytest.warns(UserWarning, match="of somebody else"):
        export_keras(model, ExportOptions("int8", generate))
    assert set(capsys.readouterr().out.splitlines()) == {"a sample"}
    assert keras.config.is_interactive_logging_enabled()


def test_no_room_for_temporary_files_is_told() -> None:
    words = rf"{tempfile.gettempdir()}, where it writes .* no room .* in TMPDIR"
    model = build_cached("mlp")
    with limited_file_size(1000), pytest.raises(ConversionError, match=words):
        export_keras(model, ExportOptions())


def test_a_model_that_keras_quantised_is_told_the_way_out() -> None:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    model.quantize("int8")
    with pytest.raises(ConversionError, match=r"refused it: .* before quantize\(\);"):
        convert_keras(model)


@pytest.mark.parametrize("number_format", ["float32", "int8"])
def test_inputs_as_a_dict_convert_under_their_names(number_format: str) -> None:
    """As KerasHub's models take them; the stock converter takes a list alone."""
    words, mask = keras.Input((6,), name="words"), keras.Input((6, 1), name="mask")
    places = keras.layers.Embedding(9, 4)(keras.ops.cast(words, "int32")) * mask
    scores = keras.layers.Dense(3)(keras.ops.mean(places, 1))
    model = keras.Model({"words": words, "mask": mask}, {"scores": scores})
    rng = np.random.default_rng(0)
    samples = {
        "words": rng.integers(0, 9, (16, 6)).astype(np.float32),
        "mask": rng.uniform(size=(16, 6, 1)).astype(np.float32),
    }
    protected = convert_keras(model, samples=samples, number_format=number_format)
    assert protected.keras_difference is not None
    assert protected.keras_difference < (1e-5 if number_format == "float32" else 0.1)
    interpreter = make_interpreter(protected.authorized)
    assert input_details(interpreter).keys() == samples.keys()
    assert output_details(interpreter).keys() == {"scores"}
    assert isinstance(model.input, dict)


@pytest.mark.parametrize("names, expected", [
    (("kind", "deep"), {"kind", "deep_0", "deep_1"}),
    (("deep_0", "deep"), {"output_0", "output_1", "output_2"}),
])  # fmt: skip
def test_nested_outputs_convert(names: tuple[str, str], expected: set[str]) -> None:
    """The stock converter takes one list or dict of them, and not a dict of lists."""
    inputs = keras.Input((8,))
    kind, *deep = (keras.layers.Dense(units)(inputs) for units in (3, 4, 5))
    model = keras.Model(inputs, dict(zip(names, (kind, deep), strict=True)))
    protected = convert_keras(model)
    assert output_details(make_interpreter(protected.authorized)).keys() == expected
    assert protected.keras_difference is not None
    assert protected.keras_difference < 1e-5
    assert isinstance(model.output[names[1]], list)


@pytest.mark.parametrize(
    "layer",
    [keras.layers.LayerNormalization(), keras.layers.Discretization([-1.0, 1.0])],
)
def test_int16x8_of_what_it_lacks_names_other_formats(layer: keras.Layer) -> None:
    inputs = keras.Input((8,))
    outputs = keras.layers.Dense(4)(keras.ops.cast(layer(inputs), "float32"))
    samples = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    with pytest.raises(ConversionError, match="few operators: take int8"):
        convert_keras(
            keras.Model(inputs, outputs), number_format="int16x8", samples=samples
        )


def test_what_autograph_says_is_passed_on() -> None:
    """Its words come after lines of code, which are no reason."""
    text = """in user code:

    File "model.py", line 3, in call  *
        return x + y: z

    ValueError: too wide
    """
    assert _first_sentence(ValueError(text)) == "ValueError: too wide"
