"""What is attacked: a public model, and what only its developer knows of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np

from edgepro_tf import locks, native
from edgepro_tf.audit.guessing import (
    StoredGuess,
    draw_stored,
    place_stored,
    redraw_tensor,
)
from edgepro_tf.audit.network.answers import check_answers, find_answers
from edgepro_tf.audit.network.importer import Linear, Network, import_model
from edgepro_tf.audit.scoring.tasks import Task
from edgepro_tf.audit.statistics import pair_rows
from edgepro_tf.locks import ModelLock, Step, TensorLock
from edgepro_tf.payload import pack_lock, unpack_lock

Arrays = list[np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Draw:
    """The constants of one public file.

    Args:
        values: in the order of ``Network.parameters``.
        orders: for each linear operator int [channels], the authorized channel that
            each public row is; None, or empty for all of them, where the rows' own bits
            have to tell.
    """

    values: Arrays = dataclasses.field(repr=False)
    orders: list[np.ndarray | None] = dataclasses.field(
        default_factory=list, repr=False
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A public model under attack, with what only the developer knows.

    Args:
        network: the public file, imported.
        authorized: the restored constants in the order of ``network.parameters``; only
            attacks that say so (``needs`` is ``developer``) read them.
        steps: the recipe's steps on each parameter, ``Step(0)`` for none. A recipe is
            public: every thief knows it.
        stored_channels: for each parameter the channels with a locking value, the
            secret that the paper's lock consists of.
        exponent_range: of scale factors.
        content, payload: the pair itself, for measurements through the real core.
        undrawn: the constants with every draw undone and no locking value set; the
            public ones where nothing is drawn.
        scales: quantisation scales of the authorized constants, as ``Network.scales``;
            empty where there are none.
        scale_steps: the recipe's steps on them.
        orders: as in ``Draw``.
        output: name of the one that is attacked; None for the only one.
        base: the constants of the public network that this one was fine-tuned from, as
            ``authorized``, zeros for the heads; None where it is not known.
    """

    network: Network = dataclasses.field(repr=False)
    authorized: Arrays = dataclasses.field(repr=False)
    steps: tuple[Step, ...]
    stored_channels: tuple[tuple[int, ...], ...] = dataclasses.field(repr=False)
    exponent_range: int = 2
    content: bytes = dataclasses.field(default=b"", repr=False)
    payload: bytes = dataclasses.field(default=b"", repr=False)
    undrawn: Arrays | None = dataclasses.field(default=None, repr=False)
    scales: Arrays = dataclasses.field(default_factory=list, repr=False)
    scale_steps: tuple[Step, ...] = ()
    orders: list[np.ndarray | None] = dataclasses.field(
        default_factory=list, repr=False
    )
    output: str | None = None
    base: Arrays | None = dataclasses.field(default=None, repr=False)

    @property
    def public(self) -> Arrays:
        return list(self.network.values)

    @property
    def draw(self) -> Draw:
        return Draw(self.public, self.orders)

    @property
    def readable_layers(self) -> tuple[int, ...]:
        """Linear operators whose filter keeps its rows whole."""
        return self._layers_without(Step.SHUFFLE | Step.MASK)

    @property
    def masked_layers(self) -> tuple[int, ...]:
        """Linear operators whose filter has its rows in place, every element masked."""
        layers = self._layers_without(Step.SHUFFLE)
        return tuple(i for i in layers if self.has_step(i, Step.MASK))

    def _layers_without(self, steps: Step) -> tuple[int, ...]:
        layers = self.network.distinct_linears
        return tuple(i for i in layers if not self.has_step(i, steps))

    def has_step(self, layer: int, steps: Step) -> bool:
        """Whether the recipe does one of these to a linear operator's filter."""
        return bool(self.steps[self.network.linears[layer].filter] & steps)

    def is_hidden(self, parameter: int) -> bool:
        """Whether the recipe leaves nothing of a parameter that could be kept."""
        return bool(self.steps[parameter] & (Step.SHUFFLE | Step.MASK))

    def is_locked(self, parameter: int) -> bool:
        return bool(self.steps[parameter]) or bool(self.stored_channels[parameter])

    def guess(
        self, known: list[float], rng: np.random.Generator, *, fills: bool = False
    ) -> Arrays:
        """Constants restored by a lock of which a share is known, per parameter.

        ``fills``: stored rows that are not known go to wrong channels; a filter's and
        its bias' go to the same.
        """
        out = []
        places: dict[tuple[int, ...], StoredGuess] = {}
        for i, parameter in enumerate(self.network.parameters):
            axis, values = parameter.channel_axis, self.authorized[i]
            stored = self.stored_channels[i]
            if stored:
                if stored not in places:
                    channels = parameter.shape[axis]
                    places[stored] = draw_stored(
                        stored, channels, known[i], rng, fills=fills
                    )
                released = (self.undrawn or self.network.values)[i]
                values = place_stored(released, values, axis, places[stored])
            out.append(self._redraw(i, values, known[i], rng))
        return out

    def _redraw(
        self, i: int, values: np.ndarray, known: float, rng: np.random.Generator
    ) -> np.ndarray:
        parameter = self.network.parameters[i]
        scales = self.scales[i] if self.scales else np.ones(1, np.float32)
        drawn = redraw_tensor(
            values / scales, self.steps[i], parameter.channel_axis, known, rng,
            exponent_range=self.exponent_range, element_type=parameter.element_type,
            levels=parameter.levels, packed=parameter.packed,
        )  # fmt: skip
        if self.scale_steps and self.scale_steps[i]:
            scales = redraw_tensor(scales, self.scale_steps[i], 0, known, rng)
        return drawn * scales


