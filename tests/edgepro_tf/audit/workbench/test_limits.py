"""What an audit of a large network costs is bounded: time, and memory."""

import dataclasses
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from edgepro_tf.audit.attack import LEFT_OUT, SECONDS_LEFT, Attack
from edgepro_tf.audit.attacks import all_attacks
from edgepro_tf.audit.attacks.finetuning import FINE_TUNING
from edgepro_tf.audit.attacks.guesses import WRONG_LOCKS
from edgepro_tf.audit.budget import FULL, QUICK
from edgepro_tf.audit.target import Target
from edgepro_tf.audit.workbench import measuring
from edgepro_tf.audit.workbench.scratch import BY_PROCEDURE, SCRATCH
from edgepro_tf.audit.workbench.stopping import SCORES, Watch
from edgepro_tf.datasets import Dataset
from tests.edgepro_tf.audit.conftest import make_bench


def find(name: str) -> Attack:
    return next(one for one in all_attacks() if one.name == name)


def test_what_is_needed_makes_do_with_what_it_has(
    standard: Target, data: Dataset
) -> None:
    """However little that is; and scratch goes on from there."""
    bench = make_bench(standard, data)
    thief, late = bench.thief(0.02, 0), time.monotonic()
    nothing = bench.run(find(SCRATCH), thief, until=late, is_needed=True)
    assert nothing.chosen == bench.task.constant
    assert list(nothing.details[BY_PROCEDURE]) == [bench.task.constant]
    assert nothing.details[LEFT_OUT] == 10 + 5 + 3  # The better halves once more.
    tuned = bench.run(find(FINE_TUNING), thief, until=late, is_needed=True)
    assert tuned.details[LEFT_OUT] == 3 + 1 and tuned.chosen.startswith("plain")
    assert tuned.accuracy == bench.accuracy(bench.target.public)
    guessed = bench.run(find(WRONG_LOCKS), thief, until=late, is_needed=True)
    assert guessed.details["count"] == 1
    assert guessed.details[LEFT_OUT] == 9  # Of ten for each of two thieves.


def test_scratch_goes_on(
    standard: Target, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(standard, data)
    thief, asked = bench.thief(0.02, 0), iter([True, False, False, True])
    monkeypatch.setattr(bench.watch, "_is_late", lambda _: next(asked, True))
    monkeypatch.setattr(bench.watch, "check", lambda *_: None)
    cut = bench.run(find(SCRATCH), thief, is_needed=True)
    monkeypatch.undo()
    tried = cut.details[BY_PROCEDURE]
    assert list(tried) == ["plain, rate 0.01", bench.task.constant]
    assert cut.details[LEFT_OUT] == 9 + 5 + 3
    whole = bench.run(find(SCRATCH), thief, so_far=cut.details)
    found = whole.details[BY_PROCEDURE]
    assert len(found) == 9 + 2 and LEFT_OUT not in whole.details
    assert all(found[label][0] == value for label, (value,) in tried.items())


def test_a_way_that_there_was_no_time_to_train_is_not_measured(
    standard: Target, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time ran out between the question whether there is any, and the training."""
    bench = make_bench(standard, data)
    thief, asked = bench.thief(0.02, 0), iter([True, False, True])
    monkeypatch.setattr(bench.watch, "_is_late", lambda _: next(asked, True))
    monkeypatch.setattr(bench.watch, "check", lambda *_: None)
    cut = bench.run(find(SCRATCH), thief, is_needed=True)
    assert list(cut.details[BY_PROCEDURE]) == [bench.task.constant]
    assert cut.details[LEFT_OUT] > 0


def test_a_choice_goes_on(
    standard: Target, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was validated is not validated again, and nothing untrained counts."""
    bench = make_bench(standard, data)
    thief = bench.thief(0.02, 0)
    # Two are validated (asked before each, and by each training), the third is not.
    asked = iter([False] * 2 * (1 + len(thief.draw_folds(1, thief.rng("so")))))
    monkeypatch.setattr(bench.watch, "_is_late", lambda _: next(asked, True))
    monkeypatch.setattr(bench.watch, "check", lambda *_: None)
    cut = bench.run(find(FINE_TUNING), thief, is_needed=True)
    monkeypatch.undo()
    scores = cut.details[SCORES]
    assert len(scores) == 2 and cut.details[LEFT_OUT] > 0
    validated = []
    monkeypatch.setattr(
        bench, "_validate", lambda one, *rest: validated.append(one.label) or 0.0
    )
    whole = bench.run(find(FINE_TUNING), thief, so_far=cut.details)
    assert {label.split(",")[0] for label in validated} == {"halved"}
    assert LEFT_OUT not in whole.details and SCORES not in whole.details
    best = ["plain", "normalised"][int(np.argmax(scores))]
    assert whole.chosen.startswith(best)


def test_others_end_when_they_would_be_late(standard: Target, data: Dataset) -> None:
    bench = make_bench(standard, data)
    thief = bench.thief(0.02, 0)
    with pytest.raises(CancelledError):
        bench.run(find(FINE_TUNING), thief, until=time.monotonic())
    assert LEFT_OUT not in bench.run(find(FINE_TUNING), thief).details
    # A training run's length is known by now: one that does not fit is not begun.
    began = time.monotonic()
    with pytest.raises(CancelledError):
        bench.run(find(FINE_TUNING), thief, until=time.monotonic() + 1e-3)
    assert time.monotonic() - began < 1


def test_a_stop_ends_even_what_is_needed() -> None:
    watch = Watch()
    watch.begin(time.monotonic() - 1, is_needed=True, so_far={})
    watch.check()
    assert watch.is_over(3, ahead=2.0) and watch.is_over(1)
    assert watch.notes() == {LEFT_OUT: 4, SECONDS_LEFT: 6}
    watch.begin(time.monotonic() + 60, is_needed=True, so_far={})
    assert not watch.is_over(3, ahead=2.0) and watch.notes() == {}
    assert watch.is_over(3, ahead=61.0)
    watch.stopped.set()
    with pytest.raises(CancelledError):
        watch.check()


def test_large_inputs_are_measured_in_slices(
    standard: Target, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are the same; layers are measured on what there is room for."""
    whole = make_bench(standard, data)
    room = 4 * whole.network.activations * 23
    monkeypatch.setattr(measuring, "_MOST_BYTES", room)
    bench = make_bench(standard, data)
    assert bench.measured_rows == 23 < bench.rows == whole.measured_rows
    values = standard.authorized
    np.testing.assert_allclose(
        bench.logits(values, bench.x_test), whole.logits(values, bench.x_test),
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(
        bench.outputs(values, bench.x_test, 1), whole.outputs(values, bench.x_test, 1),
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip
    thief = bench.thief(0.02, 0)
    of_few = dataclasses.replace(thief, x=thief.x[:23])
    for measured, known in zip(
        bench.moments(values, thief.x), bench.moments(values, of_few.x), strict=True
    ):
        np.testing.assert_array_equal(measured, known)
    tuned = bench.run(find(FINE_TUNING), thief)
    assert tuned.accuracy > 0.3  # Chance is 0.2.


def test_deep_networks_learn_at_lower_rates() -> None:
    """The highest stays last: what is trained twice begins with it."""
    assert QUICK.for_network(10) == QUICK
    for budget in (QUICK, FULL):
        deep = budget.for_network(53)
        assert max(deep.rates) == deep.rates[-1] < max(budget.rates)
        assert min(deep.rates) < min(budget.rates) and 1e-3 in deep.rates
