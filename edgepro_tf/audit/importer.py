"""A public ``.tflite`` as a network that can be trained: the thief's real position.

Every constant that holds real numbers becomes a parameter, a quantised one by what its
integers stand for; the graph around them is kept, and computes in float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit import operators
from edgepro_tf.errors import ConversionError
from edgepro_tf.locks import ElementType

if TYPE_CHECKING:
    from converters.views import Graph, GraphNode

# A constant in as many copies as there are examples; all but the value is a shape.
_BROADCASTS = {"FILL": 1, "BROADCAST_TO": 0}
_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_CASTS = ("QUANTIZE", "DEQUANTIZE")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One trainable constant.

    Args:
        tensor: its number in the file (of the float16 constant before DEQUANTIZE).
        role: ``filter``, ``bias`` or ``constant`` (of an element-wise operator).
        channel_axis: axis of the channels.
        element_type: of its elements in the file.
        neutral: what all elements of a bias or constant are before any training.
    """

    tensor: int
    buffer: int
    role: str
    shape: tuple[int, ...]
    channel_axis: int
    element_type: ElementType
    neutral: float = 0.0


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
    """

    graph: Graph
    parameters: tuple[Parameter, ...]
    linears: tuple[Linear, ...]
    values: tuple[np.ndarray, ...] = dataclasses.field(repr=False)
    scales: tuple[np.ndarray, ...] = dataclasses.field(repr=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.graph.shapes[self.graph.inputs[0]][1:]

    @property
    def classes(self) -> int:
        return int(self.graph.shapes[self.graph.outputs[0]][-1])

    @property
    def distinct_linears(self) -> list[Linear]:
        """The first operator over each filter: a recurrent cell has one a step."""
        return list({one.filter: one for one in reversed(self.linears)}.values())[::-1]

    @property
    def multiplications(self) -> int:
        """Of one example through the linear operators."""
        return sum(
            int(np.prod(self.graph.shapes[self.graph.nodes[one.node].outputs[0]][1:-1]))
            * int(np.prod(self.parameters[one.filter].shape))
            for one in self.linears
        )

    def forward(
        self,
        parameters: list[Any],
        x: Any,
        observe: Callable[[int, Any], Any] | None = None,
    ) -> Any:
        """Logits of a batch; a final softmax or sigmoid is left out.

        Args:
            parameters: float32 tensors in the order of ``self.parameters``.
            x: float32 [batch, *input_shape].
            observe: called with (position in ``linears``, linear output before the
                activation function); what it returns goes on.

        Returns:
            float32 [batch, classes].
        """
        return _Run(self, parameters, observe).run(x)


def import_model(model: str | Path | bytes) -> Network:
    """Read a ``.tflite``, in any number format, as a trainable network.

    Raises:
        ConversionError: the file is no TFLite model, or has an operator that attacks
            cannot be run on.

    Example:
        >>> import_model(b"no model")
        Traceback (most recent call last):
        ...
        edgepro_tf.errors.ConversionError: cannot read model: expected a TFLite ...
    """
    from converters.schema import read_graph

    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    graph = read_graph(content)
    _check_supported(graph)
    parameters: list[Parameter] = []
    values: list[np.ndarray] = []
    scales: list[np.ndarray] = []
    found: dict[Any, int] = {}

    def add(
        tensor: int, role: str, axis: int, of: int = -1, kind: str = ""
    ) -> int | None:
        source = _source(graph, tensor)
        value = None if source is None else graph.real_values(source)
        if source is None or value is None:
            return None
        # Equal biases (all zero) share a buffer by chance: the thief trains them apart,
        # but for those of one filter, a recurrent cell's.
        key = (graph.buffers[source], of)
        if key not in found:
            found[key] = len(parameters)
            parameters.append(
                Parameter(
                    source,
                    graph.buffers[source],
                    role,
                    value.shape,
                    axis % max(value.ndim, 1),
                    ElementType[graph.constants[source].dtype.name.upper()],
                    _neutral(kind, value),
                )
            )
            values.append(value)
            scales.append(graph.scales_of(source))
        return found[key]

    linears = []
    for index, node in enumerate(graph.nodes):
        if node.kind in operators.LINEAR_INPUTS:
            _, w, b = operators.LINEAR_INPUTS[node.kind]
            rank = len(graph.shapes[node.inputs[w]])
            axis = operators.channel_axis(node.kind, rank)
            filter_index = add(node.inputs[w], "filter", axis)
            if filter_index is None:
                raise _unsupported(f"{node.kind} whose filter is no constant")
            bias = node.inputs[b] if len(node.inputs) > b else -1
            bias_index = add(bias, "bias", 0, filter_index) if bias >= 0 else None
            channels = parameters[filter_index].shape[axis]
            linears.append((index, node.kind, filter_index, bias_index, channels, axis))
        elif node.kind in {*operators.BINARY, *_BROADCASTS, "PRELU"}:
            for tensor in node.inputs:
                add(tensor, "constant", -1, kind=node.kind)
    firsts, heads = _ends(content)
    return Network(
        graph,
        tuple(parameters),
        tuple(
            Linear(
                *one,
                one[0] in firsts,
                one[0] in heads,
                _window(one[1], parameters[one[2]].shape),
            )
            for one in linears
        ),
        tuple(values),
        tuple(scales),
    )


def _neutral(kind: str, value: np.ndarray) -> float:
    """Scalars (an epsilon, a square root of a width) are no weights, and stay."""
    if value.size == 1:
        return float(value.reshape(()))
    return 1.0 if kind in ("MUL", "DIV") else 0.0


def _window(kind: str, shape: tuple[int, ...]) -> tuple[int, int]:
    return (1, 1) if kind == "FULLY_CONNECTED" else (shape[1], shape[2])


def _ends(content: bytes) -> tuple[set[int], set[int]]:
    from converters.schema import read_model

    operators_ = [o for o in read_model(content).operators if o.subgraph == 0]
    return (
        {o.index for o in operators_ if o.is_first},
        {o.index for o in operators_ if o.is_head},
    )


def _source(graph: Graph, tensor: int) -> int | None:
    """The constant behind a tensor, through DEQUANTIZE."""
    if tensor in graph.constants:
        return tensor
    for node in graph.nodes:
        if node.kind == "DEQUANTIZE" and tensor in node.outputs:
            return _source(graph, node.inputs[0])
    return None


def _check_supported(graph: Graph) -> None:
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise _unsupported(
            f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
        )
    known = {
        *operators.LINEAR_INPUTS, *operators.BINARY, *operators.UNARY,
        *operators.REDUCTIONS, *operators.BLOCKS, *operators.PIECES, *_BROADCASTS,
        *_RESHAPES, *_CASTS, "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "CONCATENATION",
        "PACK", "TRANSPOSE", "GELU", "PRELU", "LEAKY_RELU", "BATCH_MATMUL",
    }  # fmt: skip
    for index in _find_computed(graph):
        node = graph.nodes[index]
        if node.kind not in known:
            raise _unsupported(f"operator {node.kind}")
        if node.kind == "BATCH_MATMUL" and set(node.inputs) & set(graph.constants):
            raise _unsupported("a product of matrices one of which is a constant")


def _find_computed(graph: Graph) -> list[int]:
    """Nodes that compute with numbers of the input; the others compute its shape."""
    seen, found = set(graph.inputs), []
    for index, node in enumerate(graph.nodes):
        is_computed = node.kind != "SHAPE" and not seen.isdisjoint(node.inputs)
        if is_computed or node.kind in _BROADCASTS:
            seen.update(node.outputs)
            found.append(index)
    return found


def _unsupported(what: str) -> ConversionError:
    return ConversionError(
        "cannot audit model: expected a classifier of convolutions and dense layers, "
        f"got {what}.",
        "Audit a part of the network that is one, locked by the same recipe.",
    )


class _Run:
    """One pass over the graph."""

    def __init__(self, network: Network, parameters: list[Any], observe: Any):
        self._network, self._graph = network, network.graph
        self._observe = observe
        self._linears = {one.node: i for i, one in enumerate(network.linears)}
        self._parameters = parameters
        self._by_tensor = {
            p.tensor: value
            for p, value in zip(network.parameters, parameters, strict=True)
        }
        self._values: dict[int, Any] = {}
        self._examples: Any = 0

    def run(self, x: Any) -> Any:
        self._values[self._graph.inputs[0]] = x
        self._examples = tf.shape(x)[0]
        nodes = [(i, self._graph.nodes[i]) for i in _find_computed(self._graph)]
        last = max(i for i, node in nodes if node.kind not in _CASTS)
        for index, node in nodes:
            if index == last and node.kind in ("SOFTMAX", "LOGISTIC"):
                return self._get(node.inputs[0])
            for tensor, y in zip(node.outputs, self._step(index, node), strict=True):
                fused = node.options.get("fusedActivationFunction", 0)
                self._values[tensor] = operators.activate(fused, y)
        return self._values[self._graph.outputs[0]]

    def _step(self, index: int, node: GraphNode) -> list[Any]:
        if node.kind in operators.PIECES:
            inputs = [
                self._values[t] if t in self._values else self._constant(t)
                for t in node.inputs
            ]
            return operators.PIECES[node.kind](node.options, *inputs)
        return [self._compute(index, node)]

    def _compute(self, index: int, node: GraphNode) -> Any:
        kind, options = node.kind, node.options
        if index in self._linears:
            return self._linear(index, node)
        shape = self._graph.shapes[node.outputs[0]]
        if kind in _BROADCASTS:
            value = self._get(node.inputs[_BROADCASTS[kind]])
            return tf.broadcast_to(value, [self._examples * shape[0], *shape[1:]])
        x = self._get(node.inputs[0])
        if kind in _CASTS:  # The same numbers, but for rounding.
            return x
        if kind in operators.BINARY:
            return operators.BINARY[kind](x, self._get(node.inputs[1]))
        if kind == "BATCH_MATMUL":
            return operators.multiply(options, x, self._get(node.inputs[1]))
        if kind == "PRELU":
            return tf.nn.relu(x) - self._get(node.inputs[1]) * tf.nn.relu(-x)
        if kind in _RESHAPES:
            return tf.reshape(x, [-1, *shape[1:]])
        if kind in operators.BLOCKS:
            return operators.BLOCKS[kind](x, *map(self._constant, node.inputs[1:]))
        if kind in ("CONCATENATION", "PACK"):
            join = tf.concat if kind == "CONCATENATION" else tf.stack
            return join([self._get(t) for t in node.inputs], options["axis"])
        second = self._constant(node.inputs[1]) if len(node.inputs) > 1 else None
        return operators.unweighted(kind, options, x, second)

    def _linear(self, index: int, node: GraphNode) -> Any:
        position = self._linears[index]
        one = self._network.linears[position]
        x = self._get(node.inputs[operators.LINEAR_INPUTS[node.kind][0]])
        shape = self._graph.shapes[node.outputs[0]]
        w = self._parameters[one.filter]
        z = operators.linear(node.kind, node.options, x, w, shape)
        if one.bias is not None:
            z = z + self._parameters[one.bias]
        if self._observe is not None:
            z = self._observe(position, z)
        return z

    def _constant(self, tensor: int) -> np.ndarray:
        return self._graph.constants[tensor]

    def _get(self, tensor: int) -> Any:
        if tensor in self._values:
            return self._values[tensor]
        source = _source(self._graph, tensor)
        if source is None:
            raise _unsupported("a graph whose operators are out of order")
        value = self._by_tensor.get(source)
        return self._constant(source) if value is None else value
