"""Scratch starts in every way that a thief could without a file."""

import numpy as np

from edgepro_tf.audit.scratch import train_scratch
from edgepro_tf.audit.starts import fresh_start, heavy_tailed_start
from edgepro_tf.audit.target import relock
from edgepro_tf.audit.thief import Target
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
