"""A thief with a part of a key, or with a memory dump of an older version.

``Target.guess`` of the audit knows as much of the locking values as of the draws; here
the two can be known apart from each other.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgepro_tf.audit.guessing import draw_stored, place_stored
from edgepro_tf.audit.target import Arrays, Target
from edgepro_tf.locks import Step


def guess_lock(
    target: Target, draws: float, values: float, rng: np.random.Generator
) -> Arrays:
    """The constants as someone restores them who knows a part of the lock.

    Args:
        target: made from a pair.
        draws: share of the draws known, of every constant's channels or elements.
        values: share of the authorization neurons whose locking values are known.
        rng: draws which, and the guesses.
    """
    assert target.undrawn is not None
    count = len(target.undrawn)
    drawn = dataclasses.replace(
        target, authorized=target.undrawn, stored_channels=((),) * count
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


def update_dump(target: Target, dump: Arrays) -> Arrays:
    """Bring an older version's constants up to date with the public file alone.

    Open constants are taken over. In a shuffled one each element gets the public
    magnitude of its own rank. A masked one tells nothing: the dump's stays.

    Args:
        target: the newer version; only its public file and recipe are read.
        dump: the older version's constants, restored.
    """
    out = []
    for index, (old, public) in enumerate(zip(dump, target.public, strict=True)):
        if target.steps[index] & Step.SHUFFLE:
            out.append(_by_rank(old, public))
        else:
            out.append(old if target.is_locked(index) else public)
    return out


def _by_rank(old: np.ndarray, public: np.ndarray) -> np.ndarray:
    out = np.empty(old.size, np.float32)
    out[np.argsort(np.abs(old), axis=None)] = np.sort(np.abs(public), axis=None)
    return np.copysign(out.reshape(old.shape), old)
