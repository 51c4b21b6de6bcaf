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

from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.number_formats import (
    ELEMENT_TYPES,
    find_ceiling,
    name_unread,
    packed_in_byte,
    read_elements,
    read_quantization,
)
from edgepro_tf.flatbuffer.roles import (
    COMPUTES_SHAPE,
    KEEPS_CHANNELS,
    LINEAR,
    PASSES_CONSTANTS,
    READS_SHAPE,
    find_operands,
)
from edgepro_tf.flatbuffer.views import (
    Constant,
    Graph,
    GraphNode,
    ModelView,
    Operand,
    Role,
    WeightedOperator,
)
from edgepro_tf.locks import ElementType

_SCHEMAS = (
    "ai_edge_litert.schema_py_generated",
    "tensorflow.lite.python.schema_py_generated",
)
_UNSEEN = b"VALIDATION:"  # Subgraphs that runtimes show no delegate.
_SHAPE_TYPES = (ElementType.INT32, ElementType.INT64)
_DAMAGE = (IndexError, ValueError, TypeError, AttributeError, OverflowError)


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
            "Pass the .tflite file that the converter wrote; a Keras model is for "
            "'edgepro convert'.",
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
    except (*_DAMAGE, struct.error) as error:
        raise ConversionError(
            "cannot read model: its flatbuffer is damaged.",
            "Convert or transfer the file again.",
        ) from error
    return ModelView(
        tuple(operators),
        tuple(kinds),
        frozenset(reader.structural),
        sum(reader.constants.values()),
        tuple(sorted(reader.custom)),
    )


