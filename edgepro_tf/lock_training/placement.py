"""Where in a Keras model a lock can stand."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import keras

from edgepro_tf.errors import LockError
from edgepro_tf.lock_training.folding import KINDS, is_linear, output_axis, refuse
from edgepro_tf.lock_training.graph import Call, calls_of, graphs_of, is_graph


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A linear layer whose output can be locked.

    Args:
        path: the layer's name behind those of the nested models it stands in, as in
            ``"encoder/conv_1"``.
        linear: the layer that the lock folds into.
        norm: the batch normalisation that is its only consumer and has no other
            source, or None; the lock then stands after it.
        is_head: whether a model output is reached without another linear layer.
    """

    path: str
    linear: keras.layers.Layer
    norm: keras.layers.BatchNormalization | None
    is_head: bool

    @property
    def has_activation(self) -> bool:
        """Whether the layer applies an activation function itself."""
        function = getattr(self.linear, "activation", None)
        return function not in (None, keras.activations.linear)

    @property
    def anchor(self) -> keras.layers.Layer:
        """The layer right before the lock."""
        return self.norm or self.linear


def find_places(model: keras.Model) -> list[Place]:
    """All lockable layers of a model, nested models included, in execution order."""
    uses = _Uses(model)
    heads = uses.heads()
    places: dict[int, Place] = {}
    for path, graph in graphs_of(model):
        for call in calls_of(graph):
            layer = call.operation
            if id(layer) in places or not is_linear(layer):
                continue
            places[id(layer)] = Place(
                f"{path}{layer.name}", layer, uses.norm_of(layer), id(layer) in heads
            )
    return list(places.values())


def choose_places(model: keras.Model, layers: Sequence[str] | None) -> list[Place]:
    """The places to lock: all but the heads, or those named.

    Args:
        model: functional or Sequential.
        layers: paths, or plain names where only one layer has the name.

    Raises:
        LockError: a name is unknown or ambiguous, no lock folds into its layer, or
            nothing is left to lock.
    """
    places = find_places(model)
    if layers is not None and not layers:
        raise LockError(
            f"cannot lock model {model.name!r}: expected at least one layer name, got "
            "none.",
            "Leave layers out to lock every hidden layer.",
        )
    if layers is None:
        chosen = [place for place in places if not place.is_head]
    else:
        chosen = [_find(model, places, name) for name in dict.fromkeys(layers)]
    if not places:
        for _, graph in graphs_of(model):
            for layer in graph.layers:
                if type(layer).__name__ in KINDS:  # Quantised, adapted, or a subclass.
                    raise refuse(layer, None)
    if not chosen:
        raise LockError(
            f"cannot lock model {model.name!r}: expected at least one hidden "
            f"convolution or dense layer, got {len(places)} linear layers, all heads.",
            "Name the layers to lock, or add a hidden layer.",
        )
    return chosen


