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

from edgepro_tf.audit.attack import (
    LABELS,
    Attack,
    AttackResult,
    Cell,
    Key,
    key_of,
    read_result,
)
from edgepro_tf.audit.attacks.finetuning import FINE_TUNING
from edgepro_tf.audit.attacks.guesses import WRONG_LOCKS
from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.duration import estimate_seconds
from edgepro_tf.audit.workbench.scratch import SCRATCH
from edgepro_tf.files import make_folder

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
Expect = Callable[[float], None]
Running = futures.Future[AttackResult]

# What any report needs of its first thief, and the share of an audit's time after which
# each makes do with what it has. Alone, scratch leaves fine-tuning as much.
_NEEDED = {WRONG_LOCKS: 0.2, SCRATCH: 0.6, FINE_TUNING: 1.0}

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
        self._found: dict[Key, AttackResult] = {}
        self._cut: dict[Key, AttackResult] = {}
        if path is not None:
            make_folder(path.parent)
        if path is not None and path.exists():
            text = path.read_text("utf-8", errors="replace")
            for line in text.splitlines():
                self._read(line)
            if text and not text.endswith("\n"):  # An interrupted run's last line.
                with path.open("a", encoding="utf-8") as file:
                    file.write("\n")

    def get(self, attack: str, share: float, seed: int) -> AttackResult | None:
        """A whole result."""
        return self._found.get((attack, share, seed))

    def get_any(self, attack: str, share: float, seed: int) -> AttackResult | None:
        """A whole result, or one that was cut short."""
        whole = self.get(attack, share, seed)
        return whole or self._cut.get((attack, share, seed))

    def add(self, result: AttackResult) -> None:
        """Keep a result; one that was cut short is done again, from there on."""
        entry = {"context": self._context, **dataclasses.asdict(result)}
        with self._adding:
            self._keep(result)
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
        self._keep(result)

    def _keep(self, result: AttackResult) -> None:
        kept = self._cut if result.is_cut else self._found
        kept[result.key] = result


def list_cells(
    attacks: Sequence[Attack], budget: Budget, seeds: Sequence[int] | None = None
) -> list[Cell]:
    """Every attack, share and seed; an attack without labels has no share (0).

    In the order they are run: the smallest share first, with what needs no labels, so
    that an audit cut short is a whole one of less data; thief by thief, of each what
    needs no labels first, which takes least.
    """
    seeds = budget.seeds if seeds is None else seeds
    cells = []
    for attack in attacks:
        if attack.is_slow and not budget.is_thorough:
            continue
        shares = budget.shares if attack.needs == LABELS else (0.0,)
        cells += [(attack, share, seed) for share in shares for seed in seeds]
    least = min(budget.shares)
    return sorted(cells, key=lambda cell: (cell[1] or least, cell[2], bool(cell[1])))


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
            any report needs of one thief: that makes do with what it has, begins first,
            and goes on from there another time.

    Returns:
        All results that there are, in the order of the cells.
    """
    missing = [cell for cell in cells if cache.get(*key_of(cell)) is None]
    if expect is not None and missing:
        expect(estimate_seconds(bench, cells, missing, workers))
    limits = _limit(cells, until, workers)
    missing.sort(key=lambda cell: limits.get(key_of(cell), math.inf))
    with futures.ThreadPoolExecutor(workers) as pool:
        running, needed = [], set()
        for cell in missing:
            key = key_of(cell)
            ends, before = limits.get(key, until), cache.get_any(*key)
            running.append(pool.submit(_run, bench, cell, ends, key in limits, before))
            if key in limits:
                needed.add(running[-1])
        try:
            done = _take_done(set(running), needed, until)
            for one in progress(done, len(running)):
                cache.add(one.result())
        finally:  # Time is up, or the audit is stopped.
            bench.watch.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            _keep_done(running, cache)
    found = [cache.get_any(*key_of(cell)) for cell in cells]
    return [result for result in found if result is not None]


def _limit(cells: Sequence[Cell], until: float, workers: int) -> dict[Key, float]:
    """When what any report needs has to be done, by name, share and seed."""
    labelled = [cell for cell in cells if cell[1]]
    if not labelled:
        return {}
    _, share, seed = labelled[0]
    started = time.monotonic()
    parts = _NEEDED if workers == 1 else _NEEDED | {SCRATCH: 1.0}
    return {
        key_of(cell): started + parts[cell[0].name] * (until - started)
        for cell in cells
        if cell[0].name in parts and cell[1:] in ((share, seed), (0.0, seed))
    }


def _take_done(
    pending: set[Running], needed: set[Running], until: float
) -> Iterator[Running]:
    """Those that are done, as they are, until time is up and the needed are done."""
    is_late = False
    while pending:
        left = None if until == math.inf or is_late else until - time.monotonic()
        wanted = pending & needed if is_late else pending
        done, pending = futures.wait(wanted, left, futures.FIRST_COMPLETED)
        yield from (one for one in done if not _is_given_up(one))
        if not done:
            is_late = True
            for one in pending - needed:
                one.cancel()


def _is_given_up(one: Running) -> bool:
    return one.cancelled() or isinstance(one.exception(), futures.CancelledError)


def _keep_done(running: Iterable[Running], cache: Cache) -> None:
    """Those that were done by the time the audit was stopped, and not yet told."""
    for one in running:
        if one.cancelled() or one.exception():
            continue
        found = one.result()
        if cache.get_any(*found.key) is not found:
            cache.add(found)


def _run(
    bench: Bench, cell: Cell, until: float, is_needed: bool, before: AttackResult | None
) -> AttackResult:
    attack, share, seed = cell
    # An attack without labels still draws inputs, those of the largest share's thief.
    thief = bench.thief(share or max(bench.budget.shares), seed)
    started = time.perf_counter()
    outcome = bench.run(
        attack,
        thief,
        until=until,
        is_needed=is_needed,
        so_far={} if before is None else before.details,
    )
    seconds = round(time.perf_counter() - started, 3)
    return AttackResult(attack.name, share, seed, seconds=seconds, **vars(outcome))
