"""Scratch starts in every way that a thief could without a file."""

import dataclasses

import numpy as np

from edgepro_tf.audit.attack import LABELS, Attack, Outcome
from edgepro_tf.audit.target import Target, relock
from edgepro_tf.audit.thief import Thief
from edgepro_tf.audit.workbench.bench import Bench
from edgepro_tf.audit.workbench.scratch import train_scratch
from edgepro_tf.audit.workbench.starts import fresh_start, heavy_tailed_start
from edgepro_tf.datasets import Dataset
from tests.edgepro_tf.audit.conftest import make_bench, with_public


def test_a_heavy_tailed_start_has_the_masks_distribution(standard: Target) -> None:
    rng = np.random.default_rng(0)
    heavy = heavy_tailed_start(standard, rng)
    fresh = fresh_start(standard, rng)
    for p, values, other in zip(standard.network.parameters, heavy, fresh, strict=True):
        assert values.shape == other.shape and values.dtype == np.float32
        if p.role != "filter":
            np.testing.assert_array_equal(values, other)
            continue
        assert 0.8 < np.std(values) / np.std(other) < 1.25
        magnitudes = np.log2(np.abs(values))
        assert np.ptp(magnitudes) <= 16
        assert np.ptp(magnitudes) > 10 or values.size < 100
        # Uniform in the exponent: half of all lie below the middle.
        assert abs(np.mean(magnitudes < magnitudes.max() - 8) - 0.5) < 0.15
        assert abs(np.mean(values > 0) - 0.5) < 0.15


def test_every_way_to_train_is_tried(standard: Target, data: Dataset) -> None:
    """Both kinds of start, once and twice; the heavy-tailed one's signs are learned."""
    bench = make_bench(standard, data)
    found = train_scratch(bench, bench.thief(0.02, 0)).details["by_procedure"]
    heavy = {name for name in found if name.startswith("heavy-tailed, ")}
    signs = {name for name in heavy if "signs, " in name}
    assert len(signs) == 2 * len(bench.budget.rates)
    constant = found.pop("always the most frequent label")
    assert constant[0] <= bench.chance
    assert {f"heavy-tailed, {name}" for name in set(found) - heavy} == heavy - signs
    assert any("trained twice" in name for name in heavy)
    assert all(np.mean(found[name]) > bench.chance + 0.1 for name in signs)


def test_scratch_reads_nothing_of_the_file(standard: Target, data: Dataset) -> None:
    """The same accuracy whatever the lock was drawn from."""
    second = with_public(standard, relock(standard, bytes(32)).values, standard.steps)
    found = []
    for target in (standard, second):
        bench = make_bench(target, data)
        found.append(train_scratch(bench, bench.thief(0.02, 0)))
    assert found[0] == found[1]


def test_scratch_may_always_name_the_most_frequent_label(
    standard: Target, data: Dataset
) -> None:
    """With few labels of rare classes, training reaches less than a constant answer."""
    rare = [np.where(np.arange(len(y)) % 20, 3, y) for y in (data.y_train, data.y_test)]
    noise = [np.zeros_like(x) for x in (data.x_train, data.x_test)]
    blind = dataclasses.replace(
        data, x_train=noise[0], x_test=noise[1], y_train=rare[0], y_test=rare[1]
    )
    bench = make_bench(standard, blind)
    outcome = train_scratch(bench, bench.thief(0.05, 0))
    assert outcome.details["by_procedure"]["always the most frequent label"] == [
        np.mean(rare[1] == 3)
    ]
    assert outcome.accuracy >= np.mean(rare[1] == 3)


def test_runs_that_diverge_are_counted(standard: Target, data: Dataset) -> None:
    bench = make_bench(standard, data)

    def diverge(bench: Bench, thief: Thief) -> Outcome:
        start = {"public": [np.full_like(p, 1e30) for p in bench.target.public]}
        (candidate,) = bench.sweep(thief, start, rates=[1e30])
        found = bench.fit(candidate, thief, thief.rng("d"))
        assert all(np.all(p == np.float32(1e30)) for p in found)
        return Outcome(0.0, details={"figure": 1})

    attack = Attack("diverging", "f", "s", LABELS, diverge)
    outcome = bench.run(attack, bench.thief(0.05, 0))
    assert outcome.details == {"figure": 1, "diverged_runs": 1}
