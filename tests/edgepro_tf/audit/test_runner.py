"""What was done once is not done again."""

import json
import threading
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgepro_tf.audit.attack import LABELS, NOTHING, Attack, Cell, Outcome
from edgepro_tf.audit.attacks.finetuning import FINE_TUNING
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
    run = lambda attack, thief: attack.run(None, thief)  # noqa: E731
    return SimpleNamespace(
        budget=QUICK, thief=thief, run=run, stopped=threading.Event()
    )


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
    """The first thief trains from nothing and fine-tunes, however late it is."""
    bench, path = make_bench(), tmp_path / "results.jsonl"

    def train_on(_: object, thief: SimpleNamespace) -> Outcome:
        bench.stopped.wait(60)
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


def test_an_audit_cut_short_is_one_of_less_data_and_fewer_thieves() -> None:
    attacks = [Attack("open", "f", "s", NOTHING, Counter())]
    attacks.append(Attack("labels", "f", "s", LABELS, Counter()))
    order = [(a.name, share, seed) for a, share, seed in list_cells(attacks, QUICK)]
    assert order[:3] == [("labels", 0.01, 0), ("open", 0.0, 0), ("labels", 0.01, 1)]
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
