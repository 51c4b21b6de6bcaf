"""Compiled functions shared among networks of one structure.

A forward pass depends on the graph and never on its constants: an audit of the same
network under another recipe, or of another network of that kind, compiles nothing.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from edgepro_tf.audit.network.importer import Network

_MOST_KEPT = 48  # A trainer of a small network holds a few MB of machine code.
_kept: OrderedDict[Any, Any] = OrderedDict()
_building = threading.RLock()


def share(key: Any, build: Callable[[], Any]) -> Any:
    """What ``build`` made when this key was first seen; the oldest are forgotten.

    Args:
        key: hashable; everything that the compiled function depends on.
        build: makes it, by one worker while the others wait.
    """
    with _building:
        if key not in _kept:
            _kept[key] = build()
        _kept.move_to_end(key)
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
        return _kept[key]


def compile_function(function: Callable[..., Any]) -> Any:
    """One XLA program; the function's loops are TensorFlow's own, so that AutoGraph,
    which takes some seconds to read all that it calls, has nothing to rewrite.
    """
    return tf.function(function, jit_compile=True, autograph=False)


def run_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of tensors makes of these, as one graph that nobody keeps."""
    traced = tf.function(lambda *given: function(*given), autograph=False)
    return traced.get_concrete_function(*arguments)(*arguments)


def structure_of(network: Network) -> str:
    """Hex digits that networks share whose forward passes are the same function."""
    graph = network.graph
    learned = {p.tensor for p in network.parameters}
    document = [
        [[n.kind, n.inputs, n.outputs, sorted(n.options.items())] for n in graph.nodes],
        [graph.inputs, graph.outputs, graph.shapes, sorted(graph.ceilings.items())],
        network.task,
        network.is_single,
        [[p.tensor, p.role, p.shape, p.channel_axis] for p in network.parameters],
        [
            [one.node, one.filter, one.bias, one.is_first, one.is_head]
            for one in network.linears
        ],
        [
            [tensor, str(value.dtype), value.tobytes().hex(), graph.place_of(tensor)]
            for tensor, value in sorted(graph.constants.items())
            if tensor not in learned
        ],
    ]
    text = json.dumps(document, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
