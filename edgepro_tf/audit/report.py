"""What an audit found: summaries, the thief's advantage, what was not tested."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from edgepro_tf.audit.scratch import SCRATCH
from edgepro_tf.audit.thief import LABELS, Attack, AttackResult, Budget

NEVER_TESTED = (
    "memory dumps of an authorized device: whoever controls a device that holds the "
    "sidecar's key can read the restored constants; no lock prevents that",
    "breaking the keystream or the sidecar's encryption (standard algorithms)",
    "thieves with more labelled data than the largest share above",
    "inventing a better architecture: every attack and scratch use the public one",
    "side channels (timing, power, cache) of restoring on the device",
)


@dataclasses.dataclass(frozen=True)
class Summary:
    """One attack at one share of the data, over all seeds.

    Args:
        accuracy, spread: mean and standard deviation over seeds, 0 to 1.
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
    spread: float
    advantage: float | None
    advantage_spread: float | None
    seconds: float
    chosen: tuple[str, ...]
    details: tuple[dict[str, Any], ...] = ()
    applies: bool = True


@dataclasses.dataclass(frozen=True)
class Advantage:
    """The thief's advantage with one share of the data, in shares of 1.

    Args:
        attack: the best one, by mean accuracy over the seeds.
        scratch: mean scratch accuracy.
        value, spread: mean and standard deviation over seeds of best minus scratch. The
            best of many noisy figures is too good by chance; hence also:
        held_out: mean over seeds, the attack being chosen on the other seeds alone.
        error: standard error of the mean, spread / sqrt(seeds).
        luck: what the best of as many attacks would show if each were another start of
            scratch; 0 where scratch does not say how its starts differ.
    """

    share: float
    attack: str
    scratch: float
    accuracy: float
    value: float
    spread: float
    held_out: float
    error: float
    luck: float = 0.0

    def __str__(self) -> str:
        return (
            f"thief's advantage with {self.share:.0%} of the data: "
            f"{100 * self.value:+.1f} +- {100 * self.spread:.1f} points "
            f"({self.attack}: {self.accuracy:.1%}, scratch {self.scratch:.1%}; "
            f"held out {100 * self.held_out:+.1f}; standard error "
            f"{100 * self.error:.1f}; by luck {100 * self.luck:+.1f})"
        )


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
        return max(self.advantages, key=lambda one: one.value)

    @property
    def mean_advantage(self) -> float:
        return float(np.mean([one.value for one in self.advantages]))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return dataclasses.asdict(self) | {"mean_advantage": self.mean_advantage}

    def __str__(self) -> str:
        return "\n".join(map(str, self.advantages))


def summarise(
    results: Sequence[AttackResult],
    attacks: Sequence[Attack],
    budget: Budget,
    facts: dict[str, Any],
) -> AuditReport:
    """Average over seeds and hold every attack against scratch.

    An attack without labels is held against scratch at every share: a thief may always
    use what he gets for nothing.
    """
    known = {attack.name: attack for attack in attacks}
    table: dict[tuple[str, float], dict[int, AttackResult]] = {}
    for result in results:
        table.setdefault((result.attack, result.share), {})[result.seed] = result
    scratch = {
        share: {seed: r.accuracy for seed, r in row.items()}
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
        tuple(_advantage(share, table, known, scratch) for share in budget.shares),
        NEVER_TESTED + _left_out(attacks, budget),
    )


def _summary(
    attack: Attack,
    share: float,
    row: dict[int, AttackResult],
    scratch: dict[float, dict[int, float]],
) -> Summary:
    accuracy = np.array([r.accuracy for r in row.values()])
    applies = any(r.applies for r in row.values())
    gains = None
    if attack.needs == LABELS and applies:
        # Another task has a scratch accuracy of its own.
        gains = np.array(
            [
                r.details.get("advantage", r.accuracy - scratch[share][seed])
                for seed, r in row.items()
            ]
        )
    return Summary(
        attack.name,
        attack.family,
        attack.source,
        attack.needs,
        attack.counts,
        share,
        float(accuracy.mean()),
        _spread(accuracy),
        None if gains is None else float(gains.mean()),
        None if gains is None else _spread(gains),
        float(np.mean([r.seconds for r in row.values()])),
        tuple(r.chosen for r in row.values()),
        tuple(r.details for r in row.values()),
        applies,
    )


def _advantage(
    share: float,
    table: dict[tuple[str, float], dict[int, AttackResult]],
    known: dict[str, Attack],
    scratch: dict[float, dict[int, float]],
) -> Advantage:
    seeds = sorted(scratch[share])
    names = [
        key
        for key in table
        if known[key[0]].counts
        and key[1] in (share, 0.0)
        and set(table[key]) >= set(seeds)
        and any(result.applies for result in table[key].values())
    ]
    accuracy = np.array([[table[k][s].accuracy for s in seeds] for k in names])
    base = np.array([scratch[share][s] for s in seeds])
    best = int(np.argmax(accuracy.mean(1)))
    gains = accuracy[best] - base
    held_out = []
    for i in range(len(seeds)):
        others = np.delete(accuracy, i, axis=1) if len(seeds) > 1 else accuracy
        held_out.append(accuracy[int(np.argmax(others.mean(1))), i] - base[i])
    return Advantage(
        share,
        names[best][0],
        float(base.mean()),
        float(accuracy[best].mean()),
        float(gains.mean()),
        _spread(gains),
        float(np.mean(held_out)),
        _spread(gains) / float(np.sqrt(len(gains))),
        _luck(table[SCRATCH, share], sum(key[1] > 0 for key in names)),
    )


def _luck(scratch: dict[int, AttackResult], attacks: int) -> float:
    """Expected best of so many means over seeds, minus what each is expected to be.

    Source: Blom, "Statistical Estimates and Transformed Beta-Variables", 1958: the
    largest of k normal draws lies near the quantile (k - 3/8) / (k + 1/4).
    """
    starts = [r.details.get("starts", ()) for r in scratch.values()]
    if attacks < 2 or any(len(found) < 2 for found in starts):
        return 0.0
    variance = float(np.mean([np.var(found, ddof=1) for found in starts]))
    largest = NormalDist().inv_cdf((attacks - 0.375) / (attacks + 0.25))
    return largest * float(np.sqrt(variance / len(starts)))


def _left_out(attacks: Sequence[Attack], budget: Budget) -> tuple[str, ...]:
    if budget.is_thorough:
        return ()
    names = [attack.name for attack in attacks if attack.is_slow]
    return (f"left out of a quick audit (use --full): {', '.join(names)}",)


def _spread(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
