"""The thief's advantage: the best attack beside the best training from nothing."""

from __future__ import annotations

import dataclasses
from statistics import NormalDist

import numpy as np

from edgepro_tf.audit.attack import Attack, AttackResult
from edgepro_tf.audit.workbench.scratch import BY_PROCEDURE, SCRATCH

Table = dict[tuple[str, float], dict[int, AttackResult]]


@dataclasses.dataclass(frozen=True)
class Advantage:
    """The thief's advantage with one share of the data, in shares of 1.

    Args:
        attack: the best one, by mean accuracy over the seeds.
        scratch: mean scratch accuracy, of the procedure that is best over the seeds.
        accuracy: the attack's, a mean over the seeds.
        value, spread: mean and standard deviation over seeds of best minus scratch, the
            latter None where there is one seed. The best of many noisy figures is too
            good by chance; hence also:
        held_out: mean over seeds, both being chosen on the other seeds alone.
        error: standard error of the mean, spread / sqrt(seeds).
        luck: what the best of as many attacks would show if each were another start of
            scratch; 0 for a single attack, or a single start.
        labels: as many as that share is, if known.
        is_first_look: whether scratch or an attack was cut short: no figure yet.
    """

    share: float
    attack: str
    scratch: float
    accuracy: float
    value: float
    spread: float | None
    held_out: float
    error: float | None
    luck: float = 0.0
    labels: int | None = None
    is_first_look: bool = False

    def __str__(self) -> str:
        if self.is_first_look:
            return (
                f"first look at {name_share(self.share, self.labels)}: so far "
                f"{self.attack} {self.accuracy:.1%}, scratch {self.scratch:.1%}"
            )
        return (
            f"thief's advantage with {name_share(self.share, self.labels)}: "
            f"{100 * self.value:+.1f} +- {deviation(self.spread)} points "
            f"({self.attack}: {self.accuracy:.1%}, scratch {self.scratch:.1%}; "
            f"held out {100 * self.held_out:+.1f}; standard error "
            f"{deviation(self.error)}; by luck {100 * self.luck:+.1f})"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Scratch:
    """Training from nothing with one share: the procedure that is best over the seeds.

    Args:
        of_all: float64 [procedures, seeds], accuracy of each, a mean over its starts.
        best: the row that is taken.
        accuracy: the same row by seed.
        starts: for each seed float64 [starts], what that row is the mean of.
        is_cut: whether time was up before a seed had tried every procedure.
    """

    of_all: np.ndarray
    best: int
    accuracy: dict[int, float]
    starts: list[np.ndarray]
    is_cut: bool = False

    @property
    def mean(self) -> float:
        return float(self.of_all[self.best].mean())


def find_advantage(
    share: float,
    table: Table,
    known: dict[str, Attack],
    scratch: dict[float, Scratch],
) -> Advantage:
    """The best of all attacks that count and apply, over every seed.

    An attack without labels stands beside scratch at every share: a thief may always
    use what he gets for nothing. Where no attack applies, scratch is all he has.
    """
    base = scratch[share]
    seeds = sorted(base.accuracy)
    names = [
        key
        for key in table
        if known[key[0]].counts
        and key[1] in (share, 0.0)
        and set(table[key]) >= set(seeds)
        and any(result.applies for result in table[key].values())
    ]
    if not names:
        return Advantage(
            share, SCRATCH, scratch=base.mean, accuracy=base.mean, value=0.0,
            spread=0.0, held_out=0.0, error=0.0, is_first_look=base.is_cut,
        )  # fmt: skip
    accuracy = np.array([[table[k][s].accuracy for s in seeds] for k in names])
    best = int(np.argmax(accuracy.mean(1)))
    gains = accuracy[best] - base.of_all[base.best]
    spread = spread_of(gains)
    held_out = [
        _without(accuracy, i)[i] - _without(base.of_all, i)[i]
        for i in range(len(seeds))
    ]
    return Advantage(
        share,
        names[best][0],
        scratch=base.mean,
        accuracy=float(accuracy[best].mean()),
        value=float(gains.mean()),
        spread=spread,
        held_out=float(np.mean(held_out)),
        error=None if spread is None else spread / float(np.sqrt(len(gains))),
        luck=_luck(base, sum(key[1] > 0 for key in names)),
        is_first_look=base.is_cut
        or any(_is_cut(table[key]) for key in names if key[1] or key == names[best]),
    )


def _is_cut(row: dict[int, AttackResult]) -> bool:
    return any(result.is_cut for result in row.values())


def best_procedure(row: dict[int, AttackResult]) -> Scratch:
    """Of scratch's results by seed, the procedure with the best mean."""
    seeds = sorted(row)
    labels = row[seeds[0]].details[BY_PROCEDURE]
    starts = [
        [np.array(row[seed].details[BY_PROCEDURE][one]) for seed in seeds]
        for one in labels
    ]
    of_all = np.array([[one.mean() for one in of_seeds] for of_seeds in starts])
    best = int(np.argmax(of_all.mean(1)))
    by_seed = dict(zip(seeds, map(float, of_all[best]), strict=True))
    return Scratch(of_all, best, by_seed, starts[best], _is_cut(row))


def _without(accuracy: np.ndarray, seed: int) -> np.ndarray:
    """The row that is best on the other seeds alone."""
    others = np.delete(accuracy, seed, axis=1) if accuracy.shape[1] > 1 else accuracy
    return np.asarray(accuracy[int(np.argmax(others.mean(1)))])


def _luck(scratch: Scratch, attacks: int) -> float:
    """What the best attack would show if each were one more start of scratch.

    The expected best of so many means over seeds, less that of scratch's own
    procedures, each of which is a mean over several starts.

    Source: Blom, "Statistical Estimates and Transformed Beta-Variables", 1958: the
    largest of k normal draws lies near the quantile (k - 3/8) / (k + 1/4).
    """
    repeated = [starts for starts in scratch.starts if len(starts) > 1]
    if attacks < 2 or not repeated:
        return 0.0
    variance = float(np.mean([np.var(starts, ddof=1) for starts in repeated]))
    own = _largest(len(scratch.of_all)) / float(np.sqrt(max(map(len, repeated))))
    return (_largest(attacks) - own) * float(np.sqrt(variance / len(scratch.starts)))


def _largest(count: int) -> float:
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25))


def name_share(share: float, labels: int | None) -> str:
    """A share of the data, for people."""
    count = "" if labels is None else f" ({labels:,} label{'s' * (labels != 1)})"
    return f"{share:.0%} of the data{count}"


def spread_of(values: np.ndarray) -> float | None:
    """Standard deviation; None for a single value, which has none."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def deviation(share: float | None) -> str:
    """A deviation in points, for people."""
    return "unknown" if share is None else f"{100 * share:.1f}"
