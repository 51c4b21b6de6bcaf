"""Load time and memory of every variant, each load in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bars import LIGHT_LOAD_RATIO, judge
from benchmarks.child import run_child
from benchmarks.ratios import rotate, summarize_ratios
from benchmarks.subjects import Subject
from benchmarks.variants import VARIANTS, file_of

MEMORY = ("anonymous_mib", "peak_anonymous_mib", "peak_mib")
_TIMES = ("load_ms", "first_answer_ms", "major_faults")


def measure_loading(
    subject: Subject, *, threads: int, is_cold: bool, rounds: int
) -> dict[str, Any]:
    """Load times: medians, and ratios to plain and to whole-file encryption.

    Args:
        subject: whose files ``build_subject`` wrote.
        threads: CPU threads of the interpreter.
        is_cold: drop the variant's file from the page cache before its load.
        rounds: processes of each variant; they take turns.
    """
    rows: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for turn in range(rounds):
        for variant in rotate(tuple(VARIANTS), turn):
            if is_cold:
                _drop_from_cache(subject.path(file_of(variant)))
            rows[variant].append(run_child(subject, variant, threads=threads))
    result: dict[str, Any] = {"rounds": rounds}
    for variant, figures in rows.items():
        result[variant] = _medians(figures, _TIMES) | _ratios(rows, variant, "plain")
    protected = result["protected"]
    protected["to_encrypted"] = _ratios(rows, "protected", "encrypted")
    protected["encrypted_bar"] = judge(protected["to_encrypted"]["ratio"], 1)
    if subject.is_light:
        protected["plain_bar"] = judge(protected["ratio"], LIGHT_LOAD_RATIO)
    return result


def measure_memory(subject: Subject, *, rounds: int) -> dict[str, Any]:
    """Memory that loading and one answer add, in MiB, after warm loads.

    ``anonymous`` cannot be evicted, ``peak_anonymous`` is the most it ever was, and
    ``peak`` (the peak of all resident pages) counts pages of the mapped file as well,
    which the system takes back when it needs them.
    """
    rows = {
        variant: [
            run_child(subject, variant, threads=1, is_sampled=True)
            for _ in range(rounds)
        ]
        for variant in VARIANTS
    }
    result = {variant: _medians(figures, MEMORY) for variant, figures in rows.items()}
    protected, encrypted = result["protected"], result["encrypted"]
    for key in MEMORY:
        protected[f"{key}_bar"] = judge(protected[key], encrypted[key])
    return result


def _medians(rows: list[dict[str, float]], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: float(np.median([row[key] for row in rows])) for key in keys}


def _ratios(
    rows: dict[str, list[dict[str, float]]], variant: str, other: str
) -> dict[str, Any]:
    """Round by round: a round's loads are neighbours in time."""
    ours, theirs = (
        np.array([[row["load_ms"]] for row in rows[name]]) for name in (variant, other)
    )
    return summarize_ratios(ours / theirs)


def _drop_from_cache(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
