"""Files that cannot be locked say why; those that only noise does not suit are."""

import itertools

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters import convert_keras, lock_tflite, verify
from edgepro_tf import native
from edgepro_tf.errors import ConversionError, EdgeProError, VerificationError
from edgepro_tf.runtime.interpreters import make_interpreter
from tests.crafted import Crafted


def make_custom(name: str, *, has_weights: bool) -> bytes:
    """A custom operator, behind a dense layer or by itself."""
    crafted = Crafted()
    x = source = crafted.add_tensor([1, 8])
    if has_weights:
        x = crafted.add_dense(x, crafted.add_weights(8, 8), 8)
    out = crafted.add_tensor([1, 8])
    crafted.add_operator("CUSTOM", [x], [out], custom=name, custom_options=b"\1" * 64)
    return crafted.finish([source], [out])


def test_a_custom_operator_is_named_and_no_other_runtime_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def make(*args: object, **options: object) -> object:
        asked.append(options["runtime"])
        return make_interpreter(*args, **options)

    monkeypatch.setattr(verify, "make_interpreter", make)
    words = r"none with the custom operator 'Of\.My own'\. A model is verified by runn"
    with pytest.raises(VerificationError, match=words):
        lock_tflite(make_custom("Of.My own", has_weights=True))
    assert len(asked) == 1


def test_a_model_that_no_runtime_here_runs_is_locked_by_its_bytes() -> None:
    content = make_custom("Of.My own", has_weights=True)
    protected = lock_tflite(content, runs=False)
    assert protected.public != content and protected.tensors_protected == 1
    restored = bytearray(protected.public)
    native.restore_buffer(restored, protected.payload)
    assert restored == content
    with pytest.raises(ConversionError, match="no samples for a model that is not run"):
        lock_tflite(content, samples=np.zeros((2, 4), np.float32), runs=False)


@pytest.mark.parametrize("opens", [False, True])
def test_what_only_another_runtime_runs_is_told_of_no_run(opens: bool) -> None:
    """A bias that names its filter's axis, as an older converter wrote it, is refused
    on opening; a layer of fewer inputs than its filter has, on preparing to run.
    """
    crafted = Crafted()
    bias = crafted.add_tensor([8], np.zeros(8, np.int32), scales=np.full(8, 0.01))
    if not opens:
        quantization = crafted.model.subgraphs[0].tensors[bias].quantization
        quantization.quantizedDimension = 3
    source = crafted.add_tensor([1, 7])
    out = crafted.add_dense(source, crafted.add_weights(8, 8), 8, bias)
    content = crafted.finish([source], [out])
    words = r"(?s)\. Where only the device's runtime runs a model, --no_run, in Python "
    with pytest.raises(EdgeProError, match=words):
        lock_tflite(content)
    assert lock_tflite(content, runs=False).bytes_left == 0


def test_operators_of_tensorflow_itself_are_told_of_no_run() -> None:
    content = make_custom("FlexErf", has_weights=True)
    words = r"TensorFlow's own operators \(Select TF\).* or pass --no_run"
    with pytest.raises(VerificationError, match=words):
        lock_tflite(content)
    assert lock_tflite(content, runs=False).tensors_protected == 1


def test_weights_in_another_file_are_refused() -> None:
    """LiteRT has tensors whose data a file beside the model holds."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    hidden = crafted.add_dense(source, crafted.add_weights(8, 8), 8)
    outside = crafted.add_tensor([8, 8])
    crafted.model.subgraphs[0].tensors[outside].externalBuffer = 1
    content = crafted.finish([source], [crafted.add_dense(hidden, outside, 8)])
    with pytest.raises(ConversionError, match="got those of 't3' in another file"):
        lock_tflite(content, runs=False)


def test_what_is_compiled_into_a_custom_operator_is_named() -> None:
    words = r"none that.* Weights of custom operators \('ethos-u'\) cannot be locked"
    with pytest.raises(ConversionError, match=words):
        lock_tflite(make_custom("ethos-u", has_weights=False))
    crafted = Crafted()
    tensors = [crafted.add_tensor([1, 8]) for _ in range(61)]
    for number, (given, made) in enumerate(itertools.pairwise(tensors)):
        crafted.add_operator("CUSTOM", [given], [made], custom=f"Renamed{number:02}")
    words = r"'Renamed00', .* 'Renamed1\d', \.\.\.\) cannot be locked"
    with pytest.raises(ConversionError, match=words):  # By a tool that hides layers.
        lock_tflite(crafted.finish(tensors[:1], tensors[-1:]))


def make_lookup(count: int) -> bytes:
    """Floats that are cast to indices of a table."""
    crafted = Crafted()
    source = crafted.add_tensor([1, 64])
    indices = crafted.add_tensor([1, 64], type_=schema.TensorType.INT32)
    rows = crafted.add_tensor([1, 64, 4])
    crafted.add_operator(
        "CAST", [source], [indices], outDataType=schema.TensorType.INT32
    )
    table = crafted.add_tensor([count, 4], crafted.draw(count, 4))
    crafted.add_operator("GATHER", [table, indices], [rows])
    return crafted.finish([source], [rows])


@pytest.mark.parametrize("count", [9, 2])
def test_floats_that_are_indices_are_found(count: int) -> None:
    assert lock_tflite(make_lookup(count)).tensors_protected == 1


def test_samples_of_another_signature_are_told_the_first() -> None:
    crafted = Crafted()
    source = crafted.add_tensor([1, 8])
    out = crafted.add_dense(source, crafted.add_weights(8, 8), 8)
    crafted.model.signatureDefs = []
    for key, name in (("decode", "code"), ("encode", "sound")):
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.inputs, signature.outputs = key, [], []
        for into, n, i in (
            (signature.inputs, name, source),
            (signature.outputs, "y", out),
        ):
            into.append(schema.TensorMapT())
            into[0].name, into[0].tensorIndex = n, i
        crafted.model.signatureDefs.append(signature)
    content = crafted.finish([source], [out])
    x = np.zeros((4, 8), np.float32)
    assert lock_tflite(content, samples={"code": x + np.arange(8)}).tensors_protected
    words = "none for code. Samples are for the file's first signature, 'decode'; oth"
    with pytest.raises(ConversionError, match=words):
        lock_tflite(content, samples={"sound": x})


def test_what_is_no_keras_model_is_refused() -> None:
    for other in ("model.keras", keras.Model):
        with pytest.raises(ConversionError, match=r"a Keras model, got (str|type)"):
            convert_keras(other)  # type: ignore[arg-type]


def test_an_svdf_of_tflite_micro_ends_no_process() -> None:
    """TFLite's own kernel writes past the end of a state in int8."""
    crafted, integer = Crafted(), {"type_": 9, "scales": [0.1]}
    source, out = (crafted.add_tensor([1, n], **integer) for n in (16, 8))
    filters = [
        crafted.add_tensor(
            [8, n],
            crafted.rng.integers(-127, 128, (8, n)).astype(np.int8),
            scales=[0.1],
        )
        for n in (16, 4)
    ]
    bias = crafted.add_tensor([8], np.arange(8, dtype=np.int32), scales=[0.01])
    state = crafted.add_tensor([1, 32], **integer)
    crafted.model.subgraphs[0].tensors[state].isVariable = True
    crafted.add_operator("SVDF", [source, *filters, bias, state], [out], version=3)
    content = crafted.finish([source], [out])
    with pytest.raises(ConversionError, match=r"TFLite Micro.*--no_run"):
        lock_tflite(content)
    assert lock_tflite(content, runs=False).tensors_protected == 3