def make_target(
    public: bytes,
    payload: bytes,
    *,
    name: str = "the model",
    output: str | None = None,
    task: Task | None = None,
) -> Target:
    """Open a pair as its developer can, who audits what a thief would see.

    Args:
        public: the ``.tflite`` that ships.
        payload: its lock; read for the recipe's steps, and for what attacks with
            partial knowledge are told.
        name: of the model, for errors.
        output: name of the one to attack; None for the only one.
        task: what is asked of it; None for a classifier's.

    Raises:
        ConversionError: the model is none that attacks can be run on.
        InterpreterError: it has several outputs and none is named, or no such one.
        WrongModelError: the payload belongs to another file.
    """
    answers = find_answers(name, public, output)
    restored = bytearray(public)
    native.restore_buffer(restored, payload)
    lock = unpack_lock(payload)
    network = import_model(public, answers, task)
    authorized = undrawn = _import_alike(bytes(restored), network)
    network = network.knowing(authorized.single_numbers)
    if any(one.steps & Step.SET for one in lock.tensors):
        content = bytearray(public)
        native.restore_buffer(content, pack_lock(_without_values(lock)))
        undrawn = _import_alike(bytes(content), network)
    target = _describe(network, authorized, lock)
    return dataclasses.replace(
        target,
        network=check_answers(network, target.authorized, bytes(restored)),
        content=public,
        payload=payload,
        output=output,
        undrawn=[
            value if steps else public_value
            for value, steps, public_value in zip(
                undrawn.values,
                target.steps,
                network.values,
                strict=True,
            )
        ],
        orders=_find_orders(target, bytes(restored), lock),
    )


def relock(target: Target, seed: bytes) -> Draw:
    """Another public file of the same network, under another seed.

    Made by the native core; where lock training set values, by a redraw (the core no
    longer knows what was released).
    """
    if any(target.stored_channels):
        rng = np.random.default_rng(list(seed))
        return Draw(target.guess([0.0] * len(target.steps), rng))
    restored = bytearray(target.content)
    native.restore_buffer(restored, target.payload)
    lock = unpack_lock(target.payload).with_seed(seed)
    locked = bytearray(restored)
    native.apply_lock(locked, pack_lock(lock))
    values = list(_import_alike(bytes(locked), target.network).values)
    return Draw(values, _find_orders(target, bytes(restored), lock))


