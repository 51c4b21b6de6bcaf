"""Thieves with a helper: a public base network, a device's answers, another task."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from edgepro_tf.audit import statistics
from edgepro_tf.audit.attack import LABELS, Attack, Outcome
from edgepro_tf.audit.network.rows import filter_rows, make_filter
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bases import make_base
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import fresh_start, public_start, unreadable
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.locks import Step


def match_base(bench: Bench, thief: Thief) -> Outcome:
    """Match public rows to a public base network's; tune; against tuning the base.

    The base stands for the pre-trained network that the developer began from
    (``make_base``).

    Source: Ainsworth, Hayase and Srinivasa, "Git Re-Basin", ICLR 2023, section 3.2
    (weight matching), here with signs; Kuhn 1955 for the assignment.
    """
    rng = thief.rng("base")
    base = make_base(bench, thief, rng)
    matched, details = _adopt_rows(bench, base)
    names = {"base alone": base, "base and public rows": matched}
    found = {
        name: tune_start(bench, thief, start, f"tune {name}")
        for name, start in names.items()
    }
    gained = found["base and public rows"] - found["base alone"]
    details |= {"base_alone": found["base alone"], "advantage": gained}
    return Outcome(found["base and public rows"], "against tuning the base", details)


def distil_answers(bench: Bench, thief: Thief) -> Outcome:
    """Train on an authorized device's answers to the thief's inputs.

    The black-box bound: it needs no public file at all. The difference that the file
    makes is reported as the advantage.

    Source: Orekondy, Schiele and Fritz, "Knockoff Nets", CVPR 2019, section 4; Hinton,
    Vinyals and Dean 2015 for the soft labels.
    """
    asked = np.concatenate([thief.x, thief.pool])[: bench.rows]
    logits = bench.logits(bench.target.authorized, asked)
    answers = bench.task.soften(logits)
    starts = {
        "from nothing": fresh_start(bench.target, thief.rng("knock-off")),
        "from the public file": public_start(bench, thief, fresh=unreadable(bench)),
    }
    found = {}
    for name, start in starts.items():
        theta = bench.renormalise(start, asked)
        rate = bench.budget.rates[len(bench.budget.rates) // 2 - 1]
        plan = bench.plan(thief, theta, rate)
        theta = bench.train(
            Candidate("", theta, plan), asked, answers, np.arange(len(asked)),
            thief.rng(f"distil {name}"),
        )  # fmt: skip
        found[name] = bench.accuracy(theta)
    gained = found["from the public file"] - found["from nothing"]
    details = {"queries": len(asked), "from_nothing": found["from nothing"],
               "advantage": gained}  # fmt: skip
    return Outcome(max(found.values()), max(found, key=lambda n: found[n]), details)


def transfer_task(bench: Bench, thief: Thief) -> Outcome:
    """Use the public file for another task: classes joined in random groups.

    Source: Yosinski et al., "How Transferable Are Features", NIPS 2014.
    """
    classes = bench.task.count
    groups = thief.rng("task").permutation(classes) % max(2, classes // 3)
    other = dataclasses.replace(thief, y=groups[thief.y])
    truth = groups[bench.y_test]
    starts = {
        "from nothing": fresh_start(bench.target, thief.rng("task fresh")),
        "from the public file": public_start(bench, thief, fresh=bench.network.heads),
    }
    found = {}
    for name, start in starts.items():
        candidates = bench.sweep(other, bench.variants(start, other.x))
        parameters, _ = bench.pick(candidates, other, f"task {name}")
        found[name] = bench.accuracy(parameters, truth)
    gained = found["from the public file"] - found["from nothing"]
    details = {"from_nothing": found["from nothing"], "advantage": gained}
    return Outcome(found["from the public file"], "against scratch, same task", details)


def _adopt_rows(bench: Bench, base: Arrays) -> tuple[Arrays, dict[str, object]]:
    """The base, every public row in the place of the base row that it resembles.

    Where elements are masked, sizes are matched and the base's signs put before them.
    """
    target, out = bench.target, [np.array(p) for p in base]
    right = total = 0
    for layer in (*target.readable_layers, *target.masked_layers):
        one = target.network.linears[layer]
        steps = target.steps[one.filter]
        rows, known = (
            filter_rows(p[one.filter], one.channel_axis) for p in (target.public, base)
        )
        adopted, order = _adopt(rows, known, steps)
        same = statistics.true_order(target, target.draw, layer)[order]
        right += int((same == np.arange(one.channels)).sum())
        total += one.channels
        shape = out[one.filter].shape
        out[one.filter] = make_filter(adopted, shape, one.channel_axis)
    return out, {"rows_found": right / total if total else 0.0}


def _adopt(
    rows: np.ndarray, known: np.ndarray, steps: Step
) -> tuple[np.ndarray, np.ndarray]:
    """Public rows in the order, signs and scale of the base rows they resemble."""
    masked = bool(steps & Step.MASK)
    if masked:
        rows = np.abs(rows)
    likeness = statistics.cosines(np.abs(known) if masked else known, rows)
    order = np.arange(len(rows))
    if steps & Step.ORDER:
        order = linear_sum_assignment(-np.abs(likeness))[1]
    factor = np.sign(likeness[np.arange(len(rows)), order])
    norms = [np.linalg.norm(w, axis=1) for w in (known, rows[order])]
    if steps & Step.EXPONENTS:
        ratio = np.maximum(norms[0] / np.maximum(norms[1], 1e-12), 1e-6)
        factor *= 2.0 ** np.round(np.log2(ratio))
    adopted = rows[order] * factor[:, None]
    if masked:
        adopted = adopted * np.where(known < 0, -1.0, 1.0)
    return adopted, order


def tune_start(bench: Bench, thief: Thief, start: Arrays, purpose: str) -> float:
    """Accuracy after the sweep that a trained start asks for: lower rates as well.

    A quick audit tries a third of the rates, and leaves halved weights out.
    """
    starts, factors = bench.variants(start, thief.x), (0.1, 1.0)
    if not bench.budget.is_thorough:
        del starts["halved"]
        factors = (0.3,)
    rates = [factor * rate for factor in factors for rate in bench.budget.rates]
    candidates = bench.sweep(thief, starts, rates=rates)
    return bench.outcome(candidates, thief, purpose).accuracy


ATTACKS = (
    Attack(
        "a public base network matched", "with help", "Ainsworth et al., ICLR 2023",
        LABELS, match_base, counts=False, is_slow=True,
    ),
    Attack(
        "distillation of a device's answers", "with help",
        "Orekondy et al. (Knockoff Nets), CVPR 2019", LABELS, distil_answers,
        counts=False, is_slow=True,
    ),
    Attack(
        "transfer to another task", "with help", "Yosinski et al., NIPS 2014", LABELS,
        transfer_task, counts=False, is_slow=True, task="classes",
    ),
)  # fmt: skip
