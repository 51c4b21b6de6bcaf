"""A thief with a part of a key, or with a memory dump of an older version.

``Target.guess`` of the audit starts, where training set locking values, from the public
rows; here draws and locking values can be known apart from each other.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from edgepro_tf import native
from edgepro_tf.audit.guessing import draw_stored, place_stored
from edgepro_tf.audit.importer import import_model
from edgepro_tf.audit.statistics import cosines, filter_rows
from edgepro_tf.audit.target import make_target
from edgepro_tf.audit.thief import Arrays, Target
from edgepro_tf.locks import ModelLock, Step
from edgepro_tf.payload import pack_lock, unpack_lock

if TYPE_CHECKING:
    from converters.pipeline import ProtectedModel

# Magnitudes of unrelated normal rows have a cosine of 2 / pi.
_SAME_ROW = 0.9


@dataclasses.dataclass(frozen=True, eq=False)
class Shipped:
    """A version that ships.

    Args:
        target: its public file, and what its lock restores.
        undrawn: the constants with every draw undone and no locking value set.
    """

    target: Target
    undrawn: Arrays


def open_version(pair: ProtectedModel) -> Shipped:
    """Open a pair as its developer can."""
    target = make_target(pair.public, pair.payload, name="", recipe=pair.recipe)
    restored = bytearray(pair.public)
    native.restore_buffer(restored, _without_values(pair.payload))
    return Shipped(target, list(import_model(bytes(restored)).values))


def guess_lock(
    shipped: Shipped, draws: float, values: float, rng: np.random.Generator
) -> Arrays:
    """The constants as someone restores them who knows a part of the lock.

    Args:
        shipped: the version.
        draws: share of the draws known, of every constant's channels or elements.
        values: share of the authorization neurons whose locking values are known.
        rng: draws which, and the guesses.
    """
    target = shipped.target
    count = len(shipped.undrawn)
    drawn = dataclasses.replace(
        target, authorized=shipped.undrawn, stored_channels=((),) * count
    ).guess([draws] * count, rng)
    out, places = [], {}
    for parameter, value, right, stored in zip(
        target.network.parameters, drawn, target.authorized, target.stored_channels,
        strict=True,
    ):  # fmt: skip
        axis = parameter.channel_axis
        if stored and stored not in places:
            channels = parameter.shape[axis]
            places[stored] = draw_stored(stored, channels, values, rng, fills=False)
        out.append(
            place_stored(value, right, axis, places[stored]) if stored else value
        )
    return out


def update_dump(
    shipped: Shipped, dump: Arrays, *, ranks: bool
) -> tuple[Arrays, dict[str, float]]:
    """Bring an older version's constants up to date with the public file alone.

    Each hidden row is replaced by the public row whose magnitudes resemble it most,
    with the older row's signs and scale, if they resemble it enough.

    Args:
        shipped: the newer version; only its public file and recipe are read, the rest
            for the figures.
        dump: the older version's constants, restored.
        ranks: shuffled constants take the public values too, each the one of its own
            rank in magnitude.

    Returns:
        The constants, and the share of hidden rows that are nearly right.

    Source: Ainsworth, Hayase and Srinivasa, "Git Re-Basin", ICLR 2023, section 3.2
        (weight matching), here of magnitudes.
    """
    target, out = shipped.target, [np.array(values) for values in dump]
    right = total = 0
    for layer in target.readable_layers:
        one = target.network.linears[layer]
        axis, index = one.channel_axis, one.filter
        rows = _match_rows(
            filter_rows(dump[index], axis),
            filter_rows(target.public[index], axis),
            scales=bool(target.steps[index] & Step.EXPONENTS),
        )
        true = filter_rows(target.authorized[index], axis)
        error = np.linalg.norm(rows - true, axis=1)
        right += int(np.sum(error <= 0.1 * np.linalg.norm(true, axis=1)))
        total += one.channels
        np.moveaxis(out[index], axis, 0)[:] = rows.reshape(
            np.moveaxis(out[index], axis, 0).shape
        )
    for index, steps in enumerate(target.steps):
        if ranks and steps & Step.SHUFFLE:
            out[index] = _by_rank(dump[index], target.public[index])
    return out, {"rows_right": right / max(1, total)}


def _match_rows(old: np.ndarray, public: np.ndarray, *, scales: bool) -> np.ndarray:
    likeness = cosines(np.abs(old), np.abs(public))
    channels, order = linear_sum_assignment(-likeness)
    found = np.abs(public[order])
    if scales:
        sizes = np.linalg.norm(old, axis=1), np.linalg.norm(found, axis=1)
        ratio = np.maximum(sizes[0], 1e-6) / np.maximum(sizes[1], 1e-6)
        found = found * 2.0 ** np.round(np.log2(ratio))[:, None]
    matches = likeness[channels, order] > _SAME_ROW
    return np.where(matches[:, None], np.copysign(found, old), old)


def _by_rank(old: np.ndarray, public: np.ndarray) -> np.ndarray:
    out = np.empty(old.size, np.float32)
    out[np.argsort(np.abs(old), axis=None)] = np.sort(np.abs(public), axis=None)
    return np.copysign(out.reshape(old.shape), old)


def _without_values(payload: bytes) -> bytes:
    """The same lock, but for what lock training set."""
    lock = unpack_lock(payload)
    tensors = tuple(
        dataclasses.replace(tensor, steps=tensor.steps & ~Step.SET, set_values=None)
        for tensor in lock.tensors
    )
    return pack_lock(ModelLock(lock.seed, tensors))
