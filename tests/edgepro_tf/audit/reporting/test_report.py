"""The advantage is best minus scratch; the page says it and needs no network."""

import dataclasses
import json
import re

import numpy as np
import pytest

from edgepro_tf.audit.attack import DEVELOPER, LABELS, Attack, AttackResult
from edgepro_tf.audit.budget import QUICK
from edgepro_tf.audit.reporting.advantage import _luck, best_procedure
from edgepro_tf.audit.reporting.page import write_page
from edgepro_tf.audit.reporting.plots import plot_lines
from edgepro_tf.audit.reporting.report import summarise

BUDGET = dataclasses.replace(QUICK, shares=(0.01, 0.1), seeds=(0, 1, 2))
# attack -> share -> accuracy of each seed
FIGURES = {
    "scratch": {0.01: (0.50, 0.52, 0.54), 0.1: (0.80, 0.80, 0.80)},
    "lucky <once>": {0.01: (0.80, 0.40, 0.40), 0.1: (0.70, 0.70, 0.70)},
    "steady": {0.01: (0.51, 0.53, 0.55), 0.1: (0.81, 0.82, 0.83)},
    "finds nothing": {0.01: (0.9, 0.9, 0.9), 0.1: (0.9, 0.9, 0.9)},
    "knows the lock": {0.01: (0.99, 0.99, 0.99), 0.1: (0.99, 0.99, 0.99)},
}


def make_report(seeds=3, facts=None):  # type: ignore[no-untyped-def]
    attacks = [
        Attack(
            name,
            "family",
            "source",
            DEVELOPER if name == "knows the lock" else LABELS,
            run=lambda bench, thief: None,  # type: ignore[arg-type,return-value]
            counts=name not in ("scratch", "knows the lock"),
        )
        for name in FIGURES
    ]
    results = [
        AttackResult(
            name, share, seed, accuracy, "chosen & done", 0.1,
            {"by_procedure": {"chosen": [accuracy]}} if name == "scratch" else {},
            applies=name != "finds nothing",
        )
        for name, shares in FIGURES.items()
        for share, accuracies in shares.items()
        for seed, accuracy in enumerate(accuracies[:seeds])
    ]  # fmt: skip
    return summarise(results, attacks, BUDGET, {"name": "a model"} | (facts or {}))


def test_advantage_is_best_minus_scratch() -> None:
    small, large = make_report().advantages
    # The means are 1.6 / 3 and 1.59 / 3: luck wins by a hair.
    assert small.attack == "lucky <once>"
    assert small.value == pytest.approx(1.6 / 3 - 0.52)
    assert large.attack == "steady"
    assert large.value == pytest.approx(0.02)
    assert large.spread == pytest.approx(0.01)


def test_held_out_advantage_takes_luck_away() -> None:
    small, large = make_report().advantages
    # Without seed 0 'steady' is chosen: 0.51 - 0.50; without the others 'lucky' is.
    expected = (0.01 + (0.40 - 0.52) + (0.40 - 0.54)) / 3
    assert small.held_out == pytest.approx(expected)
    assert large.held_out == pytest.approx(0.02)


def test_luck_is_what_the_best_of_equals_would_show() -> None:
    """Nine attacks as good as scratch, by simulation."""
    rng, gains = np.random.default_rng(0), []
    starts = 0.5 + 0.03 * rng.standard_normal((400, 4, 3))
    scratch = best_procedure(
        {
            seed: AttackResult(
                "scratch", 0.1, seed, 0.5, "", 0.1,
                {"by_procedure": dict(zip("abcd", map(list, found), strict=True))},
            )
            for seed, found in enumerate(starts)
        }
    )  # fmt: skip
    for _ in range(2000):
        best = 0.03 * rng.standard_normal((9, 400)).mean(1).max()
        gains.append(best - 0.03 * rng.standard_normal((4, 400, 3)).mean((1, 2)).max())
    assert _luck(scratch, 9) == pytest.approx(np.mean(gains), rel=0.1)


def test_scratch_is_its_best_procedure_over_the_seeds() -> None:
    row = {
        seed: AttackResult("scratch", 0.1, seed, 0.1, "", 0.1, {"by_procedure": found})
        for seed, found in enumerate(
            (
                {"a": [0.4, 0.6], "b": [0.6, 0.8]},
                {"a": [0.6, 0.6], "b": [0.4, 0.6]},
            )
        )
    }
    found = best_procedure(row)
    assert found.accuracy == pytest.approx({0: 0.7, 1: 0.5})
    assert found.mean == pytest.approx(0.6)
    np.testing.assert_allclose(found.starts, [[0.6, 0.8], [0.4, 0.6]])