def read_graph(tflite: bytes | bytearray) -> Graph:
    """Read operators, options and constants of a file's first subgraph.

    Raises:
        ConversionError: the bytes are no TFLite flatbuffer.
    """
    read_model(tflite)  # Says no in our words.
    schema = _schema_module()
    model = schema.Model.GetRootAs(tflite, 0)
    reader = _Reader(schema, model, tflite)
    tree = schema.ModelT.InitFromPackedBuf(bytes(tflite), 0)
    graph = tree.subgraphs[0]
    shapes = tuple(
        tuple(_ints(t.shape)) if t.shape is not None else () for t in graph.tensors
    )
    constants, quantizations, unread, packed = {}, {}, {}, {}
    buffers = [tensor.buffer for tensor in graph.tensors]
    for index, tensor in enumerate(graph.tensors):
        constant = reader.constant(0, model.Subgraphs(0), index)
        if constant is None:
            continue
        buffers[index] = constant.buffer
        if name := name_unread(tensor):
            unread[index] = name
            continue
        quantization, in_byte = read_quantization(tensor), packed_in_byte(tensor.type)
        is_raw = constant.element_type is ElementType.UINT8 and in_byte == 1
        values = read_elements(constant, tflite, tensor.type, shapes[index])
        if values is None or (is_raw and quantization is None):
            continue
        constants[index] = values
        if quantization is not None and not constant.element_type.is_float:
            quantizations[index] = quantization
        if in_byte > 1:
            packed[index] = in_byte
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
        quantizations,
        tuple(buffers),
        unread,
        packed,
        {
            index: ceiling
            for index, tensor in enumerate(graph.tensors)
            if (ceiling := find_ceiling(tensor)) is not None
        },
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
    """Reads one subgraph after the other.

    Attributes:
        constants: bytes of each constant, by its buffer.
        structural: buffers that are read as something else than weights.
        custom: names of the custom operators.
    """

    def __init__(self, schema: ModuleType, model: Any, data: bytes | bytearray):
        self.constants: dict[int, int] = {}
        self.structural: set[int] = set()
        self.custom: set[str] = set()
        self._model = model
        self._size = len(data)
        self._base = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
        self._buffer_at: dict[int, int] = {}
        builtin = schema.BuiltinOperator
        self._names = {
            value: name for name, value in vars(builtin).items() if name.isupper()
        }

    def subgraph(self, index: int) -> tuple[tuple[str, ...], list[WeightedOperator]]:
        graph = self._model.Subgraphs(index)
        if (graph.Name() or b"").startswith(_UNSEEN):
            return (), []
        operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
        names = tuple(self.kind_of(operator.OpcodeIndex()) for operator in operators)
        inputs = [_ints(operator.InputsAsNumpy()) for operator in operators]
        outputs = [_ints(operator.OutputsAsNumpy()) for operator in operators]
        weighted = self._weighted(index, graph, names, inputs, outputs)
        linear = {position for position in weighted if names[position] in LINEAR}
        first = _reached(_ints(graph.InputsAsNumpy()), inputs, outputs, linear)
        head = _reached(
            _ints(graph.OutputsAsNumpy()), outputs[::-1], inputs[::-1],
            {len(names) - 1 - position for position in linear},
        )  # fmt: skip
        aliases: dict[int, int] = {}
        for name, ins, outs in zip(names, inputs, outputs, strict=True):
            if name in KEEPS_CHANNELS:
                aliases[outs[0]] = aliases.get(ins[0], ins[0])
        return names, [
            WeightedOperator(
                index,
                position,
                names[position],
                operands,
                tuple(aliases.get(tensor, tensor) for tensor in inputs[position]),
                tuple(outputs[position]),
                position in linear,
                position in first,
                len(names) - 1 - position in head,
                _input_scale(graph, inputs[position], operands),
            )
            for position, operands in weighted.items()
        ]

    def kind_of(self, opcode_index: int) -> str:
        code = self._model.OperatorCodes(opcode_index)
        custom = (code.CustomCode() or b"").decode("utf-8", "replace")
        if custom in LINEAR:
            return custom
        value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name: str = self._names.get(value, f"BUILTIN_{value}")
        if name == "CUSTOM":
            self.custom.add((code.CustomCode() or b"").decode("utf-8", "replace"))
        return name

    def _weighted(
        self,
        subgraph: int,
        graph: Any,
        names: tuple[str, ...],
        inputs: list[list[int]],
        outputs: list[list[int]],
    ) -> dict[int, tuple[Operand, ...]]:
        """Operators with weights, by position; what else they read is structural."""
        tensors = [
            self.constant(subgraph, graph, index)
            for index in range(graph.TensorsLength())
        ]
        _check_fed(_ints(graph.InputsAsNumpy()), tensors)
        passed: dict[int, int] = {}
        shapes: set[int] = set()
        weighted = {}
        for position, (name, ins, outs) in enumerate(
            zip(names, inputs, outputs, strict=True)
        ):
            if name in PASSES_CONSTANTS:
                passed[outs[0]] = passed.get(ins[0], ins[0])
                continue
            sources = [passed.get(tensor, tensor) for tensor in ins]
            read = {tensor for tensor in sources if tensor >= 0}
            constants = {t: found for t in read if (found := tensors[t]) is not None}
            given = read - constants.keys()
            operands = tuple(_operands(name, sources, tensors))
            if name in READS_SHAPE or (
                name in COMPUTES_SHAPE and given and given <= shapes
            ):
                shapes.update(outs)
                operands = ()
            if operands:
                weighted[position] = operands
            taken = {operand.constant.tensor for operand in operands}
            self.structural.update(
                constants[tensor].buffer for tensor in constants.keys() - taken
            )
        return weighted

    def constant(self, subgraph: int, graph: Any, index: int) -> Constant | None:
        tensor = graph.Tensors(index)
        data = self._find_data(tensor.Buffer())
        if data[1] == 0 or tensor.IsVariable():
            return None
        buffer = self._buffer_at.setdefault(data[0], tensor.Buffer())
        self.constants[buffer] = data[1]
        element_type = ELEMENT_TYPES.get(tensor.Type())
        if element_type is None:
            self.structural.add(buffer)
            return None
        shape = tuple(_ints(tensor.ShapeAsNumpy())) if tensor.ShapeLength() else ()
        count, rest = divmod(data[1], element_type.dtype.itemsize)
        if element_type is ElementType.UINT8 or tensor.Sparsity() is not None:
            shape = (count,)
        if rest or count != int(np.prod(shape)):
            return None
        quantization = tensor.Quantization()
        scales, zero_point, ranges = None, 0, []
        if quantization is not None and quantization.ScaleLength():
            scales = self._span(quantization.ScaleAsNumpy())
            if quantization.ZeroPointLength() == 1:
                zero_point = int(quantization.ZeroPoint(0))
            for values in (quantization.MinAsNumpy(), quantization.MaxAsNumpy()):
                if np.size(values) > 1:
                    ranges.append(self._span(values))
        name = (tensor.Name() or b"").decode("utf-8", "replace")
        return Constant(
            subgraph, index, buffer, name, element_type, shape, data, scales,
            zero_point, tuple(ranges),
        )  # fmt: skip

    def _find_data(self, index: int) -> tuple[int, int]:
        """(byte offset, byte count) of a buffer; (0, 0) for none."""
        if self._model.BuffersLength() == 0:
            return 0, 0  # Runtimes open such a file.
        if index >= self._model.BuffersLength():
            raise ValueError("a buffer that the file does not have")
        buffer = self._model.Buffers(index)
        if buffer.DataLength():
            return self._span(buffer.DataAsNumpy())
        # Files beyond 2 GB keep constants behind the flatbuffer.
        offset, size = buffer.Offset(), buffer.Size()
        if offset <= 1 or size == 0:
            return 0, 0
        if offset + size > self._size:
            raise ValueError("a buffer reaches beyond the file")
        return offset, size

    def _span(self, view: np.ndarray) -> tuple[int, int]:
        return view.__array_interface__["data"][0] - self._base, view.nbytes


def _check_fed(inputs: list[int], tensors: list[Constant | None]) -> None:
    """A runtime writes what it is fed into such a constant, and so into the file."""
    for tensor in inputs:
        constant = tensors[tensor]
        if constant is not None:
            raise ConversionError(
                "cannot lock model: expected inputs that the app feeds, got input "
                f"{constant.name!r}, which is a constant.",
                "Take it out of the file's list of inputs.",
            )


def _operands(
    name: str, inputs: list[int], tensors: list[Constant | None]
) -> Iterator[Operand]:
    for position, role, axis in find_operands(name, len(inputs)):
        constant = tensors[inputs[position]] if inputs[position] >= 0 else None
        if constant is None or not constant.shape:
            continue
        if name in LINEAR:
            is_weight = role is Role.BIAS or constant.element_type not in _SHAPE_TYPES
        else:
            # Integers without scales compute shapes.
            is_weight = constant.element_type.is_float or (
                constant.scales is not None
                and constant.element_type not in _SHAPE_TYPES
            )
        if is_weight:
            yield Operand(role, constant, axis % len(constant.shape))


def _input_scale(graph: Any, inputs: list[int], operands: tuple[Operand, ...]) -> float:
    weights = {operand.constant.tensor for operand in operands}
    for index in inputs:
        quantization = graph.Tensors(index).Quantization() if index >= 0 else None
        if quantization is None or quantization.ScaleLength() != 1:
            continue
        if index not in weights:
            return float(quantization.Scale(0))
    return 0.0


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
