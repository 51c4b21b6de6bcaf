"""Reads and rebuilds functional and Sequential Keras models.

``keras.models.clone_model`` also compiles the clone from its config, which fails for a
model compiled with a function of the user's own; so the graph is replayed here. The
only file that touches Keras' private graph (``_nodes_by_depth`` and its nodes).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional

from edgepro_tf.errors import LockError

Operation = Any  # keras.Operation: a layer, a nested model or a keras.ops function.


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One use of an operation; tensors are told apart by their ids."""

    operation: Operation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Edit:
    """How a rebuilt model differs from the old one.

    Args:
        make: the new layer for an old one (nested models are rebuilt, not made).
        after: by id of an old operation, new layers applied to its output, in order.
        dropped: ids of old operations whose first input becomes their output.
    """

    make: Callable[[keras.layers.Layer], keras.layers.Layer]
    after: dict[int, list[keras.layers.Layer]] = dataclasses.field(default_factory=dict)
    dropped: set[int] = dataclasses.field(default_factory=set)


def is_graph(layer: Any) -> bool:
    """Whether it is a built functional or Sequential model with Keras' own call."""
    if isinstance(layer, keras.Sequential):
        plain = type(layer).call is keras.Sequential.call
        return plain and getattr(layer, "_functional", None) is not None
    return isinstance(layer, Functional) and type(layer).call is Functional.call


def check_graph(model: Any) -> None:
    """Refuse what cannot be rebuilt.

    Raises:
        LockError: the model is subclassed, or a Sequential model of unknown input.
    """
    if is_graph(model):
        return
    name = getattr(model, "name", type(model).__name__)
    if isinstance(model, keras.Sequential) and not model.built:
        raise LockError(
            f"cannot lock model {name!r}: expected a built model, got a Sequential "
            "model without an input shape.",
            "Add keras.Input(shape) in front, or call build(input_shape).",
        )
    raise LockError(
        f"cannot lock model {name!r}: expected a functional or Sequential model, got "
        f"{type(model).__name__} with a call of its own.",
        "Lock its functional or Sequential parts, or rebuild it with keras.Model("
        "inputs, outputs).",
    )


def graphs_of(model: keras.Model) -> Iterator[tuple[str, keras.Model]]:
    """The model (path "") and all nested ones ("block/"), each once."""
    seen: set[int] = set()

    def walk(graph: keras.Model, path: str) -> Iterator[tuple[str, keras.Model]]:
        if id(graph) in seen:
            return
        seen.add(id(graph))
        yield path, graph
        for layer in graph.layers:
            if is_graph(layer):
                yield from walk(layer, f"{path}{layer.name}/")

    return walk(model, "")


def calls_of(graph: keras.Model) -> list[Call]:
    """The calls of one graph in an order in which they can run, inputs left out."""
    return [
        Call(
            node.operation,
            tuple(id(tensor) for tensor in node.input_tensors),
            tuple(id(tensor) for tensor in node.outputs),
        )
        for node in _nodes(graph)
    ]


def producer(graph: keras.Model, index: int) -> Operation:
    """The operation behind a model's output, inside nested models if need be."""
    history = graph.outputs[index]._keras_history
    operation = history.operation
    if is_graph(operation):
        return producer(operation, history.tensor_index)
    return operation


def rebuild(
    model: keras.Model, edit: Edit
) -> tuple[keras.Model, list[tuple[Operation, Operation]]]:
    """Build an edited copy of a model, with new layers throughout.

    Shared layers and nested models stay shared. Weights are not carried over.

    Returns:
        The new, uncompiled model, and (old, new) for every layer that is no model.
    """
    return _Rebuilder(edit).run(model)


def clone_layer(layer: Operation, changes: dict[str, Any] | None = None) -> Operation:
    """A new, unbuilt layer from a layer's config.

    Raises:
        LockError: the layer's config does not make a layer.
    """
    try:
        config = {**layer.get_config(), **(changes or {})}
        if isinstance(layer, keras.layers.Lambda):
            # A config holds a function's code, without the names that it reads.
            own = {"function": layer.function, "mask": layer.mask}
            own |= {"output_shape": layer._output_shape, "arguments": layer.arguments}
            return type(layer)(**config | own)
        if hasattr(layer, "get_vocabulary"):
            config |= _vocabulary_of(layer)
        return type(layer).from_config(config)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise LockError(
            f"cannot copy layer {layer.name!r}: expected {type(layer).__name__}."
            "from_config to accept the layer's own get_config(), got "
            f"{type(error).__name__}.",
            "Give the class a get_config that holds its constructor's arguments.",
        ) from error


