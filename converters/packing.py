"""What a mask costs a download: weights that packed well and no longer do."""

from __future__ import annotations

import warnings

import numpy as np

from edgepro_tf.flatbuffer.views import ModelView
from edgepro_tf.locks import ModelLock, Step

_MUCH = 0.1  # Of all constants' bytes.
_PART = 1 << 20  # NumPy counts bytes as integers of eight.


def warn_of_packing(lock: ModelLock, view: ModelView, authorized: bytes) -> None:
    """Warn of a pruned model whose masked weights an app store no longer packs.

    Floats with as many zeros are shuffled, and pack as they did.
    """
    pruned = 0
    for record in lock.tensors:
        constant = view.constants.get((record.subgraph, record.tensor))
        if constant is not None and record.steps & Step.MASK:
            values = constant.read(authorized)
            if values.itemsize == 1 and 2 * _count_commonest(values) > values.size:
                pruned += record.size_bytes
    if pruned > _MUCH * view.constant_bytes:
        warnings.warn(
            f"{pruned:,} bytes of weights have one value at most of their places (a "
            "pruned model): masked, they do not pack, and a download grows by what "
            "packing saved. The recipe 'strict' moves elements, which pack as before.",
            stacklevel=4,
        )


def _count_commonest(values: np.ndarray) -> int:
    """Places of the byte that is most frequent."""
    parts = np.split(values.view(np.uint8), range(_PART, values.size, _PART))
    counts = [np.bincount(part, minlength=256) for part in parts]
    return int(np.sum(counts, axis=0).max())
