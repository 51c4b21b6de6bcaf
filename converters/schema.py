"""Reads a ``.tflite`` flatbuffer. The only file that touches the TFLite schema.

Nothing here writes: locking overwrites constants in place, so that the public file
keeps the very structure the stock converter gave it.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from converters.views import (
    Constant,
    Graph,
    GraphNode,
    ModelView,
    Operand,
    Role,
    WeightedOperator,
)
from edgepro_tf.errors import ConversionError
from edgepro_tf.locks import ElementType

_SCHEMAS = (
    "ai_edge_litert.schema_py_generated",
    "tensorflow.lite.python.schema_py_generated",
)
# TensorType of the schema -> element type of a lock. Others cannot be locked.
_ELEMENT_TYPES = {
    0: ElementType.FLOAT32,
    1: ElementType.FLOAT16,
    2: ElementType.INT32,
    4: ElementType.INT64,
    7: ElementType.INT16,
    9: ElementType.INT8,
}


# builtin operator -> (operand position, role, channel axis; negative from the end).
_FILTER_AND_BIAS = {
    "CONV_2D": ((1, Role.FILTER, 0), (2, Role.BIAS, 0)),
    "DEPTHWISE_CONV_2D": ((1, Role.FILTER, -1), (2, Role.BIAS, 0)),
    "FULLY_CONNECTED": ((1, Role.FILTER, 0), (2, Role.BIAS, 0)),
    "TRANSPOSE_CONV": ((1, Role.FILTER, 0), (3, Role.BIAS, 0)),
    "CONV_3D": ((1, Role.FILTER, -1), (2, Role.BIAS, 0)),
    "BATCH_MATMUL": ((0, Role.FILTER, -1), (1, Role.FILTER, -1)),
}
# Recurrent cells: input 0 is the sequence; weights and biases at these positions.
_FILTER_AND_BIAS["UNIDIRECTIONAL_SEQUENCE_LSTM"] = tuple(
    (position, Role.FILTER, 0) for position in range(1, 9)
) + tuple((position, Role.BIAS, 0) for position in range(12, 16))
# Element-wise operators with a constant (unfused batch normalisation, PReLU).
_ELEMENTWISE = {
    "ADD": ((0, Role.BIAS, -1), (1, Role.BIAS, -1)),
    "SUB": ((0, Role.BIAS, -1), (1, Role.BIAS, -1)),
    "MUL": ((0, Role.BIAS, -1), (1, Role.BIAS, -1)),
    "PRELU": ((1, Role.BIAS, -1),),
}
# Integer constants of element-wise operators compute shapes: not weights.
_ELEMENTWISE_TYPES = (
    ElementType.FLOAT32,
    ElementType.FLOAT16,
    ElementType.INT8,
    ElementType.INT16,
)
_PASSES_CONSTANTS = ("DEQUANTIZE",)


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
    if len(tflite) < 8 or tflite[4:8] != b"TFL3":
        raise ConversionError(
            "cannot read model: expected a TFLite flatbuffer (identifier TFL3), got "
            f"{len(tflite):,} other bytes.",
            "Pass the .tflite file that the converter wrote.",
        )
    schema = _schema_module()
    try:
        model = schema.Model.GetRootAs(tflite, 0)
        reader = _Reader(schema, model, tflite)
        kinds, operators = [], []
        for index in range(model.SubgraphsLength()):
            names, found = reader.subgraph(index)
            kinds.append(names)
            operators.extend(found)
        if not kinds:
            raise ValueError("no subgraph")
    except (
        IndexError,
        ValueError,
        TypeError,
        AttributeError,
        struct.error,
        OverflowError,
    ) as error:
        raise ConversionError(
            "cannot read model: its flatbuffer is damaged.",
            "Convert or transfer the file again.",
        ) from error
    return ModelView(tuple(operators), tuple(kinds), len(tflite))


def read_graph(tflite: bytes | bytearray) -> Graph:
    """Read operators, options and constants of a file's first subgraph.

    Raises:
        ConversionError: the bytes are no TFLite flatbuffer.
    """
    read_model(tflite)  # Says no in our words.
    schema = _schema_module()
    reader = _Reader(schema, schema.Model.GetRootAs(tflite, 0), tflite)
    tree = schema.ModelT.InitFromPackedBuf(bytes(tflite), 0)
    graph = tree.subgraphs[0]
    shapes = tuple(
        tuple(_ints(t.shape)) if t.shape is not None else () for t in graph.tensors
    )
    constants = {}
    for index, tensor in enumerate(graph.tensors):
        data, element = tree.buffers[tensor.buffer].data, tensor.type
        if data is not None and len(data) and element in _ELEMENT_TYPES:
            values = np.frombuffer(
                np.asarray(data, np.uint8).tobytes(), _ELEMENT_TYPES[element].dtype
            )
            constants[index] = values.reshape(shapes[index])
    return Graph(
        tuple(
            GraphNode(
                reader.kind_of(operator.opcodeIndex),
                tuple(_ints(operator.inputs)),
                tuple(_ints(operator.outputs)),
                vars(operator.builtinOptions) if operator.builtinOptions else {},
            )
            for operator in graph.operators
        ),
        tuple(_ints(graph.inputs)),
        tuple(_ints(graph.outputs)),
        shapes,
        constants,
        tuple(tensor.buffer for tensor in graph.tensors),
    )


def _schema_module() -> ModuleType:
    for name in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ConversionError(
        "cannot read model: expected ai-edge-litert or tensorflow, found neither.",
        'Install one: pip install "edgepro-tf[litert]".',
    )


class _Reader:
    def __init__(self, schema: ModuleType, model: Any, data: bytes | bytearray):
        self._model = model
        self._base = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
        builtin = schema.BuiltinOperator
        self._names = {
            value: name for name, value in vars(builtin).items() if name.isupper()
        }

    def subgraph(self, index: int) -> tuple[tuple[str, ...], list[WeightedOperator]]:
        graph = self._model.Subgraphs(index)
        operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
        names = tuple(self._name(operator) for operator in operators)
        inputs = [_ints(operator.InputsAsNumpy()) for operator in operators]
        outputs = [_ints(operator.OutputsAsNumpy()) for operator in operators]
        passed = {
            out[0]: ins[0]
            for name, ins, out in zip(names, inputs, outputs, strict=True)
            if name in _PASSES_CONSTANTS
        }
        weighted = {}
        for position, name in enumerate(names):
            operands = tuple(
                self._operands(index, graph, name, inputs[position], passed)
            )
            if operands:
                weighted[position] = operands
        linear = {p for p in weighted if names[p] in _FILTER_AND_BIAS}
        first = _reached(_ints(graph.InputsAsNumpy()), inputs, outputs, linear)
        head = _reached(
            _ints(graph.OutputsAsNumpy()), outputs[::-1], inputs[::-1],
            {len(names) - 1 - position for position in linear},
        )  # fmt: skip
        return names, [
            WeightedOperator(
                index,
                position,
                names[position],
                operands,
                tuple(inputs[position]),
                tuple(outputs[position]),
                position in linear,
                position in first,
                len(names) - 1 - position in head,
            )
            for position, operands in weighted.items()
        ]

    def _name(self, operator: Any) -> str:
        return self.kind_of(operator.OpcodeIndex())

    def kind_of(self, opcode_index: int) -> str:
        code = self._model.OperatorCodes(opcode_index)
        value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return self._names.get(value, f"BUILTIN_{value}")

    def _operands(
        self,
        subgraph: int,
        graph: Any,
        name: str,
        inputs: list[int],
        passed: dict[int, int],
    ) -> Iterator[Operand]:
        roles = _FILTER_AND_BIAS.get(name) or _ELEMENTWISE.get(name, ())
        for position, role, axis in roles:
            if position >= len(inputs) or inputs[position] < 0:
                continue
            tensor = passed.get(inputs[position], inputs[position])
            constant = self._constant(subgraph, graph, tensor)
            if constant is None or not constant.shape:
                continue
            if name in _FILTER_AND_BIAS or constant.element_type in _ELEMENTWISE_TYPES:
                yield Operand(role, constant, axis % len(constant.shape))

    def _constant(self, subgraph: int, graph: Any, index: int) -> Constant | None:
        tensor = graph.Tensors(index)
        element_type = _ELEMENT_TYPES.get(tensor.Type())
        buffer = self._model.Buffers(tensor.Buffer())
        if element_type is None or tensor.IsVariable() or tensor.Sparsity():
            return None
        if buffer.DataLength() == 0:
            return None
        quantization = tensor.Quantization()
        scales = None
        if quantization is not None and quantization.ScaleLength():
            scales = self._span(quantization.ScaleAsNumpy())
        shape = tuple(_ints(tensor.ShapeAsNumpy())) if tensor.ShapeLength() else ()
        data = self._span(buffer.DataAsNumpy())
        if data[1] != int(np.prod(shape)) * element_type.dtype.itemsize:
            return None
        return Constant(
            subgraph,
            index,
            tensor.Buffer(),
            (tensor.Name() or b"").decode("utf-8", "replace"),
            element_type,
            shape,
            data,
            scales,
        )

    def _span(self, view: np.ndarray) -> tuple[int, int]:
        return view.__array_interface__["data"][0] - self._base, view.nbytes


def _ints(values: Any) -> list[int]:
    return [int(value) for value in np.atleast_1d(values)]


def _reached(
    seeds: list[int],
    sources: list[list[int]],
    targets: list[list[int]],
    stops: set[int],
) -> set[int]:
    """Steps in `stops` that a walk from `seeds` meets before another stop."""
    live, met = set(seeds), set()
    for step, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if not live.intersection(source):
            continue
        if step in stops:
            met.add(step)
        else:
            live.update(target)
    return met
