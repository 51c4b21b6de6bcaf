"""What an audit found: summaries, the thief's advantage, what was not tested."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepro_tf.audit.attack import LABELS, Attack, AttackResult, Cell
from edgepro_tf.audit.budget import Budget
from edgepro_tf.audit.reporting.advantage import (
    Advantage,
    Scratch,
    Table,
    best_procedure,
    find_advantage,
    spread_of,
)
from edgepro_tf.audit.reporting.cautions import list_cautions
from edgepro_tf.audit.reporting.unfinished import keep_whole, name_missing
from edgepro_tf.audit.workbench.scratch import SCRATCH

if TYPE_CHECKING:
    from edgepro_tf.audit.scoring.tasks import Task

NEVER_TESTED = (
    "memory dumps of an authorized device: whoever controls a device that holds the "
    "sidecar's key can read the restored constants; no lock prevents that",
    "breaking the keystream or the sidecar's encryption (standard algorithms)",
    "thieves with more labelled data than the largest share above",
    "integer arithmetic: a quantised file's weights are what its integers stand for, "
    "and activations are not rounded",
    "inventing a better architecture: every attack and scratch use the public one",
    "side channels (timing, power, cache) of restoring on the device",
)


@dataclasses.dataclass(frozen=True)
class Summary:
    """One attack at one share of the data, over all seeds.

    Args:
        accuracy, spread: mean and standard deviation over seeds, 0 to 1; the latter
            None where there is one seed. R2 where labels are numbers.
        advantage, advantage_spread: of the difference to scratch, seed by seed; None
            where there is no such difference to speak of.
        applies: False where the file holds nothing of the attack's kind.
    """

    attack: str
    family: str
    source: str
    needs: str
    counts: bool
    share: float
    accuracy: float
    spread: float | None
    advantage: float | None
    advantage_spread: float | None
    seconds: float
    chosen: tuple[str, ...]
    details: tuple[dict[str, Any], ...] = ()
    applies: bool = True


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """Everything that the HTML and JSON files say."""

    facts: dict[str, Any]
    summaries: tuple[Summary, ...]
    advantages: tuple[Advantage, ...]
    not_tested: tuple[str, ...]

    @property
    def worst(self) -> Advantage:
        """The share of data at which the thief gains most."""
        return max(self._told, key=lambda one: one.value)

    @property
    def mean_advantage(self) -> float:
        return float(np.mean([one.value for one in self._told]))

    @property
    def _told(self) -> Sequence[Advantage]:
        """Those that are figures, if any is."""
        whole = [one for one in self.advantages if not one.is_first_look]
        return whole or self.advantages

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return dataclasses.asdict(self) | {"mean_advantage": self.mean_advantage}

    @property
    def score(self) -> str:
        """What figures are, in words."""
        return str(self.facts.get("score", "accuracy"))

    @property
    def taken(self) -> str:
        """What the labels were taken for, in a sentence, if that is known."""
        if "labels_taken_for" not in self.facts:
            return ""
        kind = self.facts["labels_taken_for"]
        return f"Labels taken for {kind}: figures are {self.score}."

    @property
    def reached(self) -> str:
        """What the network reaches with the lock and without, if that is known."""
        names = ("authorized_accuracy", "released_accuracy", "chance")
        if not set(names) <= self.facts.keys():
            return ""
        authorized, released, chance = (f"{self.facts[name]:.1%}" for name in names)
        return (
            f"With its sidecar the network has {self.score} {authorized}, the public "
            f"file alone {released}, one answer to everything {chance}."
        )

    @property
    def cautions(self) -> tuple[str, ...]:
        """Sentences on figures that rest on less than they might, if any."""
        details: dict[str, list[dict[str, Any]]] = {}
        for summary in self.summaries:
            details.setdefault(summary.attack, []).extend(summary.details)
        found = list_cautions(self.facts, self.advantages, details, self.score)
        return tuple(found)

    def __str__(self) -> str:
        figures = map(str, self.advantages)
        lines = (self.taken, self.reached, *figures, *self.cautions)
        return "\n".join(filter(None, lines))


def summarise(
    results: Sequence[AttackResult],
    attacks: Sequence[Attack],
    budget: Budget,
    facts: dict[str, Any],
    task: Task | None = None,
    cells: Sequence[Cell] = (),
) -> AuditReport:
    """Average over seeds and hold every attack against scratch.

    Attacks that do not suit the task (None: all do) are named as not tested, and so is
    what is missing of the cells that were asked for.
    """
    done = sum(not result.is_cut for result in results)
    facts = facts | {"runs": len(cells), "runs_done": done}
    results = keep_whole(results, cells)
    known = {attack.name: attack for attack in attacks}
    table: Table = {}
    for result in results:
        table.setdefault((result.attack, result.share), {})[result.seed] = result
    scratch = {
        share: best_procedure(row)
        for (name, share), row in table.items()
        if name == SCRATCH
    }
    summaries = tuple(
        _summary(known[name], share, row, scratch)
        for (name, share), row in table.items()
    )
    return AuditReport(
        facts,
        summaries,
        tuple(
            dataclasses.replace(
                find_advantage(share, table, known, scratch),
                labels=facts.get("labels", {}).get(share),
            )
            for share in budget.shares
            if share in scratch
        ),
        NEVER_TESTED + _left_out(attacks, budget, task) + name_missing(results, cells),
    )


def _summary(
    attack: Attack,
    share: float,
    row: dict[int, AttackResult],
    scratch: dict[float, Scratch],
) -> Summary:
    accuracy = np.array([r.accuracy for r in row.values()])
    if attack.name == SCRATCH:
        accuracy = np.array(list(scratch[share].accuracy.values()))
    applies = any(r.applies for r in row.values())
    gains, is_cut = None, share in scratch and scratch[share].is_cut
    if attack.needs == LABELS and applies and not is_cut:
        # Another task has a scratch accuracy of its own.
        gains = np.array(
            [
                r.details.get("advantage", a - scratch[share].accuracy[seed])
                for a, (seed, r) in zip(accuracy, row.items(), strict=True)
            ]
        )
    return Summary(
        attack.name,
        attack.family,
        attack.source,
        attack.needs,
        attack.counts,
        share,
        accuracy=float(accuracy.mean()),
        spread=spread_of(accuracy),
        advantage=None if gains is None else float(gains.mean()),
        advantage_spread=None if gains is None else spread_of(gains),
        seconds=float(np.mean([r.seconds for r in row.values()])),
        chosen=tuple(r.chosen for r in row.values()),
        details=tuple(r.details for r in row.values()),
        applies=applies,
    )


def _left_out(
    attacks: Sequence[Attack], budget: Budget, task: Task | None
) -> tuple[str, ...]:
    suited = [one for one in attacks if task is None or one.suits(task)]
    slow = [one.name for one in suited if one.is_slow and not budget.is_thorough]
    others = [f"{one.name} (of {one.task})" for one in attacks if one not in suited]
    return tuple(
        f"{why}: {'; '.join(names)}"
        for why, names in (
            ("left out of a quick audit (use --full)", slow),
            ("without a counterpart here", others),
        )
        if names
    )
