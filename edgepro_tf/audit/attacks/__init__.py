"""The attacks, one family a file; ``all_attacks`` is the list an audit runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgepro_tf.audit.attack import Attack

FAMILIES = (
    "guesses",
    "finetuning",
    "pruning",
    "learned_locks",
    "element_signs",
    "sign_search",
    "magnitudes",
    "own_network",
    "search",
    "unlabelled",
    "no_data",
    "helpers",
    "partly_open",
    "activation_ranges",
)


def all_attacks() -> tuple[Attack, ...]:
    """Every attack, scratch first; names are unique."""
    from edgepro_tf.audit.workbench import scratch

    found = list(scratch.ATTACKS)
    for family in FAMILIES:
        module = importlib.import_module(f"edgepro_tf.audit.attacks.{family}")
        found.extend(module.ATTACKS)
    return tuple(found)