def _describe(network: Network, restored: Network, lock: ModelLock) -> Target:
    records = {
        (network.graph.buffers[t.tensor], t.target): t
        for t in lock.tensors
        if t.subgraph == 0
    }
    steps, scale_steps, stored, exponents = [], [], [], 0
    for parameter in network.parameters:
        record = records.get((parameter.buffer, locks.Target.DATA))
        of_scales = records.get((parameter.buffer, locks.Target.SCALES))
        step, channels = Step(0), ()
        if record is not None:
            step = record.steps & ~Step.SET
            exponents = max(exponents, record.exponent_range)
            if record.set_values is not None:
                named = record.set_values.channels
                if named is None:  # A tensor withheld tells less than a shuffled one.
                    step |= Step.SHUFFLE | Step.SIGNS
                channels = named or ()
        steps.append(step)
        scale_steps.append(of_scales.steps & ~Step.SET if of_scales else Step(0))
        stored.append(tuple(channels))
    return Target(
        network,
        list(restored.values),
        tuple(steps),
        tuple(stored),
        exponents,
        scales=list(restored.scales),
        scale_steps=tuple(scale_steps),
    )


def _without_values(lock: ModelLock) -> ModelLock:
    """A lock without its locking values where there are draws too.

    All records stay: their numbers are the draws' nonces.
    """
    return _change_records(
        lock,
        lambda one: dataclasses.replace(
            one, steps=one.steps & ~Step.SET, set_values=None
        ),
    )


def _without_masks(lock: ModelLock) -> ModelLock:
    return _change_records(
        lock,
        lambda one: dataclasses.replace(
            one, steps=one.steps & ~(Step.MASK | Step.FRACTION), window=0
        ),
    )


def _change_records(
    lock: ModelLock, change: Callable[[TensorLock], TensorLock]
) -> ModelLock:
    """Records changed, but for those that would have no step left."""
    changed = [change(one) for one in lock.tensors]
    pairs = zip(lock.tensors, changed, strict=True)
    kept = tuple(new if new.steps else old for old, new in pairs)
    return dataclasses.replace(lock, tensors=kept)


def _find_orders(target: Target, restored: bytes, lock: ModelLock) -> Arrays:
    """The authorized channel that each public row is, by linear operator.

    Where masks cover all of an element, its row is known by the same lock without them.
    Empty where lock training set values.
    """
    if any(target.stored_channels):
        return []
    linears = target.network.linears
    orders = [np.arange(one.channels) for one in linears]
    ordered = [
        k for k, one in enumerate(linears) if target.steps[one.filter] & Step.ORDER
    ]
    if not ordered:
        return orders
    content = bytearray(restored)
    native.apply_lock(content, pack_lock(_without_masks(lock)))
    unmasked = _import_alike(bytes(content), target.network)
    for k in ordered:
        one, i = linears[k], linears[k].filter
        locked = _rows(unmasked.values[i], unmasked.scales[i], one)
        authorized = _rows(target.authorized[i], target.scales[i], one)
        orders[k] = pair_rows(locked, authorized)
    return orders


def _import_alike(content: bytes, network: Network) -> Network:
    return import_model(content, network.output, network.task)


def _rows(values: np.ndarray, scales: np.ndarray, one: Linear) -> np.ndarray:
    """A filter's rows as the file has them: integers where it is quantised."""
    stored = np.rint(values / scales) if np.any(scales != 1) else values
    return np.moveaxis(stored, one.channel_axis, 0).reshape(one.channels, -1)


def digest(public: bytes) -> str:
    """Sixteen hex digits that name a public model in the cache."""
    return hashlib.sha256(public).hexdigest()[:16]
