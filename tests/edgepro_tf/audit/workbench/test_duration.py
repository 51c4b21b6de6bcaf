"""How long an audit takes is told first; one that is stopped ends soon."""

import time
from typing import Any

import pytest

from edgepro_tf.audit.attack import LABELS, NOTHING, Attack, Outcome
from edgepro_tf.audit.runner import Cache, list_cells, run_cells
from edgepro_tf.audit.target import Target
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.duration import estimate_seconds
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.datasets import Dataset
from tests.edgepro_tf.audit.conftest import make_bench


def _name(bench: Bench, thief: Thief) -> Outcome:
    return Outcome(0.5, "so")


def _train_on(bench: Bench, thief: Thief) -> Outcome:
    started = time.monotonic()
    while time.monotonic() - started < 120:
        bench.outcome(bench.sweep(thief, {"so": bench.target.public}), thief, "so")
    return Outcome(0.0, "was never stopped")


def test_an_estimate_grows_with_what_is_left(standard: Target, data: Dataset) -> None:
    attacks = [Attack("labels", "f", "s", LABELS, _name)]
    seconds = []
    for steps in (50, 1000):
        bench = make_bench(standard, data, least_steps=steps, most_steps=steps)
        cells = list_cells(attacks, bench.budget)
        estimate_seconds(bench, cells, cells, 1)  # What it compiles is shared.
        seconds.append(estimate_seconds(bench, cells, cells, 1))
    assert 0 < 4 * seconds[0] < seconds[1]


def test_an_estimate_bears_a_machine_that_stalls(
    standard: Target, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second within ten steps once made 67 minutes of two."""
    bench = make_bench(standard, data, least_steps=1000, most_steps=1000)
    cells = list_cells([Attack("labels", "f", "s", LABELS, _name)], bench.budget)
    estimate_seconds(bench, cells, cells, 1)  # What it compiles is shared.
    expected = estimate_seconds(bench, cells, cells, 1)
    calls = []

    def stall(self: Bench, candidate: Candidate, *args: Any) -> Any:
        calls.append(candidate)
        if len(calls) == 2:
            time.sleep(0.5)
        return train(self, candidate, *args)

    train = Bench.train
    monkeypatch.setattr(Bench, "train", stall)
    assert estimate_seconds(bench, cells, cells, 1) < 4 * expected


def test_what_trains_nothing_takes_no_time(standard: Target, data: Dataset) -> None:
    bench = make_bench(standard, data)
    cells = list_cells([Attack("open", "f", "s", NOTHING, _name)], bench.budget)
    assert estimate_seconds(bench, cells, cells, 1) == 0


def test_it_is_told_once_and_not_of_what_is_done(
    standard: Target, data: Dataset
) -> None:
    attacks, cache = [Attack("labels", "f", "s", LABELS, _name)], Cache(None, 0)
    told: list[float] = []
    for _ in range(2):
        bench = make_bench(standard, data)
        cells = list_cells(attacks, bench.budget)
        run_cells(bench, cells, cache=cache, expect=told.append)
    assert len(told) == 1 and told[0] > 0


def test_a_stopped_audit_waits_for_one_run_alone(
    standard: Target, data: Dataset
) -> None:
    def stop(bench: Bench, thief: Thief) -> Outcome:
        time.sleep(1)  # Meanwhile the other one trains.
        raise KeyboardInterrupt

    attacks = [
        Attack("trains on", "f", "s", LABELS, _train_on),
        Attack("stops", "f", "s", LABELS, stop),
    ]
    cache = Cache(None, 0)
    started = time.monotonic()
    bench = make_bench(standard, data)
    cells = list_cells(attacks, bench.budget)
    with pytest.raises(KeyboardInterrupt):
        run_cells(bench, cells, cache=cache, workers=2)
    assert time.monotonic() - started < 100
    assert cache.get("trains on", 0.02, 0) is None