def test_a_thief_without_an_attack_has_what_scratch_has() -> None:
    """Its best procedure over the seeds, and not the best of every seed."""
    found = ({"a": [0.5], "b": [0.7]}, {"a": [0.7], "b": [0.4]})
    budget = dataclasses.replace(BUDGET, shares=(0.1,), seeds=(0, 1))
    results = [
        AttackResult("scratch", 0.1, seed, 0.7, "", 0.1, {"by_procedure": one})
        for seed, one in enumerate(found)
    ]
    attack = Attack("scratch", "", "", LABELS, lambda *_: None, counts=False)  # type: ignore[arg-type,return-value]
    (advantage,) = summarise(results, [attack], budget, {}).advantages
    assert advantage.value == advantage.held_out == 0
    assert advantage.scratch == pytest.approx(0.6)


def test_who_knows_the_lock_is_no_thief() -> None:
    assert all(one.attack != "knows the lock" for one in make_report().advantages)


def test_an_attack_that_finds_nothing_of_its_kind_does_not_count() -> None:
    report = make_report()
    assert all(one.attack != "finds nothing" for one in report.advantages)
    found = [s for s in report.summaries if s.attack == "finds nothing"]
    assert [s.advantage for s in found] == [None, None]
    assert write_page(report).count("does not apply") == 2


def test_page_is_whole_and_escaped() -> None:
    page = write_page(make_report())
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "lucky &lt;once&gt;" in page and "<once>" not in page
    assert "What was not tested" in page and "memory dumps" in page
    assert "+2.0 points" in page
    assert not re.search(r"(src|href)=|@import|<script", page)


def test_text_names_every_share() -> None:
    assert str(make_report()).count("thief's advantage with") == 2


def test_a_single_thief_has_no_spread() -> None:
    report = make_report(seeds=1)
    assert {one.spread for one in report.advantages} == {None}
    assert str(report).count("+- unknown points") == 2
    assert "standard error unknown" in str(report)
    assert "&plusmn; unknown" in write_page(report)
    assert "One thief alone with 1%, 10%" in str(report)
    assert "One thief" not in str(make_report())
    json.dumps(report.to_dict(), allow_nan=False)


def test_few_test_examples_are_said() -> None:
    report = make_report(facts={"test_examples": 10})
    for text in (str(report), write_page(report)):
        assert "Few test examples, 10: one of them is 10.0% of" in text
    assert "Few test" not in str(make_report(facts={"test_examples": 360}))


def test_labels_are_counted_and_failed_runs_told() -> None:
    report = make_report(facts={"labels": {0.01: 14, 0.1: 144}})
    assert "with 1% of the data (14 labels): " in str(report)
    assert "With 10% of the data (144 labels)" in write_page(report)
    every = dataclasses.replace(BUDGET, shares=(0.01, 0.05, 0.1))
    # 1 % of 2,000 are a hundred labels as well: one for each class.
    assert every.for_data(2000, 100).shares == (0.05, 0.1)
    assert BUDGET.for_data(1437, 10).shares == BUDGET.shares
    assert BUDGET.count_labels(0.1, 2, 10) == 2  # There are no more.


def test_a_share_alone_is_seen_in_the_plot() -> None:
    """A line of one point is none: a dot stands for it."""
    svg = plot_lines([("scratch", [(0.1, 0.8, 0.0)]), ("attack", [(0.1, 0.75, 0.0)])])
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert len(dots) == 2 and dots[0][0] == dots[1][0] and dots[0][1] < dots[1][1]


def test_a_report_says_what_its_figures_mean() -> None:
    reached = {"authorized_accuracy": 0.97, "released_accuracy": 0.08, "chance": 0.1}
    report = make_report(facts=reached | {"test_examples": 10})
    words = (
        "With its sidecar the network has accuracy 97.0%, the public file alone 8.0%, "
        "one answer to everything 10.0%."
    )
    page = write_page(report)
    assert words in page and words in str(report).splitlines()
    assert "At 0 or below the file is worth nothing" in page
    # A sentence a line: together they are a paragraph that nobody reads.
    assert str(report).splitlines()[-1].startswith("Few test examples")
    assert "With its sidecar" not in str(make_report())


def test_what_does_not_apply_stands_last() -> None:
    """An attack worse than scratch stood below all that were not run."""
    rows = write_page(make_report()).partition("With 10% of the data")[2]
    assert rows.index("lucky &lt;once&gt;<br>") < rows.index("does not apply")


def test_classes_that_nobody_can_learn_are_said() -> None:
    assert "Of 3 of the classes that are tested the training set has no" in str(
        make_report(facts={"classes_not_trained": 3})
    )
    assert "the training set" not in str(make_report(facts={"classes_not_trained": 0}))


def test_data_that_leave_nothing_to_gain_are_said() -> None:
    """Scratch has 52 % with the fewest labels."""
    for authorized, is_said in ((0.56, True), (0.5, True), (0.6, False)):
        facts = {"authorized_accuracy": authorized, "chance": 0.4}
        report = make_report(facts=facts)
        words = f"the authorized network has accuracy {authorized:.1%}, scratch with 1%"
        assert (words in str(report)) == (words in write_page(report)) == is_said
    # A control of an audit was never trained.
    control = make_report(facts={"authorized_accuracy": 0.1, "chance": 0.12})
    assert "Little to gain" not in str(control)
