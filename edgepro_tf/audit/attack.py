"""An attack, what it needs, and what one run of it gave."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgepro_tf.audit.scoring.tasks import Task
    from edgepro_tf.audit.thief import Thief
    from edgepro_tf.audit.workbench.bench import Bench

LABELS, INPUTS, NOTHING, DEVELOPER = "labels", "inputs", "nothing", "developer"
NO_ROWS = "no layer keeps its rows"  # Why several attacks do not apply.
# Details of an attack that time cut short: how much it lacks, and how long that takes.
LEFT_OUT, SECONDS_LEFT = "left_out", "seconds_left"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one run of an attack reached.

    Args:
        accuracy: on the test set, 0 to 1; R2 of numbers.
        chosen: the variant that the thief's validation chose, in words.
        details: further figures, plain numbers.
        applies: False where nothing in the file is of the attack's kind; ``chosen``
            says so, and the accuracy is that of the file as it ships.
    """

    accuracy: float
    chosen: str = ""
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    applies: bool = True


@dataclasses.dataclass(frozen=True)
class Attack:
    """One way to use a public model without its lock.

    Args:
        name: unique, as in the report.
        family: heading that it stands under.
        source: who described it.
        needs: ``labels``, ``inputs`` (without labels), ``nothing``, or ``developer``
            (reads the lock: a measurement, no attack).
        run: does it.
        counts: whether it can be the best attack of the thief's advantage.
        is_slow: left out of a quick audit.
        task: ``Task.kind`` of the networks that it is for; empty for all.
    """

    name: str
    family: str
    source: str
    needs: str
    run: Callable[[Bench, Thief], Outcome] = dataclasses.field(repr=False)
    counts: bool = True
    is_slow: bool = False
    task: str = ""

    def suits(self, task: Task) -> bool:
        """Whether it has something to attack there."""
        return self.task in ("", task.kind)


Cell = tuple[Attack, float, int]  # With a share of the data and a thief's seed.
Key = tuple[str, float, int]  # The same by the attack's name.


def key_of(cell: Cell) -> Key:
    """What a cell's result is known by."""
    attack, share, seed = cell
    return attack.name, share, seed


@dataclasses.dataclass(frozen=True)
class AttackResult:
    """An outcome with everything it depends on, one line of the cache."""

    attack: str
    share: float
    seed: int
    accuracy: float
    chosen: str
    seconds: float
    details: dict[str, Any] = dataclasses.field(default_factory=dict)
    applies: bool = True

    @property
    def key(self) -> Key:
        """Its cell's ``key_of``."""
        return self.attack, self.share, self.seed

    @property
    def left_out(self) -> int:
        """Ways to train, or locks, that it had no time for."""
        return int(self.details.get(LEFT_OUT, 0))

    @property
    def is_cut(self) -> bool:
        """Whether time was up before it had tried all that it would."""
        return self.left_out > 0


def read_result(entry: dict[str, Any]) -> AttackResult:
    """A line of the cache, as JSON gives it.

    Raises:
        TypeError: fields are missing or of other types, or a figure is no number.
    """
    one = AttackResult(**entry)
    figures = (one.share, one.accuracy, one.seconds)
    are_figures = all(isinstance(each, int | float) for each in figures)
    are_words = isinstance(one.attack, str) and isinstance(one.chosen, str)
    is_rest = isinstance(one.seed, int) and isinstance(one.details, dict)
    if not (are_figures and are_words and is_rest and all(map(isfinite, figures))):
        raise TypeError("expected an attack's result, got fields of other types")
    return one
