"""Inputs without labels: statistics, signs, entropy."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment

from edgepro_tf.audit.attack import INPUTS, Attack, Outcome
from edgepro_tf.audit.network.rows import scale_rows
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.sign_training import sign_candidates
from edgepro_tf.audit.workbench.starts import fresh_start
from edgepro_tf.audit.workbench.training import Candidate


def match_statistics(bench: Bench, thief: Thief) -> Outcome:
    """Re-normalise every channel on inputs; with signs such that most are inactive.

    A trained unit before a ReLU is off more often than on: a channel whose mean is
    positive is taken for flipped.

    Source: Li et al., "Revisiting Batch Normalization for Practical Domain Adaptation",
    2016, section 3 (statistics); the sign rule is ours.
    """
    public = bench.target.public
    variants = {
        "statistics": bench.renormalise(public, thief.pool),
        "signs": infer_signs(bench, thief),
    }
    return bench.choose_unlabelled(variants.items(), thief)


def infer_signs(bench: Bench, thief: Thief) -> list[np.ndarray]:
    """Flip hidden channels with a positive mean, layer by layer."""
    out = bench.target.public
    for layer, one in bench.network.distinct_linears.items():
        if one.is_head:
            continue
        mean, _ = bench.moments(out, thief.pool)[layer]
        sign = np.where(mean > 0, -1.0, 1.0).astype(np.float32)
        out[one.filter] = scale_rows(out[one.filter], sign, one.channel_axis)
        if one.bias is not None:
            out[one.bias] = out[one.bias] * sign
    return out


def minimise_entropy(bench: Bench, thief: Thief) -> Outcome:
    """Learn locks, element signs or everything until answers are sure and balanced.

    Source: Liang, Hu and Feng (SHOT), ICML 2020, section 3.2.
    """
    rng, space = thief.rng("entropy"), bench.tools.mix_space
    labels = np.zeros(len(thief.pool), np.int64)  # Read by no one.
    blind = dataclasses.replace(thief, x=thief.pool, y=labels)
    runs: list[Candidate] = []
    start = bench.renormalise(bench.target.public, thief.pool)
    for label, full in (("factors", False), ("everything", True)):
        theta = space.start(start)
        moves = range(len(theta)) if full else [
            i for i in range(len(theta))
            if i >= len(start) or bench.network.parameters[i].role == "bias"
        ]  # fmt: skip
        runs += bench.sweep(
            thief,
            {label: theta},
            learns=set(moves).__contains__,
            masks=space.masks(start, full),
            trainer=bench.tools.mix_unlabelled,
        )
    if bench.tools.sign_space.layers:
        drawn = sign_candidates(bench, thief, rng, bench.target.public, full=False)
        trainer = bench.tools.signs_unlabelled
        runs += [dataclasses.replace(one, trainer=trainer) for one in drawn]
    learned = {one.label: bench.fit(one, blind, rng) for one in runs}
    return bench.choose_unlabelled(learned.items(), thief)


def cluster_features(bench: Bench, thief: Thief) -> Outcome:
    """Cluster the last hidden layer; classes are named by the true labels (a bound).

    What is measured is whether the public features separate classes at all, beside
    those of a network drawn afresh (``fresh``).

    Source: MacQueen 1967 (k-means); Hungarian naming as in Xie et al., ICML 2016.
    """
    if bench.y_test.ndim > 1:
        return bench.does_not_apply("an answer for each place, features for all")
    if all(one.is_head for one in bench.network.linears):
        return bench.does_not_apply("no hidden layer whose outputs could be clustered")

    classes = bench.task.count

    def cluster(parameters: list[np.ndarray]) -> float:
        normal = bench.renormalise(parameters, thief.pool)
        features = _features(bench, normal)
        with np.errstate(all="ignore"):
            seed = int(thief.rng("cluster").integers(2**31))
            _, groups = kmeans2(features, classes, minit="++", rng=seed)
        table = np.zeros((classes, classes))
        np.add.at(table, (groups, bench.y_test), 1)
        rows, columns = linear_sum_assignment(-table)
        return float(table[rows, columns].sum() / len(groups))

    fresh = cluster(fresh_start(bench.target, thief.rng("cluster fresh")))
    return Outcome(cluster(bench.target.public), "named by true labels",
                   {"fresh": fresh})  # fmt: skip


def _features(bench: Bench, parameters: Arrays) -> np.ndarray:
    """float32 [test examples, channels]: the last hidden linear output, rectified."""
    last = max(i for i, one in enumerate(bench.network.linears) if not one.is_head)
    return np.asarray(bench.outputs(parameters, bench.x_test, last).mean(1))


ATTACKS = (
    Attack(
        "statistics and sign inference", "unlabelled", "Li et al. (AdaBN), 2016",
        INPUTS, match_statistics,
    ),
    Attack(
        "entropy minimisation", "unlabelled", "Liang, Hu and Feng (SHOT), ICML 2020",
        INPUTS, minimise_entropy, is_slow=True, task="classes",
    ),
    Attack(
        "clustering of features", "unlabelled", "MacQueen 1967", INPUTS,
        cluster_features, counts=False, is_slow=True, task="classes",
    ),
)  # fmt: skip
