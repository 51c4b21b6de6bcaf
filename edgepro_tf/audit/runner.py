"""Runs the attacks, once each: what was done before is read from a cache of lines."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from edgepro_tf.audit.attack import LABELS, Attack, AttackResult, Cell, read_result
from edgepro_tf.audit.attacks.finetuning import FINE_TUNING
from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.duration import estimate_seconds
from edgepro_tf.audit.workbench.scratch import SCRATCH
from edgepro_tf.files import make_folder

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
Expect = Callable[[float], None]
Running = futures.Future[AttackResult]

# Raised whenever an attack changes what it does, so that no old figure is mixed in.
AUDIT_VERSION = 19


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
            result = read_result(entry)
        except (json.JSONDecodeError, AttributeError, TypeError):
            return  # Damaged: it is run again.
        self._found[result.attack, result.share, result.seed] = result


def list_cells(
    attacks: Sequence[Attack], budget: Budget, seeds: Sequence[int] | None = None
) -> list[Cell]:
    """Every attack, share and seed; an attack without labels has no share (0).

    In the order they are run: the smallest share first, with what needs no labels, so
    that an audit cut short is a whole one of less data; thief by thief, of each what
    trains first.
    """
    seeds = budget.seeds if seeds is None else seeds
    cells = []
    for attack in attacks:
        if attack.is_slow and not budget.is_thorough:
            continue
        shares = budget.shares if attack.needs == LABELS else (0.0,)
        cells += [(attack, share, seed) for share in shares for seed in seeds]
    least = min(budget.shares)
    return sorted(cells, key=lambda cell: (cell[1] or least, cell[2], not cell[1]))


def run_cells(
    bench: Bench,
    cells: Sequence[Cell],
    *,
    cache: Cache,
    workers: int = 1,
    progress: Progress = lambda cells, _: cells,
    expect: Expect | None = None,
    until: float = math.inf,
) -> list[AttackResult]:
    """Run what the cache does not have.

    Args:
        bench: the target's workbench.
        cells: from ``list_cells``.
        cache: read first, added to after each attack.
        workers: threads; each attack trains small networks, which use one core well
            and two badly. Results do not depend on it.
        progress: wraps the attacks as they are done, given their number.
        expect: told first how many seconds that will take, about.
        until: of ``time.monotonic``. What is not done by then is given up, but for what
            any report needs: one thief's training from nothing and his fine-tuning.

    Returns:
        All results that there are, in the order of the cells.
    """
    missing = [c for c in cells if cache.get(c[0].name, c[1], c[2]) is None]
    if expect is not None and missing:
        expect(estimate_seconds(bench, cells, missing, workers))
    first = next((cell[1:] for cell in cells if cell[1]), None)
    with futures.ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(_run, bench, *cell): cell for cell in missing}
        needed = {
            one
            for one, (attack, *whose) in running.items()
            if attack.name in (SCRATCH, FINE_TUNING) and tuple(whose) == first
        }
        try:
            done = _take_done(set(running), needed, until)
            for one in progress(done, len(running)):
                cache.add(one.result())
        finally:  # Time is up, or the audit is stopped.
            bench.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            _keep_done(running, cache)
    found = [cache.get(attack.name, share, seed) for attack, share, seed in cells]
    return [result for result in found if result is not None]


def _take_done(
    pending: set[Running], needed: set[Running], until: float
) -> Iterator[Running]:
    """Those that are done, as they are, until time is up (not before the needed)."""
    while pending:
        left = None if until == math.inf else max(0.0, until - time.monotonic())
        done, pending = futures.wait(
            pending, None if needed & pending else left, futures.FIRST_COMPLETED
        )
        yield from done
        if not done:
            return


def _keep_done(running: Iterable[Running], cache: Cache) -> None:
    """Those that were done by the time the audit was stopped, and not yet told."""
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
