"""The public file has the structure of the stock conversion: it tells nothing."""

import io
import re
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from converters import convert_keras, lock_tflite
from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.flatbuffer.schema import read_model
from edgepro_tf.locking import LockConfig, lock_model
from edgepro_tf.runtime.interpreters import make_interpreter
from tests.converters.test_odd_files import converter_of, lock_exactly
from tests.crafted import pack, schema, unpack
from tests.flatbuffers import (
    FORMATS,
    build_cached,
    export_cached,
    representative,
)
from tests.models import EVERY_PART


def structure_of(model: bytes) -> object:
    """What a thief reads without looking at a weight's value.

    Not the names: the stock converter counts a process's exports in them, picks one
    of several for a fused tensor, and orders tensors by name, so that two stock
    conversions of one model differ. ``words_of`` looks at names.
    """
    interpreter = make_interpreter(model)
    details = interpreter.get_tensor_details()
    tensors = sorted(
        (tuple(map(int, d["shape"])), d["dtype"].__name__) for d in details
    )
    view = read_model(model)
    operands = [
        [(o.role, o.view, o.constant.element_type) for o in operator.operands]
        for operator in view.operators
    ]
    signatures = interpreter.get_signature_list()
    file = unpack(model)
    metadata = [
        (entry.name, len(file.buffers[entry.buffer].data)) for entry in file.metadata
    ]
    buffers = len(file.buffers), file.description, metadata
    return tensors, operands, view.operator_kinds, signatures, buffers


def words_of(model: bytes) -> set[str]:
    details = make_interpreter(model).get_tensor_details()
    return set(re.split(r"[/;:]|_?\d+", ";".join(d["name"] for d in details)))


@pytest.mark.parametrize(
    ("name", "config", "number_format"),
    [
        ("mobile", EVERY_PART, "float32"),
        ("residual", "default", "float32"),
        ("mlp", EVERY_PART, "float32"),
        ("mlp", "default", "dynamic"),
        ("mobile", "default", "int8"),
        ("residual", EVERY_PART, "int16x8"),
    ],
)
def test_lock_trained_looks_like_its_unprotected_twin(
    name: str, config: str | LockConfig, number_format: str
) -> None:
    model = build_cached(name)
    rows = representative(model)
    public = convert_keras(
        lock_model(model, config=config, seed=3),
        number_format=number_format,
        representative_dataset=lambda: iter(rows),
    ).public
    twin = export_cached(name, number_format)
    assert structure_of(public) == structure_of(twin)
    # A fused normalisation is called after any of its own three operations.
    assert words_of(public) <= words_of(twin) | {"mul", "add", "sub"}


@pytest.mark.parametrize("is_chain", [False, True])
def test_an_input_that_nobody_named_has_its_twins_name(is_chain: bool) -> None:
    """Keras numbers such tensors; a copy's would be called as its layer is."""
    inputs = keras.Input((8,))
    hidden = [keras.layers.Dense(6, "relu"), keras.layers.Dense(4, "softmax")]
    model = keras.Sequential([inputs, *hidden])
    if not is_chain:
        model = keras.Model(inputs, hidden[1](hidden[0](inputs)))
    public = convert_keras(lock_model(model, seed=3)).public
    twin = export_keras(model, ExportOptions())
    assert inputs_of(public) == inputs_of(twin)


def inputs_of(model: bytes) -> list[str]:
    return list(make_interpreter(model).get_signature_runner().get_input_details())


@pytest.mark.parametrize("number_format", FORMATS)
def test_locked_file_looks_like_the_original(number_format: str) -> None:
    original = export_cached("mobile", number_format)
    public = lock_tflite(original).public
    assert len(public) == len(original)
    assert structure_of(public) == structure_of(original)
    # Names, metadata, the order of buffers: all but the locked constants is the same.
    before, after = bytearray(original), bytearray(public)
    for operator in read_model(original).operators:
        for constant in (operand.constant for operand in operator.operands):
            for offset, size in filter(None, (constant.data, constant.scales)):
                before[offset : offset + size] = after[offset : offset + size]
    assert before == after


def test_metadata_stays_where_tools_look_for_it() -> None:
    """The Task Library reads a buffer by name, and a zip archive behind the model."""
    model = unpack(export_cached("mobile"))
    content = schema.BufferT()
    content.data = np.frombuffer(b"labels, mean and deviation" * 9, np.uint8)
    model.buffers.append(content)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    file = io.BytesIO(pack(model))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    public = lock_tflite(file.getvalue()).public
    (found,) = [m for m in unpack(public).metadata if m.name == b"TFLITE_METADATA"]
    data = unpack(public).buffers[found.buffer].data
    assert bytes(bytearray(data)) == b"labels, mean and deviation" * 9
    with zipfile.ZipFile(io.BytesIO(public)) as archive:
        assert archive.read("labels.txt") == b"cat\ndog\n"


def test_scales_of_sparse_filters_are_told_in_no_order() -> None:
    """The operator that fills in the zeros names them again."""
    rng = np.random.default_rng(0)
    filters = rng.normal(size=(2, 3, 3, 16, 16)).astype(np.float32)
    filters *= rng.random(filters.shape) < 0.1

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 16], tf.float32)])
    def network(x: tf.Tensor) -> tf.Tensor:
        for each in filters:
            x = tf.nn.relu(tf.nn.conv2d(x, each, 1, "SAME"))
        return x

    optimize = tf.lite.Optimize
    converter = converter_of(network)
    converter.optimizations = [optimize.DEFAULT, optimize.EXPERIMENTAL_SPARSITY]
    inputs = rng.normal(size=(5, 1, 8, 8, 16)).astype(np.float32)
    converter.representative_dataset = lambda: [[each] for each in inputs]
    original = bytes(converter.convert())
    protected = lock_exactly(original)
    scales = [
        each.quantization.scale
        for each in unpack(original).subgraphs[0].tensors
        if each.quantization is not None and np.size(each.quantization.scale) > 1
    ]
    assert len(scales) >= 4
    assert all(each.tobytes() not in protected.public for each in scales)
