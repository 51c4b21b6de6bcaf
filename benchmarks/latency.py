"""Latency of every variant beside the plain model, with an A/A control."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.bars import LATENCY_RATIO, judge
from benchmarks.ratios import rotate, summarize_ratios
from benchmarks.subjects import Subject
from benchmarks.variants import open_variant
from edgepro_tf.runtime.timing import Timing, time_pairs

COMPARED = ("again", "protected", "multiplied", "claimed")


def measure_latency(
    subject: Subject, *, threads: int, rounds: int, pairs: int
) -> dict[str, Any]:
    """Ratios to plain, in one process, in alternating pairs.

    Each round opens all interpreters anew, in another order: where their memory
    happens to lie moves a ratio by more than its pairs scatter, for A/A as well.

    Args:
        subject: whose files ``build_subject`` wrote.
        threads: CPU threads of every interpreter.
        rounds: times that the interpreters are opened.
        pairs: alternating pairs for each ratio in each round.
    """
    timings: dict[str, list[Timing]] = {variant: [] for variant in COMPARED}
    for turn in range(rounds):
        opened = {
            variant: _open_with_input(subject, variant, threads)
            for variant in rotate(("plain", *COMPARED), turn)
        }
        for variant in rotate(COMPARED, turn):
            timing = time_pairs(
                opened["plain"].invoke, opened[variant].invoke, pairs=pairs
            )
            timings[variant].append(timing)
    figures: dict[str, Any] = {"rounds": rounds, "pairs": pairs}
    for variant, rows in timings.items():
        first = np.array([row.first_s for row in rows])
        second = np.array([row.second_s for row in rows])
        figures[variant] = {
            "plain_ms": float(np.median(first)) * 1e3,
            "ms": float(np.median(second)) * 1e3,
        } | summarize_ratios(second / first)
    protected = figures["protected"]
    spread = figures["again"]["spread"]
    protected["ratio_bar"] = judge(protected["ratio"], LATENCY_RATIO)
    protected["spread_bar"] = judge(protected["ratio"], spread[1])
    return figures


def _open_with_input(subject: Subject, variant: str, threads: int) -> Any:
    interpreter = open_variant(subject, variant, threads=threads)
    detail = interpreter.get_input_details()[0]
    x = np.random.default_rng(0).uniform(-1, 1, detail["shape"])
    x = x * 127 if detail["dtype"] == np.int8 else x
    interpreter.set_tensor(detail["index"], x.astype(detail["dtype"]))
    return interpreter
