"""What was done once is not done again."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgepro_tf.audit.attack import LABELS, NOTHING, Attack, Outcome
from edgepro_tf.audit.budget import FULL, QUICK
from edgepro_tf.audit.runner import Cache, list_cells, run_attacks


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
    attacks = [Attack("one", "f", "s", LABELS, counter)]
    cells = len(QUICK.shares) * len(QUICK.seeds)
    counter.stop_at = 4
    stops_first = {"progress": lambda done, _: reversed(list(done))}
    with pytest.raises(KeyboardInterrupt):  # Of which it is told before the four.
        run_attacks(make_bench(), attacks, cache=Cache(path, "context"), **stops_first)
    with path.open("a") as file:  # What a crash in the middle of a write leaves.
        file.write('[1]\nnull\n\x00{"context": "ab')
    counter.stop_at = -1
    results = run_attacks(make_bench(), attacks, cache=Cache(path, "context"))
    assert counter.runs == cells == len(results)
    again = run_attacks(make_bench(), attacks, cache=Cache(path, "context"))
    assert counter.runs == cells
    assert again == results
    assert again[0].details == {"figure": 1.5}


def test_another_context_starts_anew(tmp_path: Path) -> None:
    counter, path = Counter(), tmp_path / "results.jsonl"
    attacks = [Attack("one", "f", "s", NOTHING, counter)]
    run_attacks(make_bench(), attacks, cache=Cache(path, "one model"))
    run_attacks(make_bench(), attacks, cache=Cache(path, "another model"))
    assert counter.runs == 2 * len(QUICK.seeds)


def test_slow_attacks_wait_for_a_full_audit() -> None:
    attacks = [Attack("slow", "f", "s", LABELS, Counter(), is_slow=True)]
    assert not list_cells(attacks, QUICK)
    assert list_cells(attacks, FULL)


def test_workers_change_nothing() -> None:
    attacks = [Attack(name, "f", "s", LABELS, Counter()) for name in ("one", "two")]
    alone, together = (
        run_attacks(make_bench(), attacks, cache=Cache(None, 0), workers=workers)
        for workers in (1, 4)
    )
    assert [(r.attack, r.share, r.seed, r.accuracy) for r in alone] == [
        (r.attack, r.share, r.seed, r.accuracy) for r in together
    ]
