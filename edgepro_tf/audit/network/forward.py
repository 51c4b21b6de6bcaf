"""One pass over an imported graph, differentiable by its constants."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from edgepro_tf.audit.network import operators
from edgepro_tf.errors import ConversionError
from edgepro_tf.flatbuffer.roles import LINEAR, PASSES_CONSTANTS, RESHAPES
from edgepro_tf.flatbuffer.views import Graph, GraphNode

if TYPE_CHECKING:
    from edgepro_tf.audit.network.importer import Network

# A constant in as many copies as there are examples; all but the value is a shape.
BROADCASTS = {"FILL": 1, "BROADCAST_TO": 0, "TILE": 0}
# Position of the table: constant, it is an embedding.
TABLES = {kind: LINEAR[kind][0][0] for kind in ("GATHER", "EMBEDDING_LOOKUP")}
HEADS = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC")  # Left out: losses take logits.
CASTS = ("QUANTIZE", "DEQUANTIZE", "CAST")


def find_source(graph: Graph, tensor: int) -> int | None:
    """The constant behind a tensor, through DEQUANTIZE, DENSIFY and CAST."""
    if tensor in graph.constants or tensor in graph.unread:
        return tensor
    for node in graph.nodes:
        if tensor in node.outputs and (
            node.kind in PASSES_CONSTANTS
            or (node.kind == "CAST" and node.inputs[0] in graph.codes)
        ):
            return find_source(graph, node.inputs[0])
    return None


def find_computed(graph: Graph) -> list[int]:
    """Nodes that compute with numbers of the input; the others compute its shape."""
    seen, found = set(graph.inputs), []
    for index, node in enumerate(graph.nodes):
        is_computed = node.kind != "SHAPE" and not seen.isdisjoint(node.inputs)
        if is_computed or node.kind in BROADCASTS:
            seen.update(node.outputs)
            found.append(index)
    return found


def unsupported(
    what: str,
    remedy: str = "Audit a part of the network that is one, locked by the same recipe.",
) -> ConversionError:
    """The error for a network that attacks cannot be run on."""
    return ConversionError(
        "cannot audit model: expected a network of convolutions and dense layers, "
        f"got {what}.",
        remedy,
    )


def find_head(graph: Graph) -> int | None:
    """The node of a last softmax or sigmoid, behind which numbers only move.

    A softmax is over the last axis: behind it that one stays.
    """
    index = find_last(graph)
    node = graph.nodes[index]
    if node.kind not in HEADS:
        return None
    ends = (graph.shapes[t][-1:] for t in (node.outputs[0], graph.outputs[0]))
    return index if node.kind == "LOGISTIC" or len(set(ends)) == 1 else None


def find_last(graph: Graph) -> int:
    """The last node that does more than move numbers."""
    makers = {t: i for i, node in enumerate(graph.nodes) for t in node.outputs}
    index = makers[graph.outputs[0]]
    while graph.nodes[index].kind in (*CASTS, *RESHAPES):
        source = graph.nodes[index].inputs[0]
        if source not in makers:
            break
        index = makers[source]
    return index


class Run:
    """One pass over the graph."""

    def __init__(self, network: Network, parameters: list[Any], observe: Any):
        self._network, self._graph = network, network.graph
        self._observe = observe
        self._linears = {one.node: i for i, one in enumerate(network.linears)}
        self._parameters = parameters
        # Equal constants share a buffer; biases are known by their operators.
        self._by_place = {
            self._graph.place_of(p.tensor): value
            for p, value in zip(network.parameters, parameters, strict=True)
            if p.role != "bias"
        }
        self._values: dict[int, Any] = {}
        self._examples: Any = 0

    def run(self, x: Any) -> Any:
        """Logits, or what else stands before a last softmax or sigmoid."""
        self._values.update(self._split(x))
        self._examples = tf.shape(x)[0]
        step = self._step
        if self._network.is_single:
            self._values = {t: value[:, None] for t, value in self._values.items()}
            step = self._step_each
        head = find_head(self._graph)
        for index in find_computed(self._graph):
            node = self._graph.nodes[index]
            if index == head:
                self._values[node.outputs[0]] = self._get(node.inputs[0])
                continue
            for tensor, y in zip(node.outputs, step(index, node), strict=True):
                z = self._activate(node, tensor, self._show(index, y))
                self._values[tensor] = z
        y = self._values[self._graph.outputs[0]]
        return tf.reshape(y, [-1, *y.shape[2:]]) if self._network.is_single else y

    def value_of(self, tensor: int) -> Any:
        """A tensor as the run left it."""
        return self._values[tensor]

    def _show(self, index: int, y: Any) -> Any:
        """What goes on from an operator, once who observes has seen it."""
        if self._observe is None or index not in self._linears:
            return y
        return self._observe(self._linears[index], y)

    def _step_each(self, index: int, node: GraphNode) -> list[Any]:
        """A step that the file has for one example, for each of them alone.

        Values have an axis of examples before the file's own axes.
        """
        computed = {t: self._values[t] for t in node.inputs if t in self._values}
        alone = copy.copy(self)
        alone._examples = 1
        if not computed:
            made = alone._step(index, node)
            return [tf.repeat(y[None], self._examples, 0) for y in made]

        def step(values: dict[int, Any]) -> list[Any]:
            alone._values = values
            return alone._step(index, node)

        if node.kind in operators.IMAGES:
            made = step(
                {t: tf.reshape(x, [-1, *x.shape[2:]]) for t, x in computed.items()}
            )
            return [tf.reshape(y, [self._examples, -1, *y.shape[1:]]) for y in made]
        # An operator that is vectorised by a loop has no gradient once compiled.
        return tf.vectorized_map(step, computed, fallback_to_while_loop=False)

    def _activate(self, node: GraphNode, tensor: int, y: Any) -> Any:
        fused = node.options.get("fusedActivationFunction")
        if fused == 0 and tensor in self._graph.ceilings:
            return tf.clip_by_value(y, 0.0, self._graph.ceilings[tensor])
        return operators.activate(fused or 0, y)

    def _split(self, x: Any) -> dict[int, Any]:
        """The inputs by tensor number; several come in one row (``flatten_inputs``)."""
        inputs = self._graph.inputs
        if len(inputs) == 1:
            return {inputs[0]: x}
        shapes = [self._graph.shapes[tensor][1:] for tensor in inputs]
        parts = tf.split(x, [int(np.prod(shape)) for shape in shapes], -1)
        return {
            tensor: tf.reshape(part, [-1, *shape])
            for tensor, part, shape in zip(inputs, parts, shapes, strict=True)
        }

    def _step(self, index: int, node: GraphNode) -> list[Any]:
        table = node.inputs[TABLES.get(node.kind, 0)]
        if node.kind in TABLES and table not in self._values:
            (words,) = set(node.inputs) - {table}
            return [tf.gather(self._get(table), tf.cast(self._get(words), tf.int32))]
        is_computed = not self._values.keys().isdisjoint(node.inputs)
        if node.kind in operators.PIECES and is_computed:
            inputs = [
                self._values[t] if t in self._values else self._constant(t)
                for t in node.inputs
            ]
            options = node.options
            if not self._network.is_single:
                options, inputs = operators.take_all(node.kind, options, inputs)
            return operators.PIECES[node.kind](options, *inputs)
        if node.kind in BROADCASTS:
            shape = self._graph.shapes[node.outputs[0]]
            value = self._get(node.inputs[BROADCASTS[node.kind]])
            return [tf.broadcast_to(value, [self._examples * shape[0], *shape[1:]])]
        if node.kind in TABLES:
            raise unsupported("words that are looked up in a computed table")
        return [self._compute(index, node)]

    def _compute(self, index: int, node: GraphNode) -> Any:
        kind, options = node.kind, node.options
        if index in self._linears:
            return self._linear(index, node)
        if kind in CASTS:  # The same numbers, but for rounding.
            return tf.cast(self._get(node.inputs[0]), tf.float32)
        if kind in RESHAPES:
            shape = [-1, *self._graph.shapes[node.outputs[0]][1:]]
            return tf.reshape(self._get(node.inputs[0]), shape)
        inputs = [self._get(t) for t in node.inputs]
        if kind in operators.JOINS:
            return operators.JOINS[kind](inputs, options["axis"])
        if kind == "BATCH_MATMUL":
            return operators.multiply(options, *inputs)
        return operators.ELEMENT_WISE[kind](*inputs)

    def _linear(self, index: int, node: GraphNode) -> Any:
        one = self._network.linears[self._linears[index]]
        x = self._get(node.inputs[operators.LINEAR_INPUTS[node.kind][0]])
        shape = self._graph.shapes[node.outputs[0]]
        w = self._parameters[one.filter]
        z = operators.linear(node.kind, node.options, x, w, shape)
        if one.bias is not None:
            z = z + self._parameters[one.bias]
        return z

    def _constant(self, tensor: int) -> np.ndarray:
        if tensor not in self._graph.constants:
            raise unsupported("an operator whose bounds are computed")
        value = self._graph.constants[tensor]
        if value.dtype.itemsize > 2:  # Shapes and axes, whatever scale they have.
            return value
        real = self._graph.real_values(tensor)
        return value if real is None else real

    def _get(self, tensor: int) -> Any:
        if tensor in self._values:
            return self._values[tensor]
        source = find_source(self._graph, tensor)
        if source is None:
            raise unsupported("a constant that is no number, or operators out of order")
        place = self._graph.place_of(source)
        if place in self._by_place:
            return self._by_place[place]
        value = self._graph.real_values(source)
        return tf.cast(self._constant(source) if value is None else value, tf.float32)
