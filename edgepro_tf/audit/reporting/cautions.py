"""Sentences on figures that rest on less than they might."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgepro_tf.audit.attack import LEFT_OUT, SECONDS_LEFT
from edgepro_tf.audit.reporting.advantage import Advantage, name_share

_FEW_EXAMPLES = 200
_LITTLE = 0.05


def list_cautions(
    facts: Mapping[str, Any],
    advantages: Sequence[Advantage],
    details: Mapping[str, Sequence[Mapping[str, Any]]],
    score: str,
) -> Iterator[str]:
    """What who reads a report should know first.

    Args:
        facts: of the report.
        advantages: of every share.
        details: of every attack's runs, by its name.
        score: what figures are, in words.
    """
    done, runs = facts.get("runs_done", 0), facts.get("runs", 0)
    if done < runs:
        yield (
            f"Time was up: {done:,} of {runs:,} runs are done. What is missing stands "
            "under what was not tested; the same audit goes on from here."
        )
    yield from _describe_cut(details)
    if alone := [f"{one.share:.0%}" for one in advantages if one.spread is None]:
        yield (
            f"One thief alone with {', '.join(alone)}: single thieves differ by ten "
            "points and more, six of them tell something."
        )
    count = int(facts.get("test_examples", _FEW_EXAMPLES))
    if count < _FEW_EXAMPLES:
        yield (
            f"Few test examples, {count}: one of them is {100 / count:.1f}% of what "
            "every figure rests on."
        )
    if unseen := facts.get("classes_not_trained"):
        yield (
            f"Of {unseen:,} of the classes that are tested the training set has no "
            "example: scratch and attacks fall short of what they might reach."
        )
    yield from _describe_room(facts, advantages, score)
    if diverged := sum(_sum_of("diverged_runs", runs) for runs in details.values()):
        yield f"{diverged:,} training runs diverged; where they began stands for them."


def _describe_cut(details: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """What has not tried all that it would, and what that does to a difference."""
    left = {name: _sum_of(LEFT_OUT, runs) for name, runs in details.items()}
    seconds = sum(_sum_of(SECONDS_LEFT, runs) for runs in details.values())
    named = [f"{name} ({count:,} left to try)" for name, count in left.items() if count]
    if named:
        minutes = max(1, round(seconds / 60))
        yield (
            f"Cut short: {', '.join(named)}. {minutes} minute{'s' * (minutes > 1)} "
            "more should do for these: until then, what scratch lacks makes a "
            "difference too large, and what an attack lacks too small."
        )


def _sum_of(name: str, details: Sequence[Mapping[str, Any]]) -> int:
    return sum(each.get(name, 0) for each in details)


def _describe_room(
    facts: Mapping[str, Any], advantages: Sequence[Advantage], score: str
) -> Iterator[str]:
    """Whether scratch is about as good as the network that is protected.

    An advantage is then near zero whatever the lock: the classes are easily told apart,
    or nearly all examples are of one, which who has nothing can always answer.
    """
    if not {"authorized_accuracy", "chance"} <= facts.keys() or not advantages:
        return
    authorized, chance = facts["authorized_accuracy"], facts["chance"]
    least = min(advantages, key=lambda one: one.scratch)
    # An audit's control was never trained, and answers by chance on purpose.
    if authorized > chance and authorized - least.scratch < _LITTLE:
        share = name_share(least.share, least.labels)
        yield (
            f"Little to gain: the authorized network has {score} {authorized:.1%}, "
            f"scratch with {share} {least.scratch:.1%}, and one answer to everything "
            f"{chance:.1%}. Advantages say little of a lock here; harder data, or as "
            "many of each class, say more."
        )
