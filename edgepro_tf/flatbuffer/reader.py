"""Walks the subgraphs of a ``.tflite``: which operators have weights, and where."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.flow import (
    Flow,
    TensorKind,
    as_used,
    find_counted,
    find_uses,
)
from edgepro_tf.flatbuffer.number_formats import (
    ANY_BYTE,
    COMPLEX64,
    ELEMENT_TYPES,
    FLOATS,
    REALS,
)
from edgepro_tf.flatbuffer.roles import (
    COMPUTES_SHAPE,
    KEEPS_CHANNELS,
    LINEAR,
    MAKES_REAL,
    MOVES_ELEMENTS,
    PASSES_CONSTANTS,
    READS_SHAPE,
    RETURN,
    SELECTED,
    find_operands,
    is_listed,
)
from edgepro_tf.flatbuffer.views import (
    Constant,
    Operand,
    Role,
    Scales,
    WeightedOperator,
)
from edgepro_tf.locks import ElementType

_UNSEEN = b"VALIDATION:"  # Subgraphs that runtimes show no delegate.
_SHAPE_TYPES = (ElementType.INT32, ElementType.INT64)
_MOST_AXES = 8  # Of a tensor: no shape has more numbers.


class Reader:
    """Reads one subgraph after the other.

    Args:
        schema: the generated module.
        data: the whole file.

    Attributes:
        constants: bytes of each constant, by its buffer.
        structural: buffers that are read as something else than weights.
        custom: names of the custom operators.
        repeated_scales: as in a ``ModelView``.
    """

    def __init__(self, schema: ModuleType, data: bytes | bytearray):
        self.constants: dict[int, int] = {}
        self.structural: set[int] = set()
        self.custom: set[str] = set()
        self.repeated_scales: list[Scales] = []
        self._schema = schema
        self._model = schema.Model.GetRootAs(data, 0)
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
        operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
        names = [self.kind_of(operator.OpcodeIndex()) for operator in operators]
        inputs = [ints(operator.InputsAsNumpy()) for operator in operators]
        outputs = [ints(operator.OutputsAsNumpy()) for operator in operators]
        names.append(RETURN)
        inputs.append(ints(graph.OutputsAsNumpy()))
        outputs.append([])
        weighted = self._weighted(index, graph, names, inputs, outputs)
        self.repeated_scales.extend(self._repeated_scales(index, graph))
        linear = {position for position in weighted if names[position] in LINEAR}
        first = _reached(ints(graph.InputsAsNumpy()), inputs, outputs, linear)
        head = _reached(
            ints(graph.OutputsAsNumpy()), outputs[::-1], inputs[::-1],
            {len(names) - 1 - position for position in linear},
        )  # fmt: skip
        aliases: dict[int, int] = {}
        for name, ins, outs in zip(names, inputs, outputs, strict=True):
            if name in KEEPS_CHANNELS:
                aliases[outs[0]] = aliases.get(ins[0], ins[0])
        return tuple(names[: len(operators)]), [
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

    def _weighted(
        self,
        subgraph: int,
        graph: Any,
        names: list[str],
        inputs: list[list[int]],
        outputs: list[list[int]],
    ) -> dict[int, tuple[Operand, ...]]:
        """Operators with weights, by position; what else they read is structural."""
        tensors = self.tensors_of(subgraph)
        _check_fed(ints(graph.InputsAsNumpy()), tensors)
        kinds = [_kind_of(graph.Tensors(i)) for i in range(graph.TensorsLength())]
        uses = find_uses(names, inputs, outputs, tensors, kinds)
        counted = find_counted(names, inputs, outputs, kinds, uses)
        tensors = [
            as_used(constant, kinds[tensor], uses[tensor])
            if constant is not None and tensor in uses
            else constant
            for tensor, constant in enumerate(tensors)
        ]
        picking = {tensor for tensor, use in uses.items() if use}
        flow = Flow({}, {}, counted, picking)
        shapes: set[int] = set()
        weighted = {}
        for position, (name, ins, outs) in enumerate(
            zip(names, inputs, outputs, strict=True)
        ):
            if name in PASSES_CONSTANTS or (
                name in MAKES_REAL and kinds[outs[0]].type in FLOATS
            ):
                flow.passed[outs[0]] = flow.source_of(ins[0])
                continue
            sources = [flow.passed.get(tensor, tensor) for tensor in ins]
            read = {tensor for tensor in sources if tensor >= 0}
            constants = {t: found for t in read if (found := tensors[t]) is not None}
            given = read - constants.keys()
            if name in READS_SHAPE:  # And no bytes.
                shapes.update(outs)
                continue
            if name in MOVES_ELEMENTS and flow.has_moved(ins[0], outs[0], tensors):
                constants.pop(ins[0], None)  # Who reads them there decides.
                ins = [-1, *ins[1:]]
            operands = tuple(_operands(name, ins, flow, tensors))
            if name in COMPUTES_SHAPE and given and given <= shapes:
                # Unless a table is cut or scaled by it, of positions, say.
                operands = tuple(filter(_is_table, operands))
                if not operands:
                    shapes.update(outs)
            if operands:
                weighted[position] = operands
            taken = {operand.constant.tensor for operand in operands}
            if name == "CUSTOM":  # Weights to it too, if to another operator.
                taken.update(t for t in constants if kinds[t].is_real)
            self.structural.update(
                constants[tensor].buffer for tensor in constants.keys() - taken
            )
        return weighted

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
        _check_inside(tensor)
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
        count, rest = divmod(data[1], element_type.dtype.itemsize)
        is_flat = element_type is ElementType.UINT8 or tensor.Type() == COMPLEX64
        if is_flat or tensor.Sparsity() is not None:
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
            tensor.Type() in REALS,
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
                "Layers that keep a state make such files in int16x8: convert them in "
                "another number format. Otherwise take it out of the file's inputs.",
            )


def _check_inside(tensor: Any) -> None:
    """A file beside the model, which no lock reaches, may hold a tensor's data."""
    # Schemas before LiteRT's of 2.3 know of no such files.
    if getattr(tensor, "ExternalBuffer", int)():
        name = (tensor.Name() or b"").decode("utf-8", "replace")
        raise ConversionError(
            "cannot read model: expected constants in the file itself, got those of "
            f"{name!r} in another file.",
            "Export it with its weights inside.",
        )


