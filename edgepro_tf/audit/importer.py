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

_SHAPE_ONLY = ("SHAPE", "STRIDED_SLICE", "PACK", "GATHER")
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
    """

    tensor: int
    buffer: int
    role: str
    shape: tuple[int, ...]
    channel_axis: int
    element_type: ElementType


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

    def add(tensor: int, role: str, axis: int, node: int) -> int | None:
        source = _source(graph, tensor)
        value = None if source is None else graph.real_values(source)
        if source is None or value is None:
            return None
        # Equal biases (all zero) share a buffer by chance: the thief trains them apart.
        key = (graph.buffers[source], node if role == "bias" else None)
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
            filter_index = add(node.inputs[w], "filter", axis, index)
            if filter_index is None:
                raise _unsupported(f"{node.kind} whose filter is no constant")
            bias = node.inputs[b] if len(node.inputs) > b else -1
            bias_index = add(bias, "bias", 0, index) if bias >= 0 else None
            channels = parameters[filter_index].shape[axis]
            linears.append((index, node.kind, filter_index, bias_index, channels, axis))
        elif node.kind in operators.BINARY or node.kind == "PRELU":
            for tensor in node.inputs:
                add(tensor, "constant", -1, index)
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
    known = {
        *operators.LINEAR_INPUTS, *operators.BINARY, *operators.UNARY,
        *operators.REDUCTIONS, *operators.BLOCKS, *_SHAPE_ONLY, *_RESHAPES, *_CASTS,
        "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "CONCATENATION", "TRANSPOSE", "GELU",
        "PRELU", "LEAKY_RELU",
    }  # fmt: skip
    for node in graph.nodes:
        if node.kind not in known:
            raise _unsupported(f"operator {node.kind}")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise _unsupported(
            f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
        )


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

    def run(self, x: Any) -> Any:
        self._values[self._graph.inputs[0]] = x
        last = max(i for i, n in enumerate(self._graph.nodes) if n.kind not in _CASTS)
        for index, node in enumerate(self._graph.nodes):
            if node.kind in _SHAPE_ONLY:
                continue
            if node.kind in _CASTS:  # The same numbers, but for rounding.
                if node.inputs[0] in self._values:
                    self._values[node.outputs[0]] = self._values[node.inputs[0]]
                continue
            if index == last and node.kind in ("SOFTMAX", "LOGISTIC"):
                return self._get(node.inputs[0])
            y = self._step(index, node)
            fused = node.options.get("fusedActivationFunction", 0)
            self._values[node.outputs[0]] = operators.activate(fused, y)
        return self._values[self._graph.outputs[0]]

    def _step(self, index: int, node: GraphNode) -> Any:
        kind, options = node.kind, node.options
        if index in self._linears:
            return self._linear(index, node)
        x = self._get(node.inputs[0])
        if kind in operators.BINARY:
            return operators.BINARY[kind](x, self._get(node.inputs[1]))
        if kind == "PRELU":
            return tf.nn.relu(x) - self._get(node.inputs[1]) * tf.nn.relu(-x)
        if kind in _RESHAPES:
            return tf.reshape(x, [-1, *self._graph.shapes[node.outputs[0]][1:]])
        if kind in operators.BLOCKS:
            return operators.BLOCKS[kind](x, *map(self._constant, node.inputs[1:]))
        if kind == "CONCATENATION":
            return tf.concat([self._get(t) for t in node.inputs], options["axis"])
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
