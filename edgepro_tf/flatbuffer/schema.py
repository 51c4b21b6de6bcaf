"""Reads a ``.tflite`` flatbuffer. The only file that imports the TFLite schema.

Nothing here writes: locking overwrites constants in place, so that the public file
keeps the very structure the stock converter gave it.
"""

from __future__ import annotations

import contextlib
import importlib
import struct
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.number_formats import (
    FLOATS,
    find_ceiling,
    find_range,
    name_unread,
    packed_in_byte,
    read_elements,
    read_quantization,
)
from edgepro_tf.flatbuffer.reader import Reader, ints
from edgepro_tf.flatbuffer.views import (
    Constant,
    Graph,
    GraphNode,
    ModelView,
    Quantization,
)
from edgepro_tf.locks import ElementType

_SCHEMAS = (
    "ai_edge_litert.schema_py_generated",
    "tensorflow.lite.python.schema_py_generated",
)
_DAMAGE = (
    IndexError, ValueError, TypeError, AttributeError, OverflowError, struct.error
)  # fmt: skip


@contextlib.contextmanager
def _telling_damage() -> Iterator[None]:
    """Make a ConversionError of what reading a damaged file ends in."""
    try:
        yield
    except _DAMAGE as error:
        raise ConversionError(
            "cannot read model: its flatbuffer is damaged.",
            "Convert or transfer the file again.",
        ) from error


@_telling_damage()
def read_model(tflite: bytes | bytearray) -> ModelView:
    """Find the weighted operators of a file and their constants.

    Args:
        tflite: the whole file.

    Returns:
        Operators in execution order; ``is_first`` where no other linear operator
        stands between a graph input and it, ``is_head`` likewise for outputs.

    Raises:
        ConversionError: the bytes are no TFLite flatbuffer.
    """
    _, view = _read(tflite)
    return view


@_telling_damage()
def read_graph(tflite: bytes | bytearray) -> Graph:
    """Read operators, options and constants of a file's first subgraph.

    Raises:
        ConversionError: the bytes are no TFLite flatbuffer.
    """
    content = bytes(tflite)  # What is read are views of it.
    reader, view = _read(content)
    tree, tensors = reader.unpack(0), reader.tensors_of(0)
    graph = Graph(
        _read_nodes(reader, view, tree),
        tuple(ints(tree.inputs)),
        tuple(ints(tree.outputs)),
        tuple(() if t.shape is None else tuple(ints(t.shape)) for t in tree.tensors),
        constants={},
        quantizations={},
        buffers=tuple(
            tensor.buffer if constant is None else constant.buffer
            for tensor, constant in zip(tree.tensors, tensors, strict=True)
        ),
        ceilings={
            index: ceiling
            for index, tensor in enumerate(tree.tensors)
            if (ceiling := find_ceiling(tensor)) is not None
        },
        codes=_find_codes(reader, tree, tensors),
        ranges={
            index: found
            for index, tensor in enumerate(tree.tensors)
            if tensors[index] is None and (found := find_range(tensor)) is not None
        },
    )
    for index, constant in enumerate(tensors):
        if constant is not None:
            _add_constant(graph, index, tree.tensors[index], constant, content)
    return graph


def _read_nodes(reader: Reader, view: ModelView, tree: Any) -> tuple[GraphNode, ...]:
    first = {one.index for one in view.operators if not one.subgraph and one.is_first}
    head = {one.index for one in view.operators if not one.subgraph and one.is_head}
    return tuple(
        GraphNode(
            reader.kind_of(operator.opcodeIndex),
            tuple(ints(operator.inputs)),
            tuple(ints(operator.outputs)),
            vars(operator.builtinOptions) if operator.builtinOptions else {},
            index in first,
            index in head,
        )
        for index, operator in enumerate(tree.operators)
    )


def _find_codes(
    reader: Reader, tree: Any, tensors: list[Constant | None]
) -> frozenset[int]:
    """Constants of integers that a CAST makes floats of."""
    return frozenset(
        source
        for operator in tree.operators
        if reader.kind_of(operator.opcodeIndex) == "CAST"
        and tree.tensors[operator.outputs[0]].type in FLOATS
        and (constant := tensors[source := int(operator.inputs[0])]) is not None
        and not constant.element_type.is_float
        and constant.scales is None
    )


def _add_constant(
    graph: Graph, index: int, tensor: Any, constant: Constant, content: bytes
) -> None:
    """Enter a constant by its tensor number: its elements, or why they are unread."""
    if name := name_unread(tensor):
        graph.unread[index] = name
        return
    quantization, in_byte = read_quantization(tensor), packed_in_byte(tensor.type)
    is_raw = constant.element_type is ElementType.UINT8 and in_byte == 1
    values = read_elements(constant, content, tensor.type, graph.shapes[index])
    if quantization is None and index in graph.codes:
        quantization = Quantization(np.ones(1, np.float32), zero_point=0, axis=0)
    if values is None or (is_raw and quantization is None):
        return
    graph.constants[index] = values
    if quantization is not None and not constant.element_type.is_float:
        graph.quantizations[index] = quantization
    if in_byte > 1:
        graph.packed[index] = in_byte


def _read(tflite: bytes | bytearray) -> tuple[Reader, ModelView]:
    if len(tflite) < 8 or tflite[4:8] != b"TFL3":
        is_archive = tflite[:4] == b"PK\3\4" or tflite[:8] == b"LITERTLM"
        raise ConversionError(
            "cannot read model: expected a TFLite flatbuffer (identifier TFL3), got "
            f"{'an archive of ' if is_archive else ''}{len(tflite):,}"
            f"{'' if is_archive else ' other'} bytes.",
            "Unpack it and lock the .tflite files in it (MediaPipe's .task and "
            "LiteRT-LM's .litertlm are some); a .keras file is for 'edgepro convert'."
            if is_archive
            else "Pass the .tflite file that the converter wrote; a Keras model is for "
            "'edgepro convert'.",
        )
    reader = Reader(_schema_module(), tflite)
    kinds, operators = [], []
    for index in range(reader.subgraph_count):
        names, found = reader.subgraph(index)
        kinds.append(names)
        operators.extend(found)
    if not kinds:
        raise ValueError("no subgraph")
    return reader, ModelView(
        tuple(operators),
        tuple(kinds),
        frozenset(reader.structural),
        sum(reader.constants.values()) + reader.count_unnamed(),
        tuple(sorted(reader.custom)),
        tuple(reader.repeated_scales),
        reader.is_for_micro,
    )


def _schema_module() -> ModuleType:
    for name in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ConversionError(
        "cannot read model: expected ai-edge-litert or tensorflow, found neither.",
        'Install one: pip install ".[litert]" in EdgePro\'s sources.',
    )
