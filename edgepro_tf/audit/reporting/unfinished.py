"""An audit whose time was up: what is whole is reported, the rest is named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from edgepro_tf.audit.attack import AttackResult, Cell, Key, key_of
from edgepro_tf.audit.attacks.finetuning import FINE_TUNING
from edgepro_tf.audit.reporting.advantage import name_share
from edgepro_tf.audit.workbench.scratch import SCRATCH


def keep_whole(
    results: Sequence[AttackResult], cells: Sequence[Cell]
) -> list[AttackResult]:
    """The results of thieves who have run every attack with their share of the data.

    A mean of some thieves beside a mean of others would compare their luck, and so
    would an attack that was cut short. Where a share has no whole thief, the one who
    got furthest stands for it, if he can be compared at all. What needs no labels is
    kept.

    Args:
        results: what there is.
        cells: what the audit asks for.
    """
    wanted = _by_thief(map(key_of, cells))
    found = _by_thief(r.key for r in results)
    uncut = _by_thief(r.key for r in results if not r.is_cut)
    kept = {thief for thief in found if not thief[0]}
    for share in {share for share, _ in found if share}:
        mine = {
            thief: attacks
            for thief, attacks in found.items()
            if thief[0] == share and attacks >= wanted[thief] & {SCRATCH, FINE_TUNING}
        }
        whole = [thief for thief in mine if uncut[thief] >= wanted[thief]]
        furthest = sorted(mine, key=lambda thief: -len(mine[thief]))[:1]
        kept.update(whole or furthest)
    return [r for r in results if (r.share, r.seed) in kept]


def name_missing(
    results: Sequence[AttackResult], cells: Sequence[Cell]
) -> tuple[str, ...]:
    """What is missing among results that ``keep_whole`` kept, a line for each gap."""
    done = {r.key for r in results}
    thieves = len({seed for *_, seed in cells})
    lines = []
    for share in sorted({share for _, share, _ in cells}):
        where = f"with {name_share(share, None)}" if share else "without labels"
        mine = [(attack.name, seed) for attack, its, seed in cells if its == share]
        missing = Counter(
            name for name, seed in mine if (name, share, seed) not in done
        )
        for count in sorted(set(missing.values())):
            names = [name for name, seeds in missing.items() if seeds == count]
            is_all = len(names) == len({name for name, _ in mine})
            what = "everything" if is_all else "; ".join(names)
            whose = "" if count == thieves else f" of {count} of {thieves} thieves"
            lines.append(f"for want of time, {where}: {what}{whose}")
    return *lines, *(
        f"for want of time, of {r.attack}: {r.left_out:,} of what it would try"
        for r in results
        if r.is_cut
    )


def _by_thief(runs: Iterable[Key]) -> dict[tuple[float, int], set[str]]:
    """Names of attacks, by share of the data and thief."""
    found: dict[tuple[float, int], set[str]] = defaultdict(set)
    for attack, share, seed in runs:
        found[share, seed].add(attack)
    return found
