"""The attacks on element signs find what can be found, and no mask's signs."""

import numpy as np
import pytest

from edgepro_tf.audit import statistics
from edgepro_tf.audit.attacks import (
    element_signs,
    guesses,
    magnitudes,
    sign_search,
)
from edgepro_tf.audit.attacks.element_signs import balance_signs
from edgepro_tf.audit.element_statistics import element_areas
from edgepro_tf.audit.network.rows import filter_rows
from edgepro_tf.audit.target import Draw, relock
from edgepro_tf.audit.workbench.scratch import train_scratch
from edgepro_tf.audit.workbench.sign_training import learn_signs_of
from edgepro_tf.locks import Step
from tests.edgepro_tf.audit.conftest import make_bench, relock_layer, with_public

RNG = np.random.default_rng(5)
HEAD = 2


def mask(values: np.ndarray, rng: np.random.Generator = RNG) -> np.ndarray:
    return values * rng.choice([-1.0, 1.0], values.shape)


def test_the_signs_of_a_masked_head_are_learned(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    """What stands before it is open: the labels tell which way each element points."""
    i = unlocked.network.linears[HEAD].filter
    true = unlocked.authorized[i]
    target = relock_layer(unlocked, HEAD, mask(true), Step.MASK)
    bench = make_bench(target, data)
    thief = bench.thief(0.2, 0)
    candidate = learn_signs_of(
        bench, thief, thief.rng("t"), target.public, {HEAD}, 1e-2, "", full=False
    )
    found = bench.fit(candidate, thief, thief.rng("b"))
    large = np.abs(true) > np.median(np.abs(true))
    before = np.mean(np.sign(target.public[i]) == np.sign(true), where=large)
    after = np.mean(np.sign(found[i]) == np.sign(true), where=large)
    assert before < 0.65 and after > 0.8
    assert bench.accuracy(found) > bench.accuracy(target.public) + 0.2


def test_gradients_say_which_signs_of_a_masked_head_to_flip(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    i = unlocked.network.linears[HEAD].filter
    true = unlocked.authorized[i]
    bench = make_bench(relock_layer(unlocked, HEAD, mask(true), Step.MASK), data)
    thief = bench.thief(0.05, 0)
    found, flips = sign_search.climb(bench, bench.target.public, thief.x, thief.y)
    assert flips > 0
    np.testing.assert_array_equal(np.abs(found[i]), np.abs(true))
    assert bench.accuracy(found) > bench.accuracy(bench.target.public) + 0.3


@pytest.mark.parametrize("full", [False, True])
def test_a_masked_layer_alone_is_overcome(unlocked, data, full: bool) -> None:  # type: ignore[no-untyped-def]
    true = unlocked.authorized[unlocked.network.linears[HEAD].filter]
    gains = []
    for seed in range(4):  # A thief's labels and a mask have their luck.
        masked = mask(true, np.random.default_rng(seed))
        bench = make_bench(relock_layer(unlocked, HEAD, masked, Step.MASK), data)
        thief = bench.thief(0.02, seed)
        found = element_signs.learn_signs(bench, thief, full=full)
        gains.append(found.accuracy - train_scratch(bench, thief).accuracy)
    assert np.mean(gains) > 0.05


def test_signs_that_follow_magnitudes_are_guessed(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    """A network whose large elements are positive: its mask hides nothing."""
    layer = 1
    one = unlocked.network.linears[layer]
    sizes = np.abs(unlocked.authorized[one.filter])
    told = sizes * balance_signs(sizes)
    authorized = list(unlocked.authorized)
    authorized[one.filter] = told.astype(np.float32)
    steps = [Step(0)] * len(unlocked.steps)
    steps[one.filter] = Step.MASK | Step.ORDER
    public = list(authorized)
    public[one.filter] = mask(told)[RNG.permutation(len(told))].astype(np.float32)
    target = with_public(unlocked, public, tuple(steps))
    target.authorized[:] = authorized
    areas, worst = element_areas(target, [Draw(public)])
    assert np.mean(areas["sign by rank in its row"]) > 0.95 and worst > 0.95
    assert np.mean(areas["size by size"]) == 1
    for label, rule in element_signs._rules():
        bench = make_bench(target, data)
        set_to = element_signs.set_signs(bench, target.public, (layer,), rule)
        rows = filter_rows(set_to[one.filter], 0)
        same = np.mean(np.sign(rows) == balance_signs(np.abs(rows)))
        if label.startswith("large in its row"):
            assert same == ("positive" in label)


def test_a_mask_tells_neither_sign_nor_size(standard) -> None:  # type: ignore[no-untyped-def]
    draws = [relock(standard, RNG.bytes(32)) for _ in range(5)]
    areas, _ = element_areas(standard, draws)
    assert len(areas) >= 24
    for found in areas.values():
        # 984 elements, five draws: a standard error of 0.01 to 0.02.
        assert abs(np.mean(found) - 0.5) < 0.08


def test_rows_balanced_by_signs_have_mean_zero() -> None:
    rows = np.abs(RNG.standard_normal((8, 200)))
    signed = rows * balance_signs(rows)
    assert np.all(np.abs(signed.mean(1)) < 0.02)
    assert (signed > 0).sum() < (signed < 0).sum()


def test_tickets_keep_the_largest_of_each_row(standard, data) -> None:  # type: ignore[no-untyped-def]
    masks = magnitudes._largest(make_bench(standard, data), (1,), 0.5)
    i = standard.network.linears[1].filter
    size = np.abs(standard.public[i])
    kept = masks[i].astype(bool)
    assert np.all(kept.sum(1) == 12) and masks[0].all()
    for row, here in zip(size, kept, strict=True):
        assert row[here].min() > row[~here].max()


def test_another_seed_locks_the_same_network(standard, data) -> None:  # type: ignore[no-untyped-def]
    """Made by the core: every locked constant differs, rows stay in their places."""
    second = relock(standard, bytes(32))
    for i, (a, b) in enumerate(zip(standard.public, second.values, strict=True)):
        if standard.is_locked(i) and a.size > 1:
            assert np.mean(a == b) < 0.2
    for layer, one in enumerate(standard.network.linears):
        order = statistics.true_order(standard, second, layer)
        np.testing.assert_array_equal(order, np.arange(one.channels))
        bits = [
            p[one.filter].view(np.uint32) & 0xFFF
            for p in (second.values, standard.authorized)
        ]
        assert np.mean(bits[0] == bits[1]) < 0.02


def test_one_wrong_bit_is_as_bad_as_none_right(standard, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(standard, data)
    found = guesses.miss_one_bit(bench, bench.thief(0.02, 0))
    assert found.details["count"] == 8
    assert found.accuracy < bench.accuracy(standard.authorized) - 0.3
    # Chance is 0.2, with a spread between networks of random weights.
    assert found.details["mean"] < 0.35