def _kind_of(tensor: Any) -> TensorKind:
    is_real = tensor.Type() in REALS or _scale_count(tensor) > 0
    width = tensor.Shape(tensor.ShapeLength() - 1) if tensor.ShapeLength() else 1
    return TensorKind(tensor.Type(), is_real, width)


def _scale_count(tensor: Any) -> int:
    quantization = tensor.Quantization()
    return 0 if quantization is None else int(quantization.ScaleLength())


def _is_table(operand: Operand) -> bool:
    return int(np.prod(operand.constant.shape)) > _MOST_AXES


def _operands(
    name: str, inputs: list[int], flow: Flow, tensors: list[Constant | None]
) -> Iterator[Operand]:
    for tensor in sorted(flow.picking.intersection(map(flow.source_of, inputs))):
        constant = tensors[tensor]
        if constant is not None and int(np.prod(constant.shape)) > 1:
            yield Operand(Role.FILTER, constant, 0)
    for position, role, axis in find_operands(name, len(inputs)):
        if inputs[position] in flow.picking:
            continue
        source = flow.source_of(inputs[position])
        constant = tensors[source] if source >= 0 else None
        if constant is None or not constant.shape:
            continue
        if inputs[position] in flow.passed:
            is_weight = True  # Whatever its type, it is read as real numbers.
        elif is_listed(name, position) and role is Role.BIAS:
            is_weight = True
        else:
            stands_for_others = is_listed(name, position) or constant.scales is not None
            # All other integers may compute shapes.
            is_weight = (
                constant.is_real
                or flow.is_number(constant)
                or (stands_for_others and constant.element_type not in _SHAPE_TYPES)
            )
        if is_weight:
            yield Operand(role, constant, axis % len(constant.shape))


def _input_scale(graph: Any, inputs: list[int], operands: tuple[Operand, ...]) -> float:
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