def _find(model: keras.Model, places: list[Place], name: str) -> Place:
    fits = [p for p in places if name in (p.path, p.linear.name)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise LockError(
            f"cannot lock layer {name!r}: expected one layer of that name, got "
            f"{', '.join(p.path for p in fits)}.",
            "Name it with its path.",
        )
    for path, graph in graphs_of(model):
        for layer in graph.layers:
            if name in (layer.name, f"{path}{layer.name}"):
                raise refuse(layer, _nearest(graph, layer, places))
    raise LockError(
        f"cannot lock layer {name!r}: expected a layer of model {model.name!r}, got "
        "a name it does not have.",
        f"Lockable layers: {', '.join(p.path for p in places) or 'none'}.",
    )


def check_lock(graph: keras.Model, lock: Any) -> None:
    """Refuse a lock layer that does not stand where it says.

    Args:
        graph: functional or Sequential.
        lock: a ``NeuronLock`` of it.

    Raises:
        LockError: it is not right behind its linear layer, or its normalisation, or
            something else reads their output too.
    """
    layers = {layer.name: layer for layer in graph.layers}
    names = [lock.linear, *([lock.norm] if lock.norm else []), lock.name]
    chain = [layers.get(name) for name in names]
    if is_linear(chain[0]) and all(
        _feeds_only(graph, before, after) for before, after in itertools.pairwise(chain)
    ):
        return
    nearest = _nearest(graph, lock, find_places(graph))
    raise LockError(
        f"cannot fold lock {lock.name!r}: expected it right after the layer it folds "
        f"into, and nothing else there, got another place for linear={lock.linear!r}.",
        f"Take it out and lock {nearest!r} with lock_model." if nearest else "",
    )


def _feeds_only(graph: keras.Model, before: Any, after: Any) -> bool:
    """Whether a layer's output goes to another layer, which reads nothing else."""
    calls = calls_of(graph)
    outputs = {t for c in calls if c.operation is before for t in c.outputs}
    readers = [c.operation for c in calls if outputs.intersection(c.inputs)]
    inputs = {t for c in calls if c.operation is after for t in c.inputs}
    return (
        bool(readers)
        and all(reader is after for reader in readers)
        and inputs <= outputs
        and not outputs.intersection(id(tensor) for tensor in graph.outputs)
    )


def _nearest(graph: keras.Model, layer: Any, places: list[Place]) -> str | None:
    """The closest lockable layer before this one, else the first one at all."""
    by_id = {id(place.linear): place.path for place in places}
    calls = calls_of(graph)
    source = {tensor: call for call in calls for tensor in call.outputs}
    front = [call for call in calls if call.operation is layer]
    seen: set[int] = set()
    while front:
        call = front.pop(0)
        if id(call.operation) in by_id:
            return by_id[id(call.operation)]
        for tensor in call.inputs:
            if tensor in source and tensor not in seen:
                seen.add(tensor)
                front.append(source[tensor])
    return places[0].path if places else None


class _Uses:
    """Who produces and who consumes each tensor, over all graphs of a model."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._calls: dict[int, list[Call]] = {}
        self._source: dict[int, Call] = {}
        self._consumers: dict[int, list[Call]] = {}
        self._outputs: set[int] = set()
        for _, graph in graphs_of(model):
            self._outputs.update(id(tensor) for tensor in graph.outputs)
            for call in calls_of(graph):
                self._add(call)

    def _add(self, call: Call) -> None:
        if call.outputs and call.outputs[0] in self._source:
            return  # Two models built over the same tensors share their nodes.
        self._calls.setdefault(id(call.operation), []).append(call)
        self._source.update(dict.fromkeys(call.outputs, call))
        for tensor in call.inputs:
            self._consumers.setdefault(tensor, []).append(call)

    def norm_of(self, layer: Any) -> keras.layers.BatchNormalization | None:
        """The normalisation that this layer, and only it, always feeds."""
        if getattr(layer, "activation", None) not in (None, keras.activations.linear):
            return None
        calls = self._calls[id(layer)]
        norms = {}
        for call in calls:
            consumers = self._consumers.get(call.outputs[0], [])
            if call.outputs[0] in self._outputs or len(consumers) != 1:
                return None
            norms[id(consumers[0].operation)] = consumers[0].operation
        norm = next(iter(norms.values()))
        if len(norms) != 1 or type(norm) is not keras.layers.BatchNormalization:
            return None
        if len(self._calls[id(norm)]) != len(calls):
            return None
        rank = norm.input_spec.ndim
        return norm if norm.axis % rank == output_axis(layer) % rank else None

    def heads(self) -> set[int]:
        """Ids of the layers that reach an output without another linear layer."""
        found: set[int] = set()
        seen: set[int] = set()
        front = [id(tensor) for tensor in self._model.outputs]
        while front:
            tensor = front.pop()
            if tensor in seen or tensor not in self._source:
                continue
            seen.add(tensor)
            call = self._source[tensor]
            if is_graph(call.operation):
                index = call.outputs.index(tensor)
                front.append(id(call.operation.outputs[index]))
                if _is_passive(call.operation):
                    front.extend(call.inputs)
            elif is_linear(call.operation):
                found.add(id(call.operation))
            elif not _has_kernel(call.operation):
                front.extend(call.inputs)
        return found


def _is_passive(graph: keras.Model) -> bool:
    """Whether a nested model has no layer that a head could be."""
    return not any(
        _is_passive(layer) if is_graph(layer) else _has_kernel(layer)
        for layer in graph.layers
    )


def _has_kernel(layer: Any) -> bool:
    return any(len(weight.shape) > 1 for weight in getattr(layer, "weights", []))
