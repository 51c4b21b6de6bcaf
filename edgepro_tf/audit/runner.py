"""Runs the attacks, once each: what was done before is read from a cache of lines."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from edgepro_tf.audit.attack import LABELS, Attack, AttackResult, Cell
from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.duration import estimate_seconds
from edgepro_tf.files import make_folder

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
Expect = Callable[[float], None]

# Raised whenever an attack changes what it does, so that no old figure is mixed in.
AUDIT_VERSION = 18


class Cache:
    """JSON lines: one result a line, added as soon as it is there.

    Args:
        path: the file, whose folder is made; None keeps results in memory alone.
        context: whatever the results depend on besides attack, share and seed.
    """

    def __init__(self, path: Path | None, context: Any) -> None:
        self._path, self._adding = path, threading.Lock()
        self._context = hashlib.sha256(
            json.dumps([AUDIT_VERSION, context], sort_keys=True, default=str).encode()
        ).hexdigest()[:16]
        self._found: dict[tuple[str, float, int], AttackResult] = {}
        if path is not None:
            make_folder(path.parent)
        if path is not None and path.exists():
            text = path.read_text("utf-8", errors="replace")
            for line in text.splitlines():
                self._read(line)
            if text and not text.endswith("\n"):  # An interrupted run's last line.
                path.write_text(text + "\n", "utf-8")

    def get(self, attack: str, share: float, seed: int) -> AttackResult | None:
        return self._found.get((attack, share, seed))

    def add(self, result: AttackResult) -> None:
        entry = {"context": self._context, **dataclasses.asdict(result)}
        with self._adding:
            self._found[result.attack, result.share, result.seed] = result
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            if entry.pop("context", None) != self._context:
                return
            result = AttackResult(**entry)
        except (json.JSONDecodeError, AttributeError, TypeError):
            return  # Damaged: it is run again.
        self._found[result.attack, result.share, result.seed] = result


def list_cells(
    attacks: Sequence[Attack], budget: Budget, seeds: Sequence[int] | None = None
) -> list[Cell]:
    """Every attack, share and seed; an attack without labels has no share (0)."""
    seeds = budget.seeds if seeds is None else seeds
    cells = []
    for attack in attacks:
        if attack.is_slow and not budget.is_thorough:
            continue
        shares = budget.shares if attack.needs == LABELS else (0.0,)
        cells += [(attack, share, seed) for share in shares for seed in seeds]
    # One share after the other, so that a run cut short is a whole one of less data;
    # and thief by thief, so that workers do not wait for the same compilation.
    return sorted(cells, key=lambda cell: cell[1:])


def run_attacks(
    bench: Bench,
    attacks: Sequence[Attack],
    *,
    cache: Cache,
    seeds: Sequence[int] | None = None,
    workers: int = 1,
    progress: Progress = lambda cells, _: cells,
    expect: Expect | None = None,
) -> list[AttackResult]:
    """Run what the cache does not have.

    Args:
        bench: the target's workbench.
        attacks: from ``all_attacks``.
        cache: read first, added to after each attack.
        seeds: None for the budget's.
        workers: threads; each attack trains small networks, which use one core well
            and two badly. Results do not depend on it.
        progress: wraps the attacks as they are done, given their number.
        expect: told first how many seconds that will take, about.

    Returns:
        All results, in the order of ``list_cells``.
    """
    cells = list_cells(attacks, bench.budget, seeds)
    missing = [c for c in cells if cache.get(c[0].name, c[1], c[2]) is None]
    if expect is not None and missing:
        expect(estimate_seconds(bench, cells, missing, workers))
    with futures.ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(_run, bench, *cell) for cell in missing]
        try:
            for done in progress(futures.as_completed(running), len(running)):
                cache.add(done.result())
        except BaseException:
            bench.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            _keep_done(running, cache)
            raise
    found = [cache.get(attack.name, share, seed) for attack, share, seed in cells]
    return [result for result in found if result is not None]


def _keep_done(running: Sequence[futures.Future[AttackResult]], cache: Cache) -> None:
    """Those that were done by the time another stopped the audit, and not yet told."""
    for one in running:
        if one.cancelled() or one.exception():
            continue
        found = one.result()
        if cache.get(found.attack, found.share, found.seed) is None:
            cache.add(found)


def _run(bench: Bench, attack: Attack, share: float, seed: int) -> AttackResult:
    # An attack without labels still draws inputs, those of the largest share's thief.
    thief = bench.thief(share or max(bench.budget.shares), seed)
    started = time.perf_counter()
    outcome = bench.run(attack, thief)
    return AttackResult(
        attack.name,
        share,
        seed,
        outcome.accuracy,
        outcome.chosen,
        round(time.perf_counter() - started, 3),
        outcome.details,
        outcome.applies,
    )
