"""The part of a file's graph that an audit computes: cut, checked, lengthened."""

from __future__ import annotations

import dataclasses

from edgepro_tf.audit.network import operators
from edgepro_tf.audit.network.forward import (
    BROADCASTS,
    CASTS,
    TABLES,
    find_computed,
    find_source,
    unsupported,
)
from edgepro_tf.audit.scoring.tasks import Task
from edgepro_tf.flatbuffer.roles import MOVES_ELEMENTS, RESHAPES
from edgepro_tf.flatbuffer.views import Graph, GraphNode

_LOOPS = (
    "WHILE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
)


def lead_to(graph: Graph, output: int | None) -> Graph:
    """The operators that an output is computed by, and it alone."""
    if output is None and len(graph.outputs) != 1:
        raise unsupported(
            f"{len(graph.outputs)} outputs", "Name the one that is labelled."
        )
    outputs = graph.outputs if output is None else (output,)
    wanted, nodes = set(outputs), []
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(node.inputs)
            nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(reversed(nodes)), outputs=outputs)


def append_map(graph: Graph, task: Task) -> Graph:
    """The graph, and behind it the task's operators over constants of its own."""
    for kind, values in task.answer_map:
        before, constant = graph.outputs[0], len(graph.shapes)
        node = GraphNode(kind, (before, constant), (constant + 1,), {})
        graph = dataclasses.replace(
            graph,
            nodes=(*graph.nodes, node),
            outputs=node.outputs,
            shapes=(*graph.shapes, values.shape, graph.shapes[before]),
            constants={**graph.constants, constant: values},
            buffers=(*graph.buffers, -constant, -constant),
        )
    return graph


def is_linear(graph: Graph, node: GraphNode) -> bool:
    """Whether it weighs its input by a constant; a product may be of activations."""
    if node.kind != "BATCH_MATMUL":
        return node.kind in operators.LINEAR_INPUTS
    return find_source(graph, node.inputs[1]) is not None


def check_supported(graph: Graph) -> None:
    """Refuse a graph that attacks cannot be run on.

    Raises:
        ConversionError: it says why.
    """
    shape = graph.shapes[graph.outputs[0]]
    if len(shape) < 2:
        raise unsupported(f"an output of shape {list(shape)}")
    known = {
        *operators.LINEAR_INPUTS, *operators.ELEMENT_WISE, *operators.JOINS,
        *operators.PIECES, *BROADCASTS, *TABLES, *RESHAPES, *CASTS,
    }  # fmt: skip
    made = {t: node for node in graph.nodes for t in node.outputs}
    for index in find_computed(graph):
        node = graph.nodes[index]
        if any(_is_moved(graph, made, tensor) for tensor in node.inputs):
            raise unsupported(
                "weights that a CAST makes of integers, moved about",
                "Audit the same network in another number format.",
            )
        if node.kind in _LOOPS:
            raise unsupported(
                f"a loop ({node.kind})",
                "Convert it from Keras over a batch of any size, or with unroll=True.",
            )
        if node.kind not in known:
            raise unsupported(f"operator {node.kind}")
        for tensor in node.inputs:
            source = find_source(graph, tensor)
            if source in graph.unread:
                raise unsupported(
                    f"weights with {graph.unread[source]}",
                    "Audit the same network in another number format.",
                )
        if node.kind not in ("GATHER", "GATHER_ND"):
            continue
        is_table = find_source(graph, node.inputs[0]) is not None
        if is_table and (node.kind == "GATHER_ND" or any(node.options.values())):
            raise unsupported("words that are looked up along another axis")


def _is_moved(graph: Graph, made: dict[int, GraphNode], tensor: int) -> bool:
    """Whether constant integers become numbers on a way that is not followed here."""
    kinds, source = [], tensor
    while source in made and made[source].kind in ("CAST", *MOVES_ELEMENTS):
        kinds.append(made[source].kind)
        source = made[source].inputs[0]
    is_constant = source in graph.constants and graph.constants[source].ndim > 0
    return is_constant and "CAST" in kinds and len(kinds) > 1