def weights_of(layer: Operation) -> list[np.ndarray]:
    """An operation's weights, in its own order; a function has none."""
    return layer.get_weights() if getattr(layer, "weights", None) else []


def set_weights(layer: Operation, weights: list[np.ndarray]) -> None:
    """Give a rebuilt layer its weights, and what it derives from them."""
    if not weights:
        return
    layer.set_weights(weights)
    if hasattr(layer, "finalize_state"):  # Normalization derives constants from them.
        layer.finalize_state()


class _Rebuilder:
    def __init__(self, edit: Edit) -> None:
        self._edit = edit
        self._models: dict[int, keras.Model] = {}
        self._layers: dict[int, tuple[Operation, Operation]] = {}

    def run(
        self, model: keras.Model
    ) -> tuple[keras.Model, list[tuple[Operation, Operation]]]:
        return self._model(model), list(self._layers.values())

    def _model(self, old: keras.Model) -> keras.Model:
        if id(old) not in self._models:
            is_chain = isinstance(old, keras.Sequential)
            new = self._chain(old) if is_chain else self._graph(old)
            new.dtype_policy = old.dtype_policy
            if not old.trainable:
                new.trainable = False
            self._models[id(old)] = new
        return self._models[id(old)]

    def _chain(self, old: keras.Sequential) -> keras.Sequential:
        layers = [_clone_input(old.inputs[0])]
        for layer in old.layers:
            if id(layer) not in self._edit.dropped:
                layers.append(self._twin(layer))
            layers.extend(self._edit.after.get(id(layer), []))
        return keras.Sequential(layers, name=old.name)

    def _graph(self, old: keras.Model) -> keras.Model:
        tensors: dict[int, Any] = {}
        for tensor in old.inputs:
            tensors[id(tensor)] = _clone_input(tensor).output
        for node in _nodes(old):
            args, kwargs = node.arguments.fill_in(tensors)
            result = self._apply(node.operation, args, kwargs)
            for before, after in zip(
                node.outputs, keras.tree.flatten(result), strict=True
            ):
                tensors[id(before)] = after
        inputs, outputs = (
            keras.tree.map_structure(lambda tensor: tensors[id(tensor)], struct)
            for struct in (old.input, old.output)
        )
        return keras.Model(inputs, outputs, name=old.name)

    def _apply(self, operation: Operation, args: Any, kwargs: Any) -> Any:
        if id(operation) in self._edit.dropped:
            result = args[0]
        else:
            result = self._twin(operation)(*args, **kwargs)
        for layer in self._edit.after.get(id(operation), []):
            result = layer(result)
        return result

    def _twin(self, old: Operation) -> Operation:
        if is_graph(old):
            return self._model(old)
        if id(old) not in self._layers:
            is_layer = isinstance(old, keras.layers.Layer)
            new = self._edit.make(old) if is_layer else clone_layer(old)
            self._layers[id(old)] = (old, new)
        return self._layers[id(old)][1]


def _vocabulary_of(layer: keras.layers.Layer) -> dict[str, Any]:
    """What ``adapt`` found, which a lookup holds in a table, as a config has it."""
    if not layer.get_vocabulary(include_special_tokens=False):
        return {}  # Not adapted.
    words = layer.get_vocabulary()
    found: dict[str, Any] = {"vocabulary": words}
    lookup = getattr(layer, "_lookup_layer", layer)  # A TextVectorization has one.
    if lookup.output_mode == "tf_idf":  # Padded, where its output is.
        found["idf_weights"] = lookup.idf_weights_const.numpy()[: len(words)]
    return found


def _clone_input(tensor: Any) -> Operation:
    """A new input layer whose tensor keeps its name, which signatures go by."""
    new = clone_layer(tensor._keras_history.operation)
    new.output.name = tensor.name  # from_config calls it as the layer is called.
    return new


def _nodes(graph: keras.Model) -> list[Any]:
    """A graph's nodes, inputs left out, deepest (nearest the inputs) first.

    Calls of a shared layer keep their order, so that a copy numbers them alike.
    """
    inner = graph._functional if isinstance(graph, keras.Sequential) else graph
    by_depth = inner._nodes_by_depth
    return [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in sorted(by_depth[depth], key=_call_number)
        if not node.is_input
    ]


def _call_number(node: Any) -> int:
    return int(node.operation._inbound_nodes.index(node))
