"""Where time was up, thieves are compared whole, and the rest is named."""

import dataclasses

from edgepro_tf.audit.attack import (
    INPUTS,
    LABELS,
    LEFT_OUT,
    SECONDS_LEFT,
    Attack,
    AttackResult,
    Cell,
)
from edgepro_tf.audit.attacks.finetuning import FINE_TUNING
from edgepro_tf.audit.budget import QUICK
from edgepro_tf.audit.reporting.page import write_page
from edgepro_tf.audit.reporting.report import AuditReport, summarise
from edgepro_tf.audit.reporting.unfinished import keep_whole, name_missing
from edgepro_tf.audit.runner import list_cells
from edgepro_tf.audit.workbench.scratch import SCRATCH

BUDGET = dataclasses.replace(QUICK, shares=(0.01, 0.1), seeds=(0, 1))
NAMES = (SCRATCH, FINE_TUNING, "another")


def run(cell: Cell) -> AttackResult:
    attack, share, seed = cell
    details = {"by_procedure": {"plain": [0.5]}} if attack.name == SCRATCH else {}
    return AttackResult(attack.name, share, seed, 0.5 + share, "so", 0.1, details)


def list_attacks() -> list[Attack]:
    nothing = lambda bench, thief: None  # noqa: E731
    return [
        Attack(name, "f", "s", LABELS, nothing, counts=name != SCRATCH)  # type: ignore[arg-type]
        for name in NAMES
    ] + [Attack("open", "f", "s", INPUTS, nothing)]  # type: ignore[arg-type]


def report_of(done: set[tuple[str, float, int]]) -> AuditReport:
    cells = list_cells(list_attacks(), BUDGET)
    results = [run(c) for c in cells if (c[0].name, c[1], c[2]) in done]
    return summarise(results, list_attacks(), BUDGET, {}, cells=cells)


def test_a_finished_audit_is_whole() -> None:
    cells = list_cells(list_attacks(), BUDGET)
    results = [run(cell) for cell in cells]
    assert keep_whole(results, cells) == results
    assert name_missing(results, cells) == ()


def test_thieves_who_are_not_done_are_left_out() -> None:
    done = {(name, 0.01, 0) for name in NAMES} | {("open", 0.0, 0)}
    report = report_of(done | {(SCRATCH, 0.01, 1), (FINE_TUNING, 0.01, 1)})
    (small,) = report.advantages
    assert small.share == 0.01 and small.spread is None
    assert report.not_tested[-3:] == (
        "for want of time, without labels: everything of 1 of 2 thieves",
        "for want of time, with 1% of the data: everything of 1 of 2 thieves",
        "for want of time, with 10% of the data: everything",
    )
    assert "Time was up: 6 of 14 runs are done." in str(report)
    assert "Time was up" in write_page(report)


def test_what_was_cut_short_is_no_figure_yet() -> None:
    """Scratch that tried little would make an advantage of nothing."""
    cells = list_cells(list_attacks(), BUDGET)
    first = [run(cell) for cell in cells if cell[1:] in ((0.01, 0), (0.0, 0))]
    cut = {LEFT_OUT: 17, SECONDS_LEFT: 300}
    results = [
        dataclasses.replace(one, details=one.details | cut)
        if one.attack == SCRATCH
        else one
        for one in first
    ]
    report = summarise(results, list_attacks(), BUDGET, {}, cells=cells)
    (look,) = report.advantages
    assert look.is_first_look and report.worst == look
    text, page = str(report), write_page(report)
    assert "first look at 1% of the data: so far" in text
    assert "thief's advantage with" not in text and "points (" not in text
    assert "no figure yet" in page and "class='figure bad'" not in page
    for words in (text, page):
        assert "Cut short: scratch (17 left to try). 5 minutes more" in words
        assert "Time was up: 3 of 14 runs are done." in words
    assert "for want of time, of scratch: 17 of what it would try" in report.not_tested
    # A whole share beside it is the figure.
    whole = [run(cell) for cell in cells if cell[1] == 0.1]
    both = summarise([*results, *whole], list_attacks(), BUDGET, {}, cells=cells)
    assert both.worst.share == 0.1 and both.mean_advantage == both.worst.value
    page = write_page(both)
    assert "class='figure" in page and "no figure yet" not in page


def test_a_cut_attack_leaves_no_figure_either() -> None:
    """Fine-tuning that had no time is no proof that nothing is gained."""
    cells = list_cells(list_attacks(), BUDGET)
    first = [run(cell) for cell in cells if cell[1:] in ((0.01, 0), (0.0, 0))]
    results = [
        dataclasses.replace(one, accuracy=0.1, details={LEFT_OUT: 7})
        if one.attack == FINE_TUNING
        else one
        for one in first
    ]
    report = summarise(results, list_attacks(), BUDGET, {}, cells=cells)
    assert report.worst.is_first_look and report.worst.attack != FINE_TUNING
    alone = [one for one in results if one.attack == SCRATCH]
    alone = [dataclasses.replace(alone[0], details=alone[0].details | {LEFT_OUT: 1})]
    tuned = dataclasses.replace(results[1], attack=FINE_TUNING, applies=False)
    report = summarise([*alone, tuned], list_attacks(), BUDGET, {}, cells=cells)
    assert report.worst.is_first_look
    assert all(summary.advantage is None for summary in report.summaries)


def test_the_thief_who_got_furthest_stands_for_a_share() -> None:
    """But not one who has no scratch, or nothing beside it."""
    done = {(name, 0.01, seed) for name in NAMES for seed in (0, 1)}
    report = report_of(done | {(SCRATCH, 0.1, 0), ("another", 0.1, 1)})
    assert [one.share for one in report.advantages] == [0.01]
    report = report_of(done | {(SCRATCH, 0.1, 1), (FINE_TUNING, 0.1, 1)})
    assert [one.attack for one in report.advantages] == [FINE_TUNING, FINE_TUNING]
    assert "for want of time, with 10% of the data: another" in report.not_tested


def test_names_that_hold_commas_stay_apart() -> None:
    attacks = [*list_attacks(), *(
        dataclasses.replace(list_attacks()[0], name=name, is_slow=True)
        for name in ("one", "two, tuned")
    )]  # fmt: skip
    cells = list_cells(attacks, dataclasses.replace(BUDGET, is_thorough=True))
    results = [run(cell) for cell in cells if not cell[0].is_slow]
    quick = summarise(results, attacks, BUDGET, {})
    assert "left out of a quick audit (use --full): one; two, tuned" in quick.not_tested
    words = "for want of time, with 1% of the data: one; two, tuned"
    assert words in name_missing(results, cells)
