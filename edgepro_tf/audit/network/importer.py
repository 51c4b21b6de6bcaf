"""A public ``.tflite`` as a network that can be trained: the thief's real position.

Every constant that holds real numbers becomes a parameter, a quantised one by what its
integers stand for; the graph around them is kept, and computes in float32.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepro_tf.audit.network import operators
from edgepro_tf.audit.network.forward import (
    BROADCASTS,
    CASTS,
    HEADS,
    TABLES,
    Run,
    find_computed,
    find_source,
    unsupported,
)
from edgepro_tf.audit.network.graphs import (
    append_map,
    check_supported,
    is_linear,
    lead_to,
)
from edgepro_tf.audit.scoring.tasks import Classes, Task
from edgepro_tf.flatbuffer.schema import read_graph
from edgepro_tf.flatbuffer.views import Graph, GraphNode, Range
from edgepro_tf.locks import ElementType


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One trainable constant.

    Args:
        tensor: its number in the file (of the float16 constant before DEQUANTIZE).
        buffer: the first one over its bytes, as a lock's records are found by; below 0
            where no file has it.
        role: ``filter``, ``bias``, ``constant`` (of an element-wise operator) or
            ``answers`` (of the task's map of answers, in no file).
        shape: of the constant, in TFLite's layout.
        channel_axis: axis of the channels.
        element_type: of its elements in the file.
        levels: the least and the greatest integer that an element can be, its zero
            point taken off; None for floats.
        neutral: what all elements of a bias or constant begin with.
        packed: elements in a byte, which a shuffle leaves together.
    """

    tensor: int
    buffer: int
    role: str
    shape: tuple[int, ...]
    channel_axis: int
    element_type: ElementType
    levels: tuple[int, int] | None = None
    neutral: float = 0.0
    packed: int = 1

    @property
    def is_weight(self) -> bool:
        """Whether it is a filter or a bias: no constant, nor what maps answers."""
        return self.role in ("filter", "bias")


