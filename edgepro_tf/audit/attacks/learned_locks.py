"""Locks learned by gradient: scale factors, mixing matrices, soft permutations."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from scipy.optimize import linear_sum_assignment

from edgepro_tf.audit.attack import LABELS, NO_ROWS, Attack, Outcome
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.spaces import apply_rows
from edgepro_tf.audit.workbench.starts import public_start, unreadable
from edgepro_tf.audit.workbench.training import Candidate, cosine_twice


def learn_rows(bench: Bench, thief: Thief, *, full: bool) -> Outcome:
    """Learn what stands before the frozen public rows; then let the rows move too.

    Biases and the tensors that the recipe shuffles are learned freely. With ``full`` a
    matrix per layer mixes the rows (any order, sign, scale and combination); without,
    a factor per row.

    Args:
        bench: the target's workbench.
        thief: his data.
        full: matrices rather than factors.
    """
    space = bench.tools.mix_space
    if not space.layers:
        return bench.does_not_apply(NO_ROWS)
    start = public_start(bench, thief, fresh=unreadable(bench))
    theta = space.start(bench.settle(start, thief.x))
    masks = space.masks(start, full)
    frozen = {bench.network.linears[layer].filter for layer in space.layers}
    purpose = f"rows {full}"
    candidates = [
        Candidate(
            f"rows {'thaw' if thaws else 'frozen'}, rate {rate:g}",
            theta,
            _two_stages(bench, thief, theta, rate, frozen, thaws),
            masks,
            trainer=bench.tools.mix,
        )
        for thaws in (True, False)
        for rate in bench.budget.rates
    ]
    if not full:
        signs = thief.rng(purpose + " signs")
        flipped = [
            t if i < len(start) else t * signs.choice([-1.0, 1.0], (len(t), 1))
            for i, t in enumerate(theta)
        ]
        rate = bench.budget.rates[-1]
        plan = _two_stages(bench, thief, theta, rate, frozen, True)
        candidates.append(
            dataclasses.replace(
                candidates[0], label="random signs, thaw", theta=flipped, plan=plan
            )
        )
    return bench.outcome(candidates, thief, purpose)


def learn_orders(bench: Bench, thief: Thief) -> Outcome:
    """Anneal a soft permutation with signs per layer, round it, then fine-tune.

    Source: Mena et al., ICLR 2018, section 3; rounding by the Hungarian method.
    """
    space = bench.tools.order_space
    if not space.layers:
        return bench.does_not_apply(NO_ROWS)
    rng = thief.rng("orders")
    start = bench.renormalise(
        public_start(bench, thief, fresh=unreadable(bench)), thief.x
    )
    theta = space.start(start, rng)
    frozen = {bench.network.linears[layer].filter for layer in space.layers}
    steps, count = bench.steps(thief), len(start)
    temperature = np.geomspace(1.0, 0.1, steps).astype(np.float32)
    rate = bench.budget.rates[-1]
    plan = bench.plan(thief, theta, rate, lambda i: i not in frozen)
    plan[:, count:] *= 3  # Logits of a permutation move further than weights.
    everything = np.arange(len(thief.y))
    soft = Candidate("", theta, plan, None, temperature, bench.tools.order)
    y = bench.task.make_targets(thief.y)
    learned = bench.train(soft, thief.x, y, everything, rng)
    hard = _round(bench, learned)
    candidates = bench.sweep(thief, bench.variants(hard, thief.x))
    return bench.outcome(candidates, thief, "orders tuned")


def _round(bench: Bench, theta: Arrays) -> Arrays:
    """Network parameters under the nearest hard permutations and signs."""
    space, count = bench.tools.order_space, len(bench.network.parameters)
    out = [np.array(p) for p in theta[:count]]
    for j, layer in enumerate(space.layers):
        one = bench.network.linears[layer]
        rows, columns = linear_sum_assignment(-theta[count + j])
        matrix = np.zeros((one.channels, one.channels), np.float32)
        signs = np.sign(theta[count + len(space.layers) + j])
        matrix[rows, columns] = np.where(signs == 0, 1, signs)
        out[one.filter] = np.asarray(apply_rows(matrix, out[one.filter], one))
    return out


def _two_stages(
    bench: Bench,
    thief: Thief,
    theta: Arrays,
    rate: float,
    frozen: set[int],
    thaws: bool,
) -> np.ndarray:
    """The public rows rest for the first half, or throughout."""
    steps = bench.steps(thief)
    plan = bench.plan(thief, theta, rate)
    if thaws:
        half = steps // 2
        plan = rate * np.outer(cosine_twice(steps), np.ones(len(theta)))
        plan[:half, list(frozen)] = 0
        plan[half:] *= 0.3
    else:
        plan[:, list(frozen)] = 0
    return plan


ATTACKS = (
    Attack(
        "learned scale factors", "learned locks",
        "ours; the form is EdgePro's lock itself", LABELS,
        functools.partial(learn_rows, full=False), is_slow=True,
    ),
    Attack(
        "learned mixing of rows", "learned locks",
        "Bansal, Nakkiran and Barak (stitching), NeurIPS 2021", LABELS,
        functools.partial(learn_rows, full=True),
    ),
    Attack(
        "soft permutations", "learned locks", "Mena et al., ICLR 2018", LABELS,
        learn_orders, is_slow=True,
    ),
)  # fmt: skip
