"""Walks the subgraphs of a ``.tflite``: which operators have weights, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from edgepro_tf.flatbuffer.checks import (
    check_calls,
    check_fed,
    check_inside,
    check_signatures,
    check_tensors,
    is_for_micro,
)
from edgepro_tf.flatbuffer.flow import Call, TensorKind
from edgepro_tf.flatbuffer.number_formats import (
    ANY_BYTE,
    COMPLEX64,
    ELEMENT_TYPES,
    REALS,
    find_blocks,
)
from edgepro_tf.flatbuffer.roles import KEEPS_CHANNELS, LINEAR, RETURN, SELECTED
from edgepro_tf.flatbuffer.views import Constant, Operand, Scales, WeightedOperator
from edgepro_tf.flatbuffer.weights import find_weights
from edgepro_tf.locks import ElementType

_UNSEEN = b"VALIDATION:"  # Subgraphs that runtimes show no delegate.


class Reader:
    """Reads one subgraph after the other.

    Args:
        schema: the generated module.
        data: the whole file.

    Attributes:
        constants: bytes of each constant, by its buffer.
        structural: buffers that are read as something else than weights.
        custom: names of the custom operators.
        repeated_scales, is_for_micro: as in a ``ModelView``.
    """

    def __init__(self, schema: ModuleType, data: bytes | bytearray):
        self.constants: dict[int, int] = {}
        self.structural: set[int] = set()
        self.custom: set[str] = set()
        self.repeated_scales: list[Scales] = []
        self.is_for_micro = False
        self._schema = schema
        self._model = schema.Model.GetRootAs(data, 0)
        check_signatures(self._model)
        self._size = len(data)
        self._base = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
        self._buffer_at: dict[int, int] = {}
        self._tensors: dict[int, list[Constant | None]] = {}
        builtin = schema.BuiltinOperator
        self._names = {
            value: name for name, value in vars(builtin).items() if name.isupper()
        }

    @property
    def subgraph_count(self) -> int:
        return int(self._model.SubgraphsLength())

    def count_unnamed(self) -> int:
        """Bytes of buffers that neither a tensor nor metadata names."""
        graphs = [self._model.Subgraphs(i) for i in range(self.subgraph_count)]
        named = {
            graph.Tensors(i).Buffer()
            for graph in graphs
            for i in range(graph.TensorsLength())
        } | {
            self._model.Metadata(i).Buffer()
            for i in range(self._model.MetadataLength())
        }
        named.update(ints(self._model.MetadataBufferAsNumpy()))  # Of earlier files.
        rest = set(range(self._model.BuffersLength())) - named
        return sum(self._model.Buffers(index).DataLength() for index in rest)

    def unpack(self, subgraph: int) -> Any:
        """A ``SubGraphT``: tensors, and operators with their options."""
        return self._schema.SubGraphT.InitFromObj(self._model.Subgraphs(subgraph))

    def subgraph(self, index: int) -> tuple[tuple[str, ...], list[WeightedOperator]]:
        """Names of all operators, and those with weights."""
        graph = self._model.Subgraphs(index)
        if (graph.Name() or b"").startswith(_UNSEEN):
            return (), []
        fed, answers = ints(graph.InputsAsNumpy()), ints(graph.OutputsAsNumpy())
        calls = list(self._calls_of(graph))
        unread = self._find_unread(graph, [*calls, Call(RETURN, answers, [])])
        calls.append(Call(RETURN, answers + unread, []))
        check_calls(graph.TensorsLength(), fed, calls)
        tensors = self.tensors_of(index)
        check_tensors(self._schema, graph, tensors)
        check_fed(fed, tensors)
        kinds = [_kind_of(graph.Tensors(i)) for i in range(graph.TensorsLength())]
        self.is_for_micro |= is_for_micro(calls, kinds)
        weighted, structural = find_weights(calls, tensors, kinds)
        self.structural |= structural
        self.repeated_scales.extend(self._repeated_scales(index, graph))
        linear = {position for position in weighted if calls[position].name in LINEAR}
        forwards = [(i, call.inputs, call.outputs) for i, call in enumerate(calls)]
        first = _reached(fed, forwards, linear)
        backwards = [(i, outs, ins) for i, ins, outs in reversed(forwards)]
        head = _reached(answers, backwards, linear)
        aliases: dict[int, int] = {}
        for name, ins, outs in calls:
            if name in KEEPS_CHANNELS:
                aliases[outs[0]] = aliases.get(ins[0], ins[0])
        return tuple(call.name for call in calls[:-1]), [
            WeightedOperator(
                index,
                position,
                calls[position].name,
                operands,
                tuple(aliases.get(each, each) for each in calls[position].inputs),
                tuple(calls[position].outputs),
                position in linear,
                position in first,
                position in head,
                _input_scale(graph, calls[position].inputs, operands),
            )
            for position, operands in weighted.items()
        ]

    def _calls_of(self, graph: Any) -> Iterator[Call]:
        for operator in map(graph.Operators, range(graph.OperatorsLength())):
            yield Call(
                self.kind_of(operator.OpcodeIndex()),
                ints(operator.InputsAsNumpy()),
                ints(operator.OutputsAsNumpy()),
            )

    def _find_unread(self, graph: Any, calls: Sequence[Call]) -> list[int]:
        """Tensors that no operator reads, nor another tensor's blocks.

        Earlier stock converters left a recurrent layer's bias there: its loop has one.
        """
        read = {tensor for call in calls for tensor in call.inputs}
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            if (blocks := find_blocks(self._schema, tensor)) is not None:
                read.update((blocks.Scales(), blocks.ZeroPoints()))
        return [index for index in range(graph.TensorsLength()) if index not in read]

    def kind_of(self, opcode_index: int) -> str:
        """An operator's name in the schema, or a custom one's that is known."""
        code = self._model.OperatorCodes(opcode_index)
        custom = (code.CustomCode() or b"").decode("utf-8", "replace")
        if custom in LINEAR:
            return custom
        value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name: str = self._names.get(value, f"BUILTIN_{value}")
        if name == "CUSTOM":
            self.custom.add(custom)
            return custom if custom.startswith(SELECTED) else name
        return name

    def _repeated_scales(self, subgraph: int, graph: Any) -> Iterator[Scales]:
        """A DENSIFY gives its filter's scales again, channel by channel."""
        for index, constant in enumerate(self.tensors_of(subgraph)):
            tensor = graph.Tensors(index)
            if constant is None and _scale_count(tensor) > 1:
                span = self._span(tensor.Quantization().ScaleAsNumpy())
                yield Scales(subgraph, index, span)

    def tensors_of(self, subgraph: int) -> list[Constant | None]:
        """By tensor number; None for those that are no constant, or no numbers."""
        if subgraph not in self._tensors:
            graph = self._model.Subgraphs(subgraph)
            self._tensors[subgraph] = [
                self._constant(subgraph, graph, index)
                for index in range(graph.TensorsLength())
            ]
        return self._tensors[subgraph]

    def _constant(self, subgraph: int, graph: Any, index: int) -> Constant | None:
        tensor = graph.Tensors(index)
        check_inside(tensor)
        data = self._find_data(tensor.Buffer())
        if data[1] == 0 or tensor.IsVariable():
            return None
        buffer = self._buffer_at.setdefault(data[0], tensor.Buffer())
        self.constants[buffer] = data[1]
        element_type = ELEMENT_TYPES.get(tensor.Type())
        if element_type is None:
            self.structural.add(buffer)
            return None
        shape = tuple(ints(tensor.ShapeAsNumpy())) if tensor.ShapeLength() else ()
        if min(shape, default=1) < 1:
            raise ValueError("a constant of no elements that has some")
        count, rest = divmod(data[1], element_type.dtype.itemsize)
        is_flat = element_type is ElementType.UINT8 or tensor.Type() == COMPLEX64
        is_sparse = tensor.Sparsity() is not None
        if is_flat or is_sparse:
            shape = (count,)
        if rest or count != int(np.prod(shape)):
            return None
        scales, zero_point, ranges = None, 0, []
        if _scale_count(tensor):
            quantization = tensor.Quantization()
            scales = self._span(quantization.ScaleAsNumpy())
            if quantization.ZeroPointLength() == 1:
                zero_point = int(quantization.ZeroPoint(0))
            for values in (quantization.MinAsNumpy(), quantization.MaxAsNumpy()):
                if np.size(values) > 1:
                    ranges.append(self._span(values))
        name = (tensor.Name() or b"").decode("utf-8", "replace")
        return Constant(
            subgraph, index, buffer, name, element_type, shape, data, scales,
            zero_point, tuple(ranges), tensor.Type() in ANY_BYTE,
            tensor.Type() in REALS, is_sparse=is_sparse,
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


def _kind_of(tensor: Any) -> TensorKind:
    is_real = tensor.Type() in REALS or _scale_count(tensor) > 0
    width = tensor.Shape(tensor.ShapeLength() - 1) if tensor.ShapeLength() else 1
    return TensorKind(tensor.Type(), is_real, width)


def _scale_count(tensor: Any) -> int:
    quantization = tensor.Quantization()
    return 0 if quantization is None else int(quantization.ScaleLength())


def _input_scale(
    graph: Any, inputs: Sequence[int], operands: tuple[Operand, ...]
) -> float:
    weights = {operand.constant.tensor for operand in operands}
    for index in inputs:
        if index < 0 or index in weights:
            continue
        tensor = graph.Tensors(index)
        if _scale_count(tensor) == 1:
            return float(tensor.Quantization().Scale(0))
    return 0.0


def ints(values: Any) -> list[int]:
    """Of a vector; an absent one, for which flatbuffers gives 0 or None, is empty."""
    is_absent = values is None or np.isscalar(values)
    return [] if is_absent else [int(value) for value in values]


def _reached(
    seeds: list[int],
    steps: Iterable[tuple[int, Sequence[int], Sequence[int]]],
    stops: set[int],
) -> set[int]:
    """Steps in `stops` that a walk from `seeds` meets before another stop."""
    live, met = set(seeds), set()
    for step, source, target in steps:
        if not live.intersection(source):
            continue
        if step in stops:
            met.add(step)
        else:
            live.update(target)
    return met
