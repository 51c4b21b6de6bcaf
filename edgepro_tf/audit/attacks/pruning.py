"""Pruning away what looks like a lock, with and without fine-tuning."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from edgepro_tf.audit.attack import INPUTS, LABELS, Attack, Outcome
from edgepro_tf.audit.network.rows import drop_rows
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import public_start

_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def prune(bench: Bench, thief: Thief, *, by: str, tunes: bool) -> Outcome:
    """Prune 10 to 90 %, keep the share that validation (or, without labels, surer
    answers) prefers.

    Args:
        bench: the target's workbench.
        thief: his data; labels choose the share, and train when ``tunes``.
        by: ``magnitude`` (elements of each filter) or ``activation`` (channels, by
            how much they are active on the thief's inputs, quietest and loudest).
        tunes: whether training follows, with the pruned elements held at zero.

    Source: Han et al., NIPS 2015, section 3 (magnitude); Liu, Dolan-Gavitt and Garg,
    "Fine-Pruning", RAID 2018, section 4 (activation).
    """
    start = public_start(bench, thief)
    find_masks = _magnitude_masks if by == "magnitude" else _activation_masks
    masks = dict(find_masks(bench, start, thief))
    pruned = {
        name: [p * m for p, m in zip(start, mask, strict=True)]
        for name, mask in masks.items()
    }
    if not tunes:
        return bench.choose_unlabelled(pruned.items(), thief)
    candidates = []
    for name in list(masks) if bench.budget.is_thorough else list(masks)[1::2]:
        starts = {name: bench.settle(pruned[name], thief.x)}
        candidates += bench.sweep(thief, starts, masks=masks[name])
    return bench.outcome(candidates, thief, f"prune {by}")


Masks = Iterator[tuple[str, Arrays]]


def _magnitude_masks(bench: Bench, start: Arrays, thief: Thief) -> Masks:
    del thief
    filters = {one.filter for one in bench.network.linears}
    for share in _SHARES:
        mask = [np.ones_like(p) for p in start]
        for i in filters:
            size = np.abs(start[i])
            mask[i] = (size > np.quantile(size, share)).astype(np.float32)
        yield f"{share:.0%} smallest weights", mask


def _activation_masks(bench: Bench, start: Arrays, thief: Thief) -> Masks:
    activity = bench.activity(start, thief.pool)
    for loudest in (False, True):
        for share in _SHARES[:3] if loudest else _SHARES:
            mask = [np.ones_like(p) for p in start]
            for layer, one in bench.network.distinct_linears.items():
                if one.is_head:
                    continue
                order = np.argsort(activity[layer] * (-1 if loudest else 1))
                dropped = order[: round(share * one.channels)]
                mask[one.filter] = drop_rows(
                    mask[one.filter], dropped, one.channel_axis
                )
                if one.bias is not None:
                    mask[one.bias][dropped] = 0
            yield f"{share:.0%} {'loudest' if loudest else 'quietest'} channels", mask


_HAN, _LIU = "Han et al., NIPS 2015", "Liu et al. (Fine-Pruning), RAID 2018"
ATTACKS = tuple(
    Attack(
        f"pruning by {by}{', fine-tuned' if tunes else ''}", "pruning", source,
        LABELS if tunes else INPUTS, functools.partial(prune, by=by, tunes=tunes),
        is_slow=tunes,
    )
    for by, source in (("magnitude", _HAN), ("activation", _LIU))
    for tunes in (False, True)
)  # fmt: skip
