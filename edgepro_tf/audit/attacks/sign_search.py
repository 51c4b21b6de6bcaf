"""Search for element signs: flip those whose gradient promises most, then fine-tune."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgepro_tf.audit.attack import LABELS, Attack, Outcome
from edgepro_tf.audit.attacks.element_signs import nothing_masked
from edgepro_tf.audit.attacks.search import first_guess
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import shuffled

_FIRST_SHARE = 0.05  # Of a network's masked elements, flipped at once.


def flip_by_gradient(bench: Bench, thief: Thief) -> Outcome:
    """Flip the elements whose gradients promise the lowest loss, while it falls.

    A flip of w changes the loss by about ``-2 w dL/dw``. Half as many are flipped at
    once whenever the loss does not fall, twice as many when it does. What the recipe
    shuffles is drawn afresh and trained first. Fine-tuning follows.

    Source: Rakin, He and Fan, "Bit-Flip Attack", ICCV 2019, section 4.2 (ranking flips
    by gradients), turned round: there they destroy, here they repair.
    """
    if not bench.target.masked_layers:
        return nothing_masked(bench)
    rng = thief.rng("gradient flips")
    held_out = thief.draw_folds(bench.budget.folds, rng)[0]
    seen = rng.permutation(thief.examples_but(held_out))
    start = bench.renormalise(
        first_guess(bench, thief, seen, rng, shuffled(bench)), thief.x
    )
    found, flips = climb(bench, start, thief.x[seen], thief.y[seen])
    candidates = bench.sweep(thief, bench.variants(found, thief.x))
    outcome = bench.outcome(candidates, thief, "gradient flips tuned", folds=[held_out])
    details = {"flips": flips, "accuracy_before_tuning": bench.accuracy(found)}
    return dataclasses.replace(outcome, details=details)


def climb(
    bench: Bench, start: Arrays, x: np.ndarray, y: np.ndarray
) -> tuple[Arrays, int]:
    """Flip masked elements while the loss on these examples falls.

    Returns:
        The parameters with the lowest loss, and how many flips led there.
    """
    filters = [
        bench.network.linears[layer].filter for layer in bench.target.masked_layers
    ]
    best = [np.array(p) for p in start]
    loss, gradients = bench.gradient(best, x, y)
    count = max(1, round(_FIRST_SHARE * sum(best[i].size for i in filters)))
    flips, tried = 0, np.zeros(sum(best[i].size for i in filters), bool)
    for _ in range(bench.budget.sign_rounds):
        promise = np.concatenate(
            [(best[i] * gradients[i]).reshape(-1) for i in filters]
        )
        promise[tried] = -np.inf
        chosen = np.argsort(-promise)[:count]
        if not promise[chosen[0]] > 0:
            break
        chosen = chosen[promise[chosen] > 0]
        there = _flip(best, filters, chosen)
        loss_there, gradients_there = bench.gradient(there, x, y)
        if loss_there < loss:
            best, loss, gradients = there, loss_there, gradients_there
            flips, count = flips + len(chosen), 2 * count
            tried[:] = False
        else:
            tried[chosen] = count == 1
            count = max(1, min(count, len(chosen)) // 2)
    return best, flips


def _flip(parameters: Arrays, filters: list[int], chosen: np.ndarray) -> Arrays:
    out, begin = list(parameters), 0
    for i in filters:
        size = parameters[i].size
        mine = chosen[(chosen >= begin) & (chosen < begin + size)] - begin
        flat = parameters[i].reshape(-1).copy()
        flat[mine] *= -1
        out[i], begin = flat.reshape(parameters[i].shape), begin + size
    return out


ATTACKS = (
    Attack(
        "element signs flipped by gradient", "element signs",
        "Rakin et al. (Bit-Flip Attack), ICCV 2019", LABELS, flip_by_gradient,
        is_slow=True,
    ),
)  # fmt: skip
