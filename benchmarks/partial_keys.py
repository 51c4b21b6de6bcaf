"""A thief with a part of a key, or with a memory dump of an older version.

``Target.guess`` of the audit knows as much of the locking values as of the draws; here
the two can be known apart from each other.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from edgepro_tf.audit.guessing import draw_stored, place_stored
from edgepro_tf.audit.thief import Arrays, Target
from edgepro_tf.locks import Step

# A mask leaves so many values of a fraction's lower bits; unrelated ones lie a quarter
# apart on average.
_LOW = 1 << 12
_SAME_ROW = _LOW / 8


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
    magnitude of its own rank. A masked one tells the lower bits of its fractions: rows
    are matched by them, and each element of a matched row becomes the value nearest to
    the dump's that ends with the public bits, which is right if it changed by less than
    2^-12 of itself.

    Args:
        target: the newer version; only its public file and recipe are read.
        dump: the older version's constants, restored.
    """
    out = []
    for index, parameter in enumerate(target.network.parameters):
        old, public = dump[index], target.public[index]
        if target.steps[index] & Step.MASK:
            axis = parameter.channel_axis
            rows = [np.moveaxis(values, axis, 0) for values in (old, public)]
            flat = [np.ascontiguousarray(r.reshape(len(r), -1)) for r in rows]
            found = _read_low_bits(*flat).reshape(rows[0].shape)
            out.append(np.ascontiguousarray(np.moveaxis(found, 0, axis)))
        elif target.steps[index] & Step.SHUFFLE:
            out.append(_by_rank(old, public))
        else:
            out.append(old if target.is_locked(index) else public)
    return out


def _read_low_bits(old: np.ndarray, public: np.ndarray) -> np.ndarray:
    """Rows [channels, elements], float32, as near to the old ones as can be.

    Source: Ainsworth, Hayase and Srinivasa, "Git Re-Basin", ICLR 2023, section 3.2
        (weight matching), here of lower bits.
    """
    sizes, ends = np.abs(old).view(np.int32), public.view(np.int32)
    apart = np.stack([np.abs(_steps(sizes, row)).mean(1) for row in ends], axis=1)
    channels, order = linear_sum_assignment(apart)
    near = np.maximum(sizes + _steps(sizes, ends[order]), 0).view(np.float32)
    matches = apart[channels, order] < _SAME_ROW
    return np.where(matches[:, None], np.copysign(near, old), old)


def _steps(bits: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """From each number the least way to one with the other's lower bits."""
    return (ends - bits + _LOW // 2) % _LOW - _LOW // 2


def _by_rank(old: np.ndarray, public: np.ndarray) -> np.ndarray:
    out = np.empty(old.size, np.float32)
    out[np.argsort(np.abs(old), axis=None)] = np.sort(np.abs(public), axis=None)
    return np.copysign(out.reshape(old.shape), old)
