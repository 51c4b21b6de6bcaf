"""Fine-tuning the public file on the thief's labels, in every usual way."""

from __future__ import annotations

import functools

import numpy as np

from edgepro_tf.audit.attack import LABELS, Attack, Outcome
from edgepro_tf.audit.statistics import undo_signs
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import public_start, reads_nothing, unreadable
from edgepro_tf.audit.workbench.training import Candidate, cosine
from edgepro_tf.locks import Step

FINE_TUNING = "fine-tuning, all layers"


def tune_all(bench: Bench, thief: Thief, *, fresh: str = "nothing") -> Outcome:
    """Train every parameter, from the public values plain and re-normalised.

    Args:
        bench: the target's workbench.
        thief: his data.
        fresh: what is drawn afresh first: ``nothing``, ``head``, ``unreadable`` (what
            the recipe masks or shuffles), or ``signs`` (the same, and the signs of the
            public rows inferred from their skewness, where each row has one). Where
            that is everything, nothing of the file is read: this would be scratch.
    """
    unread = unreadable(bench)
    drawn = {"head": bench.network.heads, "unreadable": unread, "signs": unread}
    if reads_nothing(bench, drawn.get(fresh, ())):
        return bench.does_not_apply(_ALL_FRESH)
    plain = public_start(bench, thief, fresh=drawn.get(fresh, ()))
    if fresh == "signs":
        target = bench.target
        rows = [i for i in target.readable_layers if target.has_step(i, Step.SIGNS)]
        plain = undo_signs(target, plain, rows)
    starts = bench.variants(plain, thief.x)
    if bench.network.answer_map:
        starts["mapped"] = bench.calibrate(plain, thief)
    return bench.outcome(bench.sweep(thief, starts), thief, f"tune all {fresh}")


def map_answers(bench: Bench, thief: Thief) -> Outcome:
    """Fit a gain and a shift of the answers on the labels; train nothing."""
    mapped = bench.calibrate(bench.target.public, thief)
    return Outcome(bench.accuracy(mapped), "as shipped")


def tune_last(bench: Bench, thief: Thief) -> Outcome:
    """Train the last linear layers only (one, or two), the head drawn afresh."""
    plain = public_start(bench, thief, fresh=bench.network.heads)
    start = bench.renormalise(plain, thief.x)
    candidates = []
    for count in (1, 2):
        last = bench.network.linears[-count:]
        moving = {i for one in last for i in one.parameters}
        candidates += bench.sweep(
            thief, {f"last {count}": start}, learns=moving.__contains__
        )
    return bench.outcome(candidates, thief, "tune last")


def unfreeze_progressively(bench: Bench, thief: Thief) -> Outcome:
    """Train the head first, then one layer more at a time, or from the first on.

    Source: Howard and Ruder, ULMFiT, ACL 2018, section 3.3 (gradual unfreezing).
    """
    fresh = unreadable(bench) or bench.network.heads
    if reads_nothing(bench, fresh):
        return bench.does_not_apply(_ALL_FRESH)
    plain = public_start(bench, thief, fresh=fresh)
    start = bench.renormalise(plain, thief.x)
    candidates = [
        Candidate(
            f"{'last' if backward else 'first'} layer first, rate {rate:g}",
            start,
            _staircase(bench, thief, rate, backward),
        )
        for backward in (True, False)
        for rate in bench.budget.rates
    ]
    return bench.outcome(candidates, thief, "unfreeze")


def _staircase(bench: Bench, thief: Thief, rate: float, backward: bool) -> np.ndarray:
    """Learning rates in which layer after layer joins during the first half."""
    steps, linears = bench.steps(thief), bench.network.distinct_linears.values()
    plan = np.full((steps, len(bench.network.parameters)), 1.0)
    for layer, one in enumerate(linears):
        rank = len(linears) - 1 - layer if backward else layer
        begins = round(0.5 * steps * rank / len(linears))
        plan[:begins, list(one.parameters)] = 0
    return rate * plan * cosine(steps)[:, None]


_ALL_FRESH = "every tensor is hidden: this would be scratch"
_FINETUNING = "Uchida et al., ICMR 2017, section 4.4; EdgePro, experiments"
ATTACKS = (
    Attack(FINE_TUNING, "fine-tuning", _FINETUNING, LABELS, tune_all),
    Attack(
        "answers mapped by least squares", "fine-tuning", "Legendre 1805", LABELS,
        map_answers, task="numbers",
    ),
    Attack(
        "fine-tuning, head afresh", "fine-tuning", _FINETUNING, LABELS,
        functools.partial(tune_all, fresh="head"), is_slow=True,
    ),
    Attack(
        "fine-tuning, hidden tensors afresh", "fine-tuning", "ours", LABELS,
        functools.partial(tune_all, fresh="unreadable"),
    ),
    Attack(
        "fine-tuning, signs by skewness", "fine-tuning", "ours", LABELS,
        functools.partial(tune_all, fresh="signs"), is_slow=True,
    ),
    Attack(
        "fine-tuning, last layers", "fine-tuning", _FINETUNING, LABELS, tune_last,
        is_slow=True,
    ),
    Attack(
        "fine-tuning, progressive unfreezing", "fine-tuning",
        "Howard and Ruder, ACL 2018", LABELS, unfreeze_progressively, is_slow=True,
    ),
)  # fmt: skip
