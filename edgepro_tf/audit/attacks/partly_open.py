"""Files that are locked in part: the gaps filled from a public base network.

A restore budget leaves tensors open. Who finds the network that the developer began
from has the others, as they were before his fine-tuning, in the same places.
"""

from __future__ import annotations

import numpy as np

from edgepro_tf.audit.attack import INPUTS, LABELS, Attack, Outcome
from edgepro_tf.audit.attacks.with_help import tune_start
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bases import make_base
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import fresh_parameter

_NAME = "fill from base"


def fill_from_base(bench: Bench, thief: Thief) -> Outcome:
    """Put the open tensors into a public base network; tune; against tuning the base.

    The base answers another task, so that its heads begin afresh, in the control as
    well: the file's advantage is what its open tensors add to a base that the thief has
    anyway, with the same labels and the same sweep. Where no base is given
    ``make_base`` goes back from the authorized network and stays near it, so that the
    base alone is stronger than one found in the wild: the advantage is understated
    (decision 0006).

    Source: Yosinski et al., "How Transferable Are Features", NIPS 2014, section 3
    (layers of one network in another); Mishkin and Matas, ICLR 2016, for the statistics
    between them.
    """
    if not find_open(bench):
        return bench.does_not_apply(_ALL_LOCKED)
    base = _draw_base(bench, thief)
    starts = {"base alone": base, "base and open tensors": _fill(bench, base)}
    alone, filled = (
        tune_start(bench, thief, start, f"tune {name}")
        for name, start in starts.items()
    )
    details = {"base_alone": alone, "advantage": filled - alone}
    return Outcome(filled, "against tuning the base", details)


def fill_without_labels(bench: Bench, thief: Thief) -> Outcome:
    """The same without labels: the gaps filled, the result re-normalised on inputs.

    A base's head names the classes of another task: where the file's own head is locked
    nobody who has no label can name an answer.
    """
    if not find_open(bench):
        return bench.does_not_apply(_ALL_LOCKED)
    filters = {one.filter for one in bench.network.linears if one.is_head}
    if any(bench.target.is_locked(i) for i in filters):
        return bench.does_not_apply("the head is locked, and a base's names others")
    filled = _fill(bench, _draw_base(bench, thief))
    variants = {
        "as it is": filled,
        "re-normalised": bench.renormalise(filled, thief.pool),
    }
    return bench.choose_unlabelled(variants.items(), thief)


def find_open(bench: Bench) -> list[int]:
    """Parameters that ship as they are, those aside that say nothing.

    Biases that were never trained are all alike, and no step of a lock moves them.
    """
    return [
        i
        for i, (p, value) in enumerate(
            zip(bench.network.parameters, bench.target.public, strict=True)
        )
        if p.is_weight and not bench.target.is_locked(i) and np.ptp(value) > 0
    ]


def _draw_base(bench: Bench, thief: Thief) -> Arrays:
    """A base with new heads; constants that ship as they are stand in any network."""
    rng = thief.rng(_NAME)
    base = make_base(bench, thief, rng)
    for i in bench.network.heads:
        base[i] = fresh_parameter(bench.network.parameters[i], rng)
    return base


def _fill(bench: Bench, base: Arrays) -> Arrays:
    is_locked = map(bench.target.is_locked, range(len(base)))
    return [
        known if locked else public
        for known, public, locked in zip(
            base, bench.target.public, is_locked, strict=True
        )
    ]


_ALL_LOCKED = "every tensor is locked: there is only the base"
_SOURCE = "Yosinski et al., NIPS 2014"
ATTACKS = (
    Attack(
        "open tensors in a public base network", "with help", _SOURCE, LABELS,
        fill_from_base, counts=False,
    ),
    Attack(
        "open tensors in a base, re-normalised", "with help", _SOURCE, INPUTS,
        fill_without_labels, counts=False,
    ),
)  # fmt: skip
