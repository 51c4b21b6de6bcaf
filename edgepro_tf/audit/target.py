"""From a pair (public bytes, payload) to the target of an audit."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from edgepro_tf import native
from edgepro_tf.audit.importer import Network, import_model
from edgepro_tf.audit.thief import Arrays, Target
from edgepro_tf.locks import ModelLock, Step
from edgepro_tf.locks import Target as Which
from edgepro_tf.payload import pack_lock, unpack_lock


def make_target(public: bytes, payload: bytes, *, name: str, recipe: str) -> Target:
    """Open a pair as its developer can, who audits what a thief would see.

    Args:
        public: the ``.tflite`` that ships.
        payload: its lock; read for the recipe's steps, and for what attacks with
            partial knowledge are told.
        name: heading of the report.
        recipe: its name, for the report.

    Raises:
        ConversionError: the model is no float32 or float16 classifier.
        WrongModelError: the payload belongs to another file.
    """
    restored = bytearray(public)
    native.restore_buffer(restored, payload)
    network, authorized = import_model(public), import_model(bytes(restored))
    target = lock_target(
        network, list(authorized.values), unpack_lock(payload), name, recipe
    )
    undrawn = bytearray(public)
    native.restore_buffer(undrawn, _without_values(payload))
    return dataclasses.replace(
        target,
        content=public,
        payload=payload,
        undrawn=[
            value if steps else public_value
            for value, steps, public_value in zip(
                import_model(bytes(undrawn)).values,
                target.steps,
                network.values,
                strict=True,
            )
        ],
    )


def _without_values(payload: bytes) -> bytes:
    """The same lock, but for locking values where there are draws too.

    All records stay: their numbers are the draws' nonces.
    """
    lock = unpack_lock(payload)
    tensors = tuple(
        dataclasses.replace(tensor, steps=tensor.steps & ~Step.SET, set_values=None)
        if tensor.steps & ~Step.SET
        else tensor
        for tensor in lock.tensors
    )
    return pack_lock(ModelLock(lock.seed, tensors))


def lock_target(
    network: Network, authorized: list, lock: ModelLock, name: str, recipe: str
) -> Target:  # type: ignore[type-arg]
    """The same from parts."""
    buffers = network.graph.buffers
    records = {
        buffers[t.tensor]: t
        for t in lock.tensors
        if t.subgraph == 0 and t.target is Which.DATA
    }
    steps, stored, exponents = [], [], 0
    for parameter in network.parameters:
        record = records.get(parameter.buffer)
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
        stored.append(tuple(channels))
    return Target(
        name, network, authorized, tuple(steps), tuple(stored), recipe, exponents
    )


def relock(target: Target, seed: bytes) -> Arrays:
    """The constants of another public file of the same network, under another seed.

    Made by the native core; where lock training set values, by a redraw (the core no
    longer knows what was released).
    """
    if any(target.stored_channels):
        rng = np.random.default_rng(list(seed))
        return target.guess([0.0] * len(target.steps), rng)
    content = bytearray(target.content)
    native.restore_buffer(content, target.payload)
    lock = dataclasses.replace(unpack_lock(target.payload), seed=seed)
    native.apply_lock(content, pack_lock(lock))
    return list(import_model(bytes(content)).values)


def digest(public: bytes) -> str:
    """Sixteen hex digits that name a public model in the cache."""
    return hashlib.sha256(public).hexdigest()[:16]
