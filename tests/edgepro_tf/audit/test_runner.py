"""What was done once is not done again."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgepro_tf.audit.attack import (
    LABELS,
    LEFT_OUT,
    NOTHING,
    Attack,
    AttackResult,
    Cell,
    Outcome,
)
from edgepro_tf.audit.attacks.finetuning import FINE_TUNING
from edgepro_tf.audit.attacks.guesses import WRONG_LOCKS
from edgepro_tf.audit.budget import FULL, QUICK
from edgepro_tf.audit.runner import Cache, list_cells, run_cells
from edgepro_tf.audit.workbench.scratch import SCRATCH


class Counter:
    """An attack that counts its runs and may be told to stop."""

    def __init__(self) -> None:
        self.runs = 0
        self.stop_at = -1

    def __call__(self, bench, thief) -> Outcome:  # type: ignore[no-untyped-def]
        if self.runs == self.stop_at:
            raise KeyboardInterrupt
        self.runs += 1
        return Outcome(0.5 + 0.01 * thief.seed, "so", {"figure": 1.5})


def make_bench() -> SimpleNamespace:
    thief = lambda share, seed: SimpleNamespace(share=share, seed=seed)  # noqa: E731
    watch = SimpleNamespace(stopped=threading.Event())
    run = lambda attack, thief, **limits: attack.run(limits, thief)  # noqa: E731
    return SimpleNamespace(budget=QUICK, thief=thief, run=run, watch=watch)


def test_an_audit_that_was_stopped_goes_on(tmp_path: Path) -> None:
    counter, path = Counter(), tmp_path / "new" / "folder" / "results.jsonl"
    cells = list_cells([Attack("one", "f", "s", LABELS, counter)], QUICK)
    assert len(cells) == len(QUICK.shares) * len(QUICK.seeds)
    counter.stop_at = 4
    stops_first = {"progress": lambda done, _: reversed(list(done))}
    with pytest.raises(KeyboardInterrupt):  # Of which it is told before the four.
        run_cells(make_bench(), cells, cache=Cache(path, "context"), **stops_first)
    with path.open("a") as file:  # What a crash in the middle of a write leaves.
        file.write('[1]\nnull\n\x00{"context": "ab')
    counter.stop_at = -1
    results = run_cells(make_bench(), cells, cache=Cache(path, "context"))
    assert counter.runs == len(cells) == len(results)
    again = run_cells(make_bench(), cells, cache=Cache(path, "context"))
    assert counter.runs == len(cells)
    assert again == results
    assert again[0].details == {"figure": 1.5}


def test_what_is_kept_is_never_written_anew(tmp_path: Path) -> None:
    """Whoever is stopped while he mends a torn line keeps all that was there."""
    path, torn = tmp_path / "results.jsonl", b'{"attack": "one"}\n{"att\xe2'
    path.write_bytes(torn)
    Cache(path, "context")
    assert path.read_bytes() == torn + b"\n"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attack", ["one"]), ("share", "x"), ("seed", None), ("accuracy", None),
        ("accuracy", float("nan")), ("chosen", 5), ("details", None), ("seconds", "x"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_run_again(tmp_path: Path, field: str, value: object) -> None:
    counter, path = Counter(), tmp_path / "results.jsonl"
    cells = list_cells([Attack("one", "f", "s", NOTHING, counter)], QUICK)
    results = run_cells(make_bench(), cells, cache=Cache(path, "context"))
    first, *others = path.read_text().splitlines()
    damaged = json.dumps(json.loads(first) | {field: value})
    path.write_text("\n".join([damaged, *others]))
    again = run_cells(make_bench(), cells, cache=Cache(path, "context"))
    assert counter.runs == len(cells) + 1
    assert [one.accuracy for one in again] == [one.accuracy for one in results]


def test_another_context_starts_anew(tmp_path: Path) -> None:
    counter, path = Counter(), tmp_path / "results.jsonl"
    cells = list_cells([Attack("one", "f", "s", NOTHING, counter)], QUICK)
    run_cells(make_bench(), cells, cache=Cache(path, "one model"))
    run_cells(make_bench(), cells, cache=Cache(path, "another model"))
    assert counter.runs == 2 * len(QUICK.seeds)


def test_slow_attacks_wait_for_a_full_audit() -> None:
    attacks = [Attack("slow", "f", "s", LABELS, Counter(), is_slow=True)]
    assert not list_cells(attacks, QUICK)
    assert list_cells(attacks, FULL)


def test_time_that_is_up_gives_up_all_but_one_comparison(tmp_path: Path) -> None:
    """The first thief trains from nothing, fine-tunes and guesses, however late."""
    bench, path = make_bench(), tmp_path / "results.jsonl"

    def train_on(_: object, thief: SimpleNamespace) -> Outcome:
        bench.watch.stopped.wait(60)
        raise futures.CancelledError

    def list_with(attack: Callable[..., Outcome]) -> list[Cell]:
        runs = {"trains on": attack, SCRATCH: Counter(), FINE_TUNING: Counter()}
        attacks = [Attack(name, "f", "s", LABELS, run) for name, run in runs.items()]
        return list_cells(attacks, QUICK)

    cells, late = list_with(train_on), time.monotonic()
    found = run_cells(bench, cells, cache=Cache(path, 0), until=late, workers=2)
    assert [(r.attack, r.share, r.seed) for r in found] == [
        (SCRATCH, 0.01, 0), (FINE_TUNING, 0.01, 0),
    ]  # fmt: skip
    cells, cache = list_with(Counter()), Cache(path, 0)
    assert len(run_cells(make_bench(), cells, cache=cache)) == len(cells)
    again = run_cells(make_bench(), cells, cache=Cache(path, 0), until=late)
    assert len(again) == len(cells)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_cut_short_goes_on_from_there(tmp_path: Path, workers: int) -> None:
    """Alone, scratch leaves fine-tuning as much time as it takes itself."""
    asked: dict[str, list[tuple[float, bool, dict]]] = {}  # type: ignore[type-arg]
    cut = {LEFT_OUT: 3, "found": [0.25]}

    def make(name: str) -> Callable[..., Outcome]:
        def attack(limits, thief) -> Outcome:  # type: ignore[no-untyped-def]
            left = limits["until"] - time.monotonic()
            asked.setdefault(name, []).append(
                (left, limits["is_needed"], dict(limits["so_far"]))
            )
            is_first = name == SCRATCH and not limits["so_far"]
            return Outcome(0.5, "so", cut if is_first and limits["is_needed"] else {})

        return attack

    kinds = {"another": LABELS, SCRATCH: LABELS, FINE_TUNING: LABELS,
             WRONG_LOCKS: NOTHING}  # fmt: skip
    attacks = [Attack(name, "f", "s", kinds[name], make(name)) for name in kinds]
    cells, path = list_cells(attacks, QUICK), tmp_path / "results.jsonl"
    until = time.monotonic() + 1000
    found = run_cells(
        make_bench(), cells, cache=Cache(path, 0), workers=workers, until=until
    )
    assert len(found) == len(cells) and sum(one.is_cut for one in found) == 1
    shares = {name: round(runs[0][0] / 1000, 1) for name, runs in asked.items()}
    alone = 0.6 if workers == 1 else 1.0
    assert shares == {
        WRONG_LOCKS: 0.2, SCRATCH: alone, FINE_TUNING: 1.0, "another": 1.0,
    }  # fmt: skip
    needed = {name: sum(run[1] for run in runs) for name, runs in asked.items()}
    assert needed == {WRONG_LOCKS: 1, SCRATCH: 1, FINE_TUNING: 1, "another": 0}
    asked.clear()
    again = run_cells(make_bench(), cells, cache=Cache(path, 0))
    assert [(name, run[2]) for name, runs in asked.items() for run in runs] == [
        (SCRATCH, cut)
    ]
    assert not any(one.is_cut for one in again)


def test_what_was_done_whole_replaces_what_was_cut(tmp_path: Path) -> None:
    """Though the audit was stopped before it told."""
    cells = list_cells([Attack("one", "f", "s", LABELS, Counter())], QUICK)[:1]
    path = tmp_path / "results.jsonl"
    cut = AttackResult("one", cells[0][1], cells[0][2], 0.1, "so", 0.1, {LEFT_OUT: 1})
    Cache(path, 0).add(cut)

    def stop(done: Iterable[AttackResult], _: int) -> Iterator[AttackResult]:
        list(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells(make_bench(), cells, cache=Cache(path, 0), progress=stop)
    kept = Cache(path, 0).get("one", *cells[0][1:])
    assert kept is not None and not kept.is_cut


def test_an_audit_cut_short_is_one_of_less_data_and_fewer_thieves() -> None:
    attacks = [Attack("open", "f", "s", NOTHING, Counter())]
    attacks.append(Attack("labels", "f", "s", LABELS, Counter()))
    order = [(a.name, share, seed) for a, share, seed in list_cells(attacks, QUICK)]
    assert order[:3] == [("open", 0.0, 0), ("labels", 0.01, 0), ("open", 0.0, 1)]
    assert [share for _, share, _ in order[6:]] == [0.05] * 3 + [0.1] * 3


def test_workers_change_nothing() -> None:
    attacks = [Attack(name, "f", "s", LABELS, Counter()) for name in ("one", "two")]
    cells = list_cells(attacks, QUICK)
    alone, together = (
        run_cells(make_bench(), cells, cache=Cache(None, 0), workers=workers)
        for workers in (1, 4)
    )
    assert [(r.attack, r.share, r.seed, r.accuracy) for r in alone] == [
        (r.attack, r.share, r.seed, r.accuracy) for r in together
    ]
