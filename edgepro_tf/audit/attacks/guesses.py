"""No lock, wrong locks, partly right locks, a single layer right or missing.

Measurements for the developer rather than attacks: who knows a share of a lock's effect
has seen some of the secret.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from edgepro_tf import native
from edgepro_tf.audit.attack import DEVELOPER, LABELS, NOTHING, Attack, Outcome
from edgepro_tf.audit.scoring.accuracy import public_accuracy
from edgepro_tf.audit.target import Arrays
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.starts import public_start, unreadable
from edgepro_tf.locks import SEED_BYTES
from edgepro_tf.payload import pack_lock, unpack_lock

WRONG_LOCKS = "wrong locks"
_BITS = 8
_PAPER = "EdgePro (arXiv 2303.12397), experiments on password guessing"


def use_without_lock(bench: Bench, thief: Thief) -> Outcome:
    """Run the public file as it is."""
    del thief
    return Outcome(bench.accuracy(bench.target.public), "as shipped")


def guess_locks(bench: Bench, thief: Thief) -> Outcome:
    """Restore with many wrong locks, and keep the one whose answers are surest.

    The details have the mean, and the worst for us: that one is known by the test set
    alone.
    """
    rng = thief.rng(WRONG_LOCKS)
    none = [0.0] * len(bench.network.parameters)
    count = -(-bench.budget.wrong_locks // len(bench.budget.seeds))

    def draw() -> Iterator[tuple[str, Arrays]]:
        for i in range(count):
            if i and bench.watch.is_over(count - i):
                return
            yield str(i), bench.target.guess(none, rng, fills=True)

    outcome = bench.choose_unlabelled(draw(), thief)
    found = list(outcome.details.values())
    words = (
        f"the surest of {len(found)}; mean and worst are known by the test set alone"
    )
    return Outcome(outcome.accuracy, words, _spread_of(found))


def know_share(bench: Bench, thief: Thief, *, known: float) -> Outcome:
    """A share of the channels (elements, where shuffled) of every constant known."""
    rng = thief.rng(f"known {known}")
    shares = [known] * len(bench.network.parameters)
    return Outcome(bench.accuracy(bench.target.guess(shares, rng)))


def know_layers(bench: Bench, thief: Thief, *, only_one: bool) -> Outcome:
    """One layer's lock right, or one layer's missing; the best over layers."""
    rng = thief.rng(f"layers {only_one}")
    parameters = bench.network.parameters
    found = {}
    for layer, one in bench.network.distinct_linears.items():
        mine = one.parameters
        if not any(map(bench.target.is_locked, mine)):
            continue
        known = [float((i in mine) == only_one) for i in range(len(parameters))]
        found[layer] = bench.accuracy(bench.target.guess(known, rng))
    if not found:
        return bench.does_not_apply("nothing locked")
    best = max(found, key=lambda layer: found[layer])
    words = "right" if only_one else "missing"
    by_layer = {str(layer): value for layer, value in found.items()}
    return Outcome(found[best], f"layer {best} {words}", {"by_layer": by_layer})


def miss_one_bit(bench: Bench, thief: Thief) -> Outcome:
    """Restore through the native core with one bit of the seed wrong; the best of many.

    Each run of the audit flips bits of its own. The accuracy is an interpreter's.
    """
    target, rng = bench.target, thief.rng("one bit")
    lock, found = unpack_lock(target.payload), []
    for bit in rng.choice(8 * SEED_BYTES, _BITS, replace=False):
        seed = bytearray(lock.seed)
        seed[bit // 8] ^= 1 << (bit % 8)
        restored = bytearray(target.content)
        native.restore_buffer(restored, pack_lock(lock.with_seed(bytes(seed))))
        test = bench.test_inputs, bench.y_test
        found.append(public_accuracy(bytes(restored), *test, target.output))
    return Outcome(max(found), f"best of {len(found)} bits", _spread_of(found))


def _spread_of(found: list[float]) -> dict[str, float]:
    return {"mean": float(np.mean(found)), "worst": max(found), "count": len(found)}


def know_draws(bench: Bench, thief: Thief) -> Outcome:
    """Every order, sign and exponent of a channel known; the rest learned afresh.

    What is masked or shuffled stays unknown: no search over channels gives it. The
    bound of all such searches: if this gains nothing over scratch, none can, however
    long.
    """
    fresh = unreadable(bench)
    start = public_start(bench, thief, fresh=fresh)
    start = [
        start[i] if i in fresh else value
        for i, value in enumerate(bench.target.authorized)
    ]
    candidates = []
    for name, theta in bench.variants(start, thief.x).items():
        candidates += bench.sweep(thief, {f"{name}, free": theta})
        candidates += bench.sweep(
            thief, {f"{name}, frozen": theta}, learns=fresh.__contains__
        )
    return bench.outcome(candidates, thief, "draws known")


ATTACKS = (
    Attack("no lock", "guessing", _PAPER, NOTHING, use_without_lock),
    Attack(WRONG_LOCKS, "guessing", _PAPER, NOTHING, guess_locks),
    *(
        Attack(
            f"{known:.0%} of the lock known", "partial knowledge", "ours", DEVELOPER,
            functools.partial(know_share, known=known), counts=False,
        )
        for known in (0.5, 0.8, 0.9, 0.95, 0.98)
    ),
    Attack(
        "one layer's lock known", "partial knowledge", "ours", DEVELOPER,
        functools.partial(know_layers, only_one=True), counts=False,
    ),
    Attack(
        "one layer's lock missing", "partial knowledge", "ours", DEVELOPER,
        functools.partial(know_layers, only_one=False), counts=False,
    ),
    Attack(
        "all draws by channel known, tuned", "partial knowledge", "ours", LABELS,
        know_draws, counts=False, is_slow=True,
    ),
    Attack(
        "one bit of the seed wrong", "partial knowledge", "ours", DEVELOPER,
        miss_one_bit, counts=False,
    ),
)  # fmt: skip
