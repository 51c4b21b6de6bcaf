"""Put locks into a Keras model, take them out, fold them in."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from edgepro_tf.errors import LockError
from edgepro_tf.layers import NeuronLock
from edgepro_tf.lock_training.folding import (
    fold_linear,
    fold_norm,
    has_bias,
    output_axis,
    with_bias,
)
from edgepro_tf.lock_training.graph import (
    Edit,
    check_graph,
    clone_layer,
    graphs_of,
    rebuild,
    set_weights,
    weights_of,
)
from edgepro_tf.lock_training.placement import Place, check_lock, choose_places
from edgepro_tf.lock_training.presets import PRESETS, LockConfig, draw_lock, find_config
from edgepro_tf.lock_training.selection import draw_neurons, pick_neurons, rank_neurons
from edgepro_tf.locks import ChannelLock, secret_rng
from edgepro_tf.training import LockedModel

__all__ = [
    "PRESETS",
    "LockConfig",
    "fold_lock",
    "is_locked",
    "lock_model",
    "locks_of",
    "network_of",
    "strip_lock",
]


def lock_model(
    model: keras.Model,
    *,
    config: str | LockConfig = "default",
    layers: Sequence[str] | None = None,
    samples: Any = None,
    loss: Any = None,
    seed: int | None = None,
) -> LockedModel:
    """Make a locked copy of a model, ready for lock training.

    Weights are carried over as they are, so the copy's released run computes what the
    model computes and its authorized run needs training. Do this before training, or
    before fine-tuning; a finished model is better locked after conversion.

    Args:
        model: functional or Sequential, built; it is left as it is.
        config: ``paper``, ``default``, ``rich``, or a ``LockConfig``.
        layers: names or paths of the layers to lock, over those of the config.
        samples: training samples for the importance ranking: ``x`` or ``(x, y)`` as
            numpy arrays (several inputs: a dict, or ``((a, b), y)``; labels of several
            outputs likewise).
        loss: loss for the ranking, as for ``compile``; None takes the model's own.
        seed: for tests; None draws the lock from the operating system's generator.

    Returns:
        The locked model, not compiled.

    Raises:
        LockError: the model or a layer cannot be locked, or samples are missing.

    Source: EdgePro (arXiv 2303.12397); placement, order and signs are ours.
    """
    config = find_config(config)
    if layers is not None:
        config = dataclasses.replace(config, layers=layers)
    check_graph(network_of(model))
    if is_locked(model):
        raise LockError(
            f"cannot lock model {model.name!r}: expected a model without locks, got "
            "one that has them.",
            "Take them out with strip_lock first.",
        )
    _warn_of_training(model)
    places = choose_places(model, config.layers)
    network, locks = _insert(model, places)
    loss = loss or getattr(model, "loss", None)
    neurons = _choose_neurons(network, locks, config, samples, loss, seed)
    rng = secret_rng(seed)
    for place, lock in zip(places, locks, strict=True):
        lock.assign_lock(draw_lock(place.linear, config, neurons[lock.name], rng))
    return LockedModel(
        network,
        objective=config.objective,
        released_weight=config.released_weight,
        authorized_share=config.authorized_share,
    )


def strip_lock(locked: keras.Model) -> keras.Model:
    """The released network: a plain Keras model with neither locks nor their effect.

    Args:
        locked: a ``LockedModel``, or its network.

    Returns:
        A new, uncompiled model of the structure and layer names that were locked
        (but for a bias or beta where the lock's offsets need one).

    Raises:
        LockError: the model has no locks.
    """
    return _unlock(locked, lambda lock: ChannelLock.identity(lock.channels))


def fold_lock(locked: keras.Model) -> keras.Model:
    """The authorized network: a plain Keras model with the locks in its weights.

    Structure and layer names are exactly those of ``strip_lock``'s model, only
    weights differ.

    Args:
        locked: a ``LockedModel``, or its network.

    Returns:
        A new, uncompiled model.

    Raises:
        LockError: the model has no locks.
    """
    return _unlock(locked, lambda lock: lock)


def is_locked(model: keras.Model) -> bool:
    """Whether a model holds locks."""
    return bool(_find_locks(network_of(model)))


def locks_of(model: keras.Model) -> dict[str, ChannelLock]:
    """The locks of a locked model, by the path of the linear layer each folds into.

    The paths are valid in the models of ``strip_lock`` and ``fold_lock`` too; see
    ``Place.path`` for their form.
    """
    return {
        f"{path}{lock.linear}": lock.read_lock()
        for path, _, lock in _find_locks(network_of(model))
    }


def network_of(model: keras.Model) -> keras.Model:
    """The functional or Sequential network inside a ``LockedModel``, or the model."""
    return model.network if isinstance(model, LockedModel) else model


def _find_locks(network: keras.Model) -> list[tuple[str, keras.Model, NeuronLock]]:
    """Each lock layer once, behind the model that it stands in and the path of that."""
    found: dict[int, tuple[str, keras.Model, NeuronLock]] = {}
    for path, graph in graphs_of(network):
        for layer in graph.layers:
            if isinstance(layer, NeuronLock):
                found.setdefault(id(layer), (path, graph, layer))
    return list(found.values())


def _warn_of_training(model: keras.Model) -> None:
    """Warn of a subclass whose own way to train a locked model would not go."""
    own = [
        name
        for name in ("train_step", "compute_loss")
        if getattr(type(model), name) is not getattr(keras.Model, name)
    ]
    if own:
        warnings.warn(
            f"lock training has a step of its own: {' and '.join(own)} of "
            f"{type(model).__name__} are not used. What they do to inputs goes into "
            "layers or the data, what they add to the loss into compile(loss=...) or "
            "a layer's add_loss.",
            stacklevel=3,
        )


def _insert(
    model: keras.Model, places: list[Place]
) -> tuple[keras.Model, list[NeuronLock]]:
    """A copy of the model with identity locks in it, weights carried over."""
    taken = {layer.name for _, graph in graphs_of(model) for layer in graph.layers}
    by_id = {id(place.linear): place for place in places}
    locks: list[NeuronLock] = []
    after: dict[int, list[keras.layers.Layer]] = {}
    for place in places:
        lock, *rest = _layers_after(place, taken)
        locks.append(lock)
        after[id(place.anchor)] = [lock, *rest]

    def make(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) in by_id and by_id[id(layer)].has_activation:
            changes = {"activation": "linear", "activity_regularizer": None}
            return clone_layer(layer, changes)
        return clone_layer(layer)

    network, pairs = rebuild(model, Edit(make, after))
    for old, new in pairs:
        set_weights(new, weights_of(old))
    return network, locks


def _layers_after(place: Place, taken: set[str]) -> list[Any]:
    name = place.linear.name
    config = place.linear.get_config()
    lock = NeuronLock(
        output_axis(place.linear),
        linear=name,
        norm=place.norm.name if place.norm else None,
        activation=_new_name(f"{name}_activation", taken)
        if place.has_activation
        else None,
        name=_new_name(f"{name}_lock", taken),
        dtype=place.linear.dtype_policy,
    )
    if not place.has_activation:
        return [lock]
    activation = keras.layers.Activation.from_config(
        {
            "name": lock.activation,
            "activation": config["activation"],
            "activity_regularizer": config.get("activity_regularizer"),
            "dtype": config["dtype"],
        }
    )
    return [lock, activation]


def _new_name(name: str, taken: set[str]) -> str:
    fresh, count = name, 0
    while fresh in taken:
        count += 1
        fresh = f"{name}_{count}"
    taken.add(fresh)
    return fresh


def _choose_neurons(
    network: keras.Model,
    locks: list[NeuronLock],
    config: LockConfig,
    samples: Any,
    loss: Any,
    seed: int | None,
) -> dict[str, np.ndarray]:
    """int64 [count] for each lock layer: its authorization neurons."""
    if config.selection == "random" or config.fraction == 0:
        rng = secret_rng(seed)
        counts = {lock.name: int(lock.scale.shape[0]) for lock in locks}
        return {k: draw_neurons(n, config.fraction, rng) for k, n in counts.items()}
    if samples is None:
        raise LockError(
            f"cannot lock model {network.name!r}: expected selection 'random', or "
            f"'importance' with samples, got {config.selection!r} with no samples.",
            "Pass samples=(x_train, y_train), or a config with selection='random'.",
        )
    x, y = samples if isinstance(samples, tuple) else (samples, None)
    scores = rank_neurons(network, locks, x, y, loss=loss)
    return {
        k: pick_neurons(v, config.fraction, config.prefer) for k, v in scores.items()
    }


def _unlock(
    model: keras.Model, effect: Callable[[ChannelLock], ChannelLock]
) -> keras.Model:
    """A copy without lock layers whose weights carry the effect of each lock."""
    network = network_of(model)
    check_graph(network)
    sites = _sites(network)
    if not sites:
        raise LockError(
            f"cannot unlock model {model.name!r}: expected a locked model, got one "
            "without locks.",
            "Lock it with lock_model first.",
        )
    by_linear = {id(site.linear): site for site in sites}
    by_norm = {id(site.norm): site for site in sites if site.norm}

    def make(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) in by_linear:
            return by_linear[id(layer)].make_linear()
        if id(layer) in by_norm:
            return clone_layer(layer, {"center": by_norm[id(layer)].center})
        return clone_layer(layer)

    dropped = {id(layer) for site in sites for layer in site.added if layer}
    plain, pairs = rebuild(network, Edit(make, dropped=dropped))
    for old, new in pairs:
        if id(old) in by_linear:
            weights = by_linear[id(old)].linear_weights(effect)
        elif id(old) in by_norm:
            weights = by_norm[id(old)].norm_weights(effect)
        else:
            weights = weights_of(old)
        set_weights(new, weights)
    return plain


@dataclasses.dataclass(frozen=True, eq=False)
class _Site:
    """One lock layer with the layers around it, as they stand in a locked model."""

    layer: NeuronLock
    linear: keras.layers.Layer
    norm: keras.layers.BatchNormalization | None
    activation: keras.layers.Activation | None

    @property
    def added(self) -> tuple[keras.layers.Layer | None, ...]:
        return (self.layer, self.activation)

    @property
    def lock(self) -> ChannelLock:
        return self.layer.read_lock()

    @property
    def center(self) -> bool:
        """Whether the normalisation has a beta once the lock is out or in."""
        return bool(self.norm and self.norm.center) or bool(np.any(self.lock.offset))

    @property
    def bias(self) -> bool:
        needed = self.norm is None and bool(np.any(self.lock.offset))
        return needed or has_bias(self.linear)

    def make_linear(self) -> keras.layers.Layer:
        config: dict[str, Any] = {}
        if self.bias and not has_bias(self.linear):
            config = with_bias(config, self.linear)
        if self.activation:
            split = self.activation.get_config()
            config["activation"] = split["activation"]
            # Activation's config names its regulariser only where there is one.
            regularizer = self.activation.activity_regularizer
            config["activity_regularizer"] = (
                keras.regularizers.serialize(regularizer) if regularizer else None
            )
        return clone_layer(self.linear, config)

    def linear_weights(self, effect: Callable[[ChannelLock], ChannelLock]) -> Any:
        lock = effect(self.lock)
        return fold_linear(self.linear, lock, offset=self.norm is None, bias=self.bias)

    def norm_weights(self, effect: Callable[[ChannelLock], ChannelLock]) -> Any:
        return fold_norm(self.norm, effect(self.lock), center=self.center)


def _sites(network: keras.Model) -> list[_Site]:
    sites = []
    for _, graph, lock in _find_locks(network):
        check_lock(graph, lock)
        norm, activation = (
            graph.get_layer(name) if name else None
            for name in (lock.norm, lock.activation)
        )
        sites.append(_Site(lock, graph.get_layer(lock.linear), norm, activation))
    return sites
