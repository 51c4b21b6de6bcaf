"""What a lock-trained lock is made of: the config, its presets and the draw."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import keras
import numpy as np

from edgepro_tf.errors import LockError
from edgepro_tf.lock_training.folding import filter_view, order_blocks
from edgepro_tf.lock_training.objectives import OBJECTIVES
from edgepro_tf.lock_training.selection import METHODS, PREFERENCES
from edgepro_tf.locks import ChannelLock


@dataclasses.dataclass(frozen=True)
class LockConfig:
    """What a lock-trained lock is made of; every part can be switched off.

    Args:
        fraction: share of each layer's neurons that become authorization neurons;
            0 for none.
        locking_value: their linear output in an authorized run, or the range (low,
            high) it is drawn from.
        signs: scale factors of both signs.
        exponent_range: scale factors 2^-e .. 2^e; 0 leaves magnitudes alone.
        offsets: other neurons get an offset drawn from -offsets..offsets; 0 for none.
        order: channels change places.
        selection: ``importance`` (needs samples) or ``random``.
        prefer: with importance, the ``important`` or the ``unimportant`` neurons.
        layers: names of the layers to lock; None takes every hidden linear layer.
        objective: what a released run is trained towards, ``uniform`` or
            ``random_labels``.
        released_weight: weight of that objective beside the task's loss.
        authorized_share: share of each training batch that runs authorized.
    """

    fraction: float = 0.1
    locking_value: float | tuple[float, float] = 0.0
    signs: bool = True
    exponent_range: int = 0
    offsets: float = 0.0
    order: bool = False
    selection: str = "random"
    prefer: str = "important"
    layers: Sequence[str] | None = None
    objective: str = "uniform"
    released_weight: float = 1.0
    authorized_share: float = 0.5

    def __post_init__(self) -> None:
        ends = np.atleast_1d(np.asarray(self.locking_value, np.float64))
        rules = {
            "fraction from 0 to 1": 0 <= self.fraction <= 1,
            "a finite locking_value, or a pair of them": np.isfinite(ends).all()
            and ends.shape in ((1,), (2,)),
            "an integer exponent_range from 0 on": isinstance(self.exponent_range, int)
            and self.exponent_range >= 0,
            "finite offsets from 0 on": 0 <= self.offsets < np.inf,
            "selection 'importance' or 'random'": self.selection in METHODS,
            "prefer 'important' or 'unimportant'": self.prefer in PREFERENCES,
            "layers as a list of names": not isinstance(self.layers, str),
            f"objective {' or '.join(map(repr, OBJECTIVES))}": self.objective
            in OBJECTIVES,
            "a finite released_weight from 0 on": 0 <= self.released_weight < np.inf,
            "an authorized_share above 0 and at most 1": 0 < self.authorized_share <= 1,
        }
        for rule, holds in rules.items():
            if not holds:
                raise LockError(
                    f"cannot make lock config: expected {rule}, got {self}."
                )


PRESETS = {
    # Authorization neurons alone, set to zero, as the paper's experiments have it.
    # Shares and weights: docs/decisions/0001-lock-training-batch.md.
    "paper": LockConfig(
        signs=False,
        selection="importance",
        objective="random_labels",
        released_weight=0.25,
        authorized_share=0.875,
    ),
    "default": LockConfig(locking_value=(0.0, 1.0), authorized_share=0.875),
    "rich": LockConfig(
        fraction=0.2,
        locking_value=(0.0, 1.0),
        exponent_range=1,
        offsets=0.5,
        authorized_share=0.875,
    ),
}


def find_config(config: str | LockConfig) -> LockConfig:
    """A preset by name, or the config itself.

    Raises:
        LockError: no preset has this name.
    """
    if isinstance(config, LockConfig):
        return config
    if config not in PRESETS:
        raise LockError(
            f"cannot find lock preset {config!r}: expected one of "
            f"{', '.join(PRESETS)}.",
            "Or pass a LockConfig.",
        )
    return PRESETS[config]


def draw_lock(
    layer: keras.layers.Layer,
    config: LockConfig,
    neurons: np.ndarray,
    rng: random.Random,
) -> ChannelLock:
    """Draw a layer's lock.

    Args:
        layer: the linear layer that the lock folds into.
        config: which parts the lock has.
        neurons: int64 [count], the authorization neurons.
        rng: the source of the secret, from ``secret_rng``.
    """
    channels = int(filter_view(layer).shape[-1])
    scale, offset = np.ones(channels), np.zeros(channels)
    order = np.arange(channels)
    for c in range(channels):
        if config.signs:
            scale[c] *= rng.choice((-1, 1))
        if config.exponent_range:
            scale[c] *= 2.0 ** rng.randint(
                -config.exponent_range, config.exponent_range
            )
        if config.offsets:
            offset[c] = rng.uniform(-config.offsets, config.offsets)
    if config.order:
        blocks = np.split(order, order_blocks(layer))
        order = np.concatenate(
            [rng.sample(list(block), len(block)) for block in blocks]
        )
    low, high = np.broadcast_to(config.locking_value, 2)
    scale[neurons] = 0
    offset[neurons] = [rng.uniform(low, high) for _ in neurons]
    return ChannelLock(scale, offset, order)