@dataclasses.dataclass(frozen=True)
class Linear:
    """A weighted operator: positions of its filter and bias among the parameters.

    ``window`` is a convolution's height and width.
    """

    node: int
    kind: str
    filter: int
    bias: int | None
    channels: int
    channel_axis: int
    is_first: bool
    is_head: bool
    window: tuple[int, int] = (1, 1)

    @property
    def parameters(self) -> tuple[int, ...]:
        """Its filter and, if it has one, its bias."""
        return (self.filter,) if self.bias is None else (self.filter, self.bias)


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """The graph of a file, as a function of its constants.

    Args:
        graph: as read.
        parameters: in execution order; a filter that two operators share is one.
        linears: convolutions and dense layers, in execution order.
        values: float32 arrays, the file's own constants.
        scales: float32 arrays that fit them: quantisation scales, 1 where there are
            none.
        task: what is asked of it.
        output: tensor number of the answers in the file.
        is_single: whether its operators are for one example alone, which is then taken
            through them by itself: they fold the batch into other axes.
    """

    graph: Graph
    parameters: tuple[Parameter, ...]
    linears: tuple[Linear, ...]
    values: tuple[np.ndarray, ...] = dataclasses.field(repr=False)
    scales: tuple[np.ndarray, ...] = dataclasses.field(repr=False)
    task: Task
    output: int
    is_single: bool = False

    @property
    def units(self) -> int:
        return int(self.graph.shapes[self.graph.outputs[0]][-1])

    @property
    def distinct_linears(self) -> dict[int, Linear]:
        """The first operator over each filter, by its position in ``linears``.

        A recurrent cell has one for every step.
        """
        filters = [one.filter for one in self.linears]
        return {
            i: one
            for i, one in enumerate(self.linears)
            if one.filter not in filters[:i]
        }

    @functools.cached_property
    def ranges(self) -> dict[int, Range]:
        """Of activations that the weights make, by tensor number, in execution order.

        As the file has them: after a fused activation function. Left out are those that
        other numbers give (the input's), functions whose range is always the same
        (softmax), and numbers that are only moved.
        """
        found = {}
        for index in find_computed(self.graph):
            node = self.graph.nodes[index]
            known = self.graph.ranges.get(node.outputs[0])
            is_fixed = node.kind in (*CASTS, *HEADS, "TANH")
            is_own = not is_fixed and self.find_moved(index) is None
            if known is not None and is_own:
                found[node.outputs[0]] = known
        return found

    def find_moved(self, node: int) -> int | None:
        """The tensor whose numbers a node only moves, by its range; None for others."""
        if any(one.node == node for one in self.linears):
            return None
        ranges, one = self.graph.ranges, self.graph.nodes[node]
        known = ranges.get(one.outputs[0])
        alike = (t for t in one.inputs if known is not None and ranges.get(t) == known)
        return next(alike, None)

    @property
    def single_numbers(self) -> dict[int, np.ndarray]:
        """Constants of one number that is no parameter, by tensor; float or scaled."""
        learned = {p.tensor for p in self.parameters}
        return {
            tensor: value
            for tensor, value in self.graph.constants.items()
            if value.size == 1
            and tensor not in learned
            and self.graph.real_values(tensor) is not None
        }

    @property
    def heads(self) -> list[int]:
        """Filters and biases of the last linear operators, and what maps answers."""
        found = [i for one in self.linears if one.is_head for i in one.parameters]
        return found + self.answer_map

    @property
    def answer_map(self) -> list[int]:
        """Gain and shift of the answers, where they are numbers."""
        return [i for i, p in enumerate(self.parameters) if p.role == "answers"]

    @property
    def weights(self) -> int:
        """Elements of the parameters that stand in the file."""
        mine = zip(self.parameters, self.values, strict=True)
        return sum(value.size for p, value in mine if p.buffer >= 0)

    @property
    def multiplications(self) -> int:
        """Of one example through the linear operators."""
        shapes, nodes = self.graph.shapes, self.graph.nodes
        return (
            sum(
                int(np.prod(shapes[nodes[one.node].outputs[0]][:-1]))
                * int(np.prod(self.parameters[one.filter].shape))
                for one in self.linears
            )
            // self._examples
        )

    @property
    def activations(self) -> int:
        """Numbers that one example makes on its way through the network."""
        shapes, nodes = self.graph.shapes, self.graph.nodes
        return (
            sum(
                int(np.prod(shapes[tensor]))
                for index in find_computed(self.graph)
                for tensor in nodes[index].outputs
            )
            // self._examples
        )

    @property
    def _examples(self) -> int:
        """As many as the graph's shapes are of."""
        return max(1, self.graph.shapes[self.graph.inputs[0]][0])

    def knowing(self, constants: dict[int, np.ndarray]) -> Network:
        """The network with these constants in its graph, by tensor number."""
        known = {**self.graph.constants, **constants}
        graph = dataclasses.replace(self.graph, constants=known)
        return dataclasses.replace(self, graph=graph)

    def forward(
        self,
        parameters: list[Any],
        x: Any,
        observe: Callable[[int, Any], Any] | None = None,
    ) -> Any:
        """Answers to a batch, logits of classes: a last softmax or sigmoid is left out.

        Args:
            parameters: float32 tensors in the order of ``self.parameters``.
            x: float32 [batch, ...], or of several inputs what ``flatten_inputs`` makes
                of them in the file's order.
            observe: called with (position in ``linears``, linear output before the
                activation function); what it returns goes on.

        Returns:
            float32 [batch, ..., units], as ``Task.read`` makes them.
        """
        return self.task.read(Run(self, parameters, observe).run(x))

    def forward_with(
        self, parameters: list[Any], x: Any, tensors: Sequence[int]
    ) -> tuple[Any, list[Any]]:
        """``forward``, and what some activations are on the way, by tensor number."""
        run = Run(self, parameters, None)
        answers = self.task.read(run.run(x))
        return answers, [run.value_of(tensor) for tensor in tensors]


