"""How long an audit will take: a step of training is timed, steps are counted."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from edgepro_tf.audit.attack import LABELS, Cell
from edgepro_tf.audit.budget import FULL, QUICK
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.ranges import has_ranges
from edgepro_tf.audit.workbench.training import Candidate

_TIMED, _TIMINGS, _LONG_S = 10, 3, 3.0
# Training runs of one thief with labels, counted on digits' mlp under ``standard``.
_QUICK_RUNS, _THOROUGH_RUNS = 80, 550
_RANGED = 1.6  # Times that, where the file states ranges (digits' cnn in int8).


def estimate_seconds(
    bench: Bench,
    cells: Sequence[Cell],
    missing: Sequence[Cell],
    workers: int,
) -> float:
    """Seconds that what is missing will take, within a factor of two or so.

    Trains for some steps: what that compiles is used by the attacks again.

    Args:
        cells: all that the budget runs.
        missing: those that are left to do.
        workers: cells at a time.
    """
    labelled = [cell for cell in missing if cell[0].needs == LABELS]
    count = len({attack.name for attack, *_ in cells if attack.needs == LABELS})
    if not labelled:
        return 0.0
    budget = bench.budget
    runs = (_THOROUGH_RUNS if budget.is_thorough else _QUICK_RUNS) / count
    runs *= _RANGED if has_ranges(bench.network) else 1
    runs *= len(budget.rates) / len((FULL if budget.is_thorough else QUICK).rates)
    steps = runs * sum(
        budget.steps(bench.count_labels(share)) for _, share, _ in labelled
    )
    thief = bench.thief(labelled[0][1], 0)
    started = time.perf_counter()
    _train(bench, thief, 1)
    compiled = time.perf_counter() - started
    # Learned signs and the moments of every layer compile as well, about as long.
    return (3 * compiled + steps * _time_step(bench, thief)) / workers


def _time_step(bench: Bench, thief: Thief) -> float:
    """Seconds; the least of some timings: a busy machine only adds to them."""
    times = [time.perf_counter()]
    while len(times) <= _TIMINGS and times[-1] - times[0] < _LONG_S:
        _train(bench, thief, _TIMED)
        times.append(time.perf_counter())
    return float(np.diff(times).min()) / _TIMED


def _train(bench: Bench, thief: Thief, steps: int) -> None:
    theta = bench.target.public
    plan = np.zeros((steps, len(theta)), np.float32)
    bench.train(
        Candidate("timed", theta, plan),
        thief.x,
        bench.task.make_targets(thief.y),
        np.arange(len(thief.y)),
        np.random.default_rng(0),
    )
