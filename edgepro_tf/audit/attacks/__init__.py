"""The attacks, one family a file; ``all_attacks`` is the list an audit runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepro_tf.audit.attacks import (
    activation_ranges,
    element_signs,
    finetuning,
    guesses,
    learned_locks,
    magnitudes,
    no_data,
    own_network,
    partly_open,
    pruning,
    search,
    sign_search,
    unlabelled,
    with_help,
)
from edgepro_tf.audit.workbench import scratch

if TYPE_CHECKING:
    from edgepro_tf.audit.attack import Attack

_FAMILIES = (
    scratch, guesses, finetuning, pruning, learned_locks, element_signs, sign_search,
    magnitudes, own_network, search, unlabelled, no_data, with_help, partly_open,
    activation_ranges,
)  # fmt: skip


def all_attacks() -> tuple[Attack, ...]:
    """Every attack, scratch first; names are unique."""
    return tuple(attack for family in _FAMILIES for attack in family.ATTACKS)
