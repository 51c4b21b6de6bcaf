"""What ships is audited: float16 and quantised files as well as float32 ones."""

import numpy as np
import pytest

from edgepro_tf.audit.attacks import guesses
from edgepro_tf.audit.element_statistics import element_areas
from edgepro_tf.audit.network.importer import Linear
from edgepro_tf.audit.network.rows import filter_rows
from edgepro_tf.audit.target import Target, relock
from edgepro_tf.audit.workbench.starts import heavy_tailed_start
from edgepro_tf.locks import Step
from tests.edgepro_tf.audit.conftest import lock, make_bench

FORMATS = ("float16", "int8", "int16x8")
RNG = np.random.default_rng(6)


@pytest.fixture(params=FORMATS, scope="module")
def target(request, model, data) -> Target:  # type: ignore[no-untyped-def]
    return lock(model, data, "standard", request.param)


def test_the_authorized_network_is_as_good_as_in_float32(  # type: ignore[no-untyped-def]
    target, standard, data
) -> None:
    bench = make_bench(target, data)
    right = make_bench(standard, data).accuracy(standard.authorized)
    assert bench.accuracy(target.authorized) == pytest.approx(right, abs=0.02)
    assert bench.accuracy(target.public) < right - 0.3


def test_a_lock_of_which_all_is_known_is_right(target) -> None:  # type: ignore[no-untyped-def]
    found = target.guess([1.0] * len(target.steps), np.random.default_rng(0))
    for values, right in zip(found, target.authorized, strict=True):
        np.testing.assert_allclose(values, right, rtol=1e-6)


def test_a_guess_is_drawn_as_the_core_draws(target) -> None:  # type: ignore[no-untyped-def]
    """The same spread as public files, tensor by tensor, and other values."""
    nothing = [0.0] * len(target.steps)
    guesses = [target.guess(nothing, np.random.default_rng(i)) for i in range(20)]
    draws = [relock(target, bytes([i] * 32)).values for i in range(20)]
    for i, one in enumerate(target.network.linears):
        # Of one draw alone, float16's heavy tails differ by more.
        ours, theirs = (
            np.mean([np.std(v[one.filter]) for v in drawn])
            for drawn in (guesses, draws)
        )
        assert ours == pytest.approx(theirs, rel=0.1), i
        found, right = guesses[0][one.filter], target.authorized[one.filter]
        assert np.mean(np.isclose(found, right)) < 0.05


def test_scales_move_with_a_lock_of_their_own(target) -> None:  # type: ignore[no-untyped-def]
    """Told which, a thief still lacks which channel has which scale."""
    moved = []
    for i, one in enumerate(target.network.linears):
        scales = target.scales[one.filter]
        is_quantised = scales.size > 1
        assert bool(target.scale_steps[one.filter]) == is_quantised, i
        if is_quantised:
            public = target.network.scales[one.filter]
            np.testing.assert_array_equal(*map(np.unique, (public, scales)))
            moved.append(np.any(public != scales))
    # Of five scales one order in 120 is the old one.
    assert any(moved) or not np.any(target.scale_steps)


def test_orders_are_exact_where_masks_cover_whole_elements(target) -> None:  # type: ignore[no-untyped-def]
    """A draw of the core's, the masks of which are taken off: rows are equal."""
    draws = [target.draw, relock(target, bytes(32))]
    differs = any(
        np.any(a != b) for a, b in zip(draws[0].orders, draws[1].orders, strict=True)
    )
    # Masks of integers come without an order.
    has_order = any(target.steps[i.filter] & Step.ORDER for i in target.network.linears)
    assert differs == has_order
    for draw in draws:
        for order in draw.orders:
            np.testing.assert_array_equal(np.sort(order), np.arange(len(order)))


def test_a_mask_tells_neither_sign_nor_size(target) -> None:  # type: ignore[no-untyped-def]
    draws = [relock(target, RNG.bytes(32)) for _ in range(5)]
    areas, _ = element_areas(target, draws)
    for name, found in areas.items():
        # 984 elements, five draws: a standard error of 0.01 to 0.02.
        assert abs(np.mean(found) - 0.5) < 0.08, name


def test_scratch_may_start_as_the_masks_of_this_format_look(target) -> None:  # type: ignore[no-untyped-def]
    """Its rows are as heavy as the public file's: what is gained by that is no loot."""
    starts = [heavy_tailed_start(target, RNG) for _ in range(20)]
    draws = [target.guess([0.0] * len(target.steps), RNG) for _ in range(20)]
    for one in target.network.linears:
        ours, theirs = (
            np.mean([heaviness(v[one.filter] / s, one) for v in drawn])
            for drawn, s in ((starts, 1), (draws, target.scales[one.filter].mean()))
        )
        assert ours == pytest.approx(theirs, rel=0.25)


def heaviness(values: np.ndarray, one: Linear) -> float:
    rows = filter_rows(values, one.channel_axis)
    return float(np.mean(rows**4) / np.mean(rows**2) ** 2)


def test_one_wrong_bit_leaves_nothing(target, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(target, data)
    found = guesses.miss_one_bit(bench, bench.thief(0.02, 0))
    assert found.details["mean"] < 0.35