def import_model(
    model: str | Path | bytes, output: int | None = None, task: Task | None = None
) -> Network:
    """Read a ``.tflite``, in any number format, as a trainable network.

    Args:
        model: the file, or its content.
        output: tensor number of the answers; None for the only output. What leads to
            no answer is left out.
        task: None for a classifier's.

    Raises:
        ConversionError: the file is no TFLite model, or has an operator that attacks
            cannot be run on.

    Example:
        >>> import_model(b"no model")
        Traceback (most recent call last):
        ...
        edgepro_tf.errors.ConversionError: cannot read model: expected a TFLite ...
    """
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    graph = lead_to(read_graph(content), output)
    check_supported(graph)
    answers = graph.outputs[0]
    task = task or Classes(max(2, graph.shapes[answers][-1]))
    graph = append_map(graph, task)
    found, linears = _Parameters(graph), []
    for index, node in enumerate(graph.nodes):
        if is_linear(graph, node):
            linears.append(_read_linear(found, index, node))
        elif node.kind == "BATCH_MATMUL":  # A constant that weighs places.
            found.add(node.inputs[0], "filter", -1 if node.options["adjX"] else -2)
        elif node.kind in TABLES:
            found.add(node.inputs[TABLES[node.kind]], "filter", 0)
        elif node.kind in {*operators.WEIGHTED, *BROADCASTS, "PRELU"}:
            neutral = 1.0 if node.kind in ("MUL", "DIV") else 0.0
            for tensor in node.inputs:
                role = "answers" if graph.buffers[tensor] < 0 else "constant"
                # A single number is no secret: an epsilon is what its framework says.
                if role == "answers" or int(np.prod(graph.shapes[tensor])) > 1:
                    found.add(tensor, role, -1, neutral=neutral)
    return Network(
        graph,
        tuple(found.parameters),
        tuple(linears),
        tuple(found.values),
        tuple(found.scales),
        task,
        answers,
    )


class _Parameters:
    """The parameters of a graph, as its operators name them."""

    def __init__(self, graph: Graph):
        self.parameters: list[Parameter] = []
        self.values: list[np.ndarray] = []
        self.scales: list[np.ndarray] = []
        self.graph = graph
        self._places: dict[Any, int] = {}

    def add(
        self, tensor: int, role: str, axis: int, *, of: int = -1, neutral: float = 0.0
    ) -> int | None:
        """The position of a constant, a new one's or that of one already known.

        Args:
            tensor: the operator's input.
            role: as ``Parameter`` has it.
            axis: of the channels.
            of: position of the filter whose bias it is. Equal biases (all zero) share a
                buffer by chance: the thief trains them apart, but for those of one
                filter, a recurrent cell's.
            neutral: as ``Parameter`` has it.

        Returns:
            None for what is no constant, or none of real numbers.
        """
        graph, source = self.graph, find_source(self.graph, tensor)
        if source not in graph.constants:
            return None
        value = graph.real_values(source)
        if value is None:
            return None
        key = (*graph.place_of(source), of)
        if key not in self._places:
            self._places[key] = len(self.parameters)
            element_type = ElementType[graph.constants[source].dtype.name.upper()]
            parameter = Parameter(
                source,
                graph.buffers[source],
                role,
                value.shape,
                axis % max(value.ndim, 1),
                element_type,
                None if element_type.is_float else graph.levels_of(source),
                neutral,
                graph.packed.get(source, 1),
            )
            self.parameters.append(parameter)
            self.values.append(value)
            self.scales.append(graph.scales_of(source))
        return self._places[key]


def _read_linear(found: _Parameters, index: int, node: GraphNode) -> Linear:
    """A linear operator, its filter and bias among the parameters found."""
    _, w, b = operators.LINEAR_INPUTS[node.kind]
    rank = len(found.graph.shapes[node.inputs[w]])
    axis = operators.channel_axis(node.kind, rank, node.options)
    filter_ = found.add(node.inputs[w], "filter", axis)
    if filter_ is None:
        is_given = find_source(found.graph, node.inputs[w]) is None
        what = "no constant" if is_given else "integers without a scale"
        raise unsupported(f"{node.kind} whose filter is {what}")
    bias = node.inputs[b] if len(node.inputs) > b else -1
    shape = found.parameters[filter_].shape
    return Linear(
        index,
        node.kind,
        filter_,
        found.add(bias, "bias", 0, of=filter_) if bias >= 0 else None,
        shape[axis],
        axis,
        node.is_first,
        node.is_head,
        _window(node.kind, shape),
    )


def _window(kind: str, shape: tuple[int, ...]) -> tuple[int, int]:
    return (1, 1) if kind in operators.DENSE else (shape[1], shape[2])
