"""Whether the data leave an attack anything to gain over scratch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgepro_tf.audit.reporting.advantage import Advantage, name_share

_LITTLE = 0.05


def describe_room(
    facts: Mapping[str, Any], advantages: Sequence[Advantage], score: str
) -> list[str]:
    """A sentence where scratch is about as good as the network that is protected.

    An advantage is then near zero whatever the lock: the classes are easily told apart,
    or nearly all examples are of one, which who has nothing can always answer.

    Args:
        facts: of the report.
        advantages: of every share.
        score: what figures are, in words.
    """
    if not {"authorized_accuracy", "chance"} <= facts.keys() or not advantages:
        return []
    authorized, chance = facts["authorized_accuracy"], facts["chance"]
    least = min(advantages, key=lambda one: one.scratch)
    # An audit's control was never trained, and answers by chance on purpose.
    if authorized <= chance or authorized - least.scratch >= _LITTLE:
        return []
    return [
        f"Little to gain: the authorized network has {score} {authorized:.1%}, "
        f"scratch with {name_share(least.share, least.labels)} {least.scratch:.1%}, "
        f"and one answer to everything {chance:.1%}. Advantages say little of a lock "
        "here; harder data, or as many of each class, say more."
    ]
