"""Ranges that a quantised file states: read, set layer by layer, worth something."""

import dataclasses

import numpy as np
import pytest

from edgepro_tf.audit.attacks import activation_ranges
from edgepro_tf.audit.network.rows import filter_rows
from edgepro_tf.audit.target import Target
from edgepro_tf.audit.workbench import scratch
from edgepro_tf.audit.workbench.ranges import (
    aim_at,
    inputs_of,
    make_trainer,
    match_ranges,
    measure_ranges,
    size_filters,
    with_ranges,
)
from edgepro_tf.audit.workbench.starts import fresh_start
from edgepro_tf.audit.workbench.training import Candidate
from edgepro_tf.flatbuffer.views import Range
from edgepro_tf.locks import Step
from tests.edgepro_tf.audit.conftest import lock, make_bench, with_public

RNG = np.random.default_rng(8)


@pytest.fixture(scope="module")
def int8(model, data) -> Target:  # type: ignore[no-untyped-def]
    return lock(model, data, "standard", "int8")


@pytest.fixture(scope="module")
def int16(model, data) -> Target:  # type: ignore[no-untyped-def]
    return lock(model, data, "standard", "int16x8")


def scramble(target: Target, factors: list[float]) -> Target:
    """An open file whose layers are scaled, filter and bias: only ranges tell by what.

    Behind the first layer biases no longer fit what they are added to.
    """
    values = [np.array(p) for p in target.authorized]
    for one, factor in zip(target.network.linears, factors, strict=True):
        for i in one.parameters:
            values[i] = values[i] * np.float32(factor)
    return with_public(target, values, (Step(0),) * len(values))


def test_the_authorized_network_has_the_ranges_that_its_file_states(  # type: ignore[no-untyped-def]
    int8, data
) -> None:
    """On the calibration samples, within the rounding of weights and activations."""
    bench = make_bench(int8, data)
    samples = data.x_train[np.arange(2 * bench.measured_rows) % 64]
    found = measure_ranges(bench, int8.authorized, samples)
    for tensor, wanted in int8.network.ranges.items():
        width = wanted.greatest - wanted.least
        assert found[tensor][0] == pytest.approx(wanted.least, abs=0.03 * width)
        assert found[tensor][1] == pytest.approx(wanted.greatest, abs=0.03 * width)


def test_a_start_is_brought_into_the_files_ranges(int8, int16, data) -> None:  # type: ignore[no-untyped-def]
    for target in (int8, int16):
        bench = make_bench(target, data)
        x = inputs_of(bench, bench.thief(0.02, 0))
        start = bench.renormalise(fresh_start(target, RNG), x)
        before = measure_ranges(bench, start, x)
        found = measure_ranges(bench, match_ranges(bench, start, x), x)
        for tensor, wanted in target.network.ranges.items():
            least, greatest = found[tensor]
            if wanted.is_symmetric:
                greatest = max(-least, greatest)
            else:
                assert least == pytest.approx(wanted.least, rel=0.01, abs=1e-6)
            assert greatest == pytest.approx(wanted.greatest, rel=0.01)
            assert before[tensor] != found[tensor]


def test_heads_may_keep_their_range(int8, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(int8, data)
    x = inputs_of(bench, bench.thief(0.02, 0))
    start = bench.settle(fresh_start(int8, RNG), x)
    before = measure_ranges(bench, start, x)
    found = measure_ranges(bench, match_ranges(bench, start, x, keeps_answers=True), x)
    *hidden, last = int8.network.ranges
    assert found[last] == pytest.approx(before[last], rel=0.02)
    for tensor in hidden:
        wanted = int8.network.ranges[tensor].greatest
        assert found[tensor][1] == pytest.approx(wanted, rel=0.01)


def test_a_layer_whose_output_is_never_above_zero(int8, data) -> None:  # type: ignore[no-untyped-def]
    """A network on its way, or a dead layer, may have such a one: no division."""
    ranges = [Range(min(r.least, -1.0), 0.0) for r in int8.network.ranges.values()]
    target = with_ranges(int8, ranges)
    bench = make_bench(target, data)
    x = inputs_of(bench, bench.thief(0.02, 0))
    found = match_ranges(bench, fresh_start(target, RNG), x)
    assert all(np.isfinite(value).all() for value in found)


def test_rows_are_as_large_as_the_authorized_ones(int8, data) -> None:  # type: ignore[no-untyped-def]
    """In some order: the scales are shuffled."""
    bench = make_bench(int8, data)
    start = fresh_start(int8, RNG)
    sized = size_filters(bench, start)
    x = inputs_of(bench, bench.thief(0.02, 0))
    moved = match_ranges(bench, sized, x, keeps_filters=True)
    for one in int8.network.linears:
        sizes, right = (
            np.sort(np.abs(filter_rows(p[one.filter], one.channel_axis)).max(1))
            for p in (sized, int8.authorized)
        )
        np.testing.assert_allclose(sizes, right, rtol=0.01)
        np.testing.assert_array_equal(moved[one.filter], sized[one.filter])
        assert np.any(moved[one.bias] != sized[one.bias])


@pytest.mark.parametrize("number_format", ["int8", "int16x8"])
def test_ranges_undo_scales_that_nothing_else_tells(  # type: ignore[no-untyped-def]
    model, data, number_format: str
) -> None:
    """All of the network comes back, and no label is read."""
    target = lock(model, data, "standard", number_format)
    bench = make_bench(scramble(target, [0.05, 30.0, 0.2]), data)
    right, public = map(bench.accuracy, (target.authorized, bench.target.public))
    thief = bench.thief(0.02, 0)
    found = activation_ranges.match_unlabelled(bench, thief)
    assert public < right - 0.1
    assert found.accuracy > right - 0.03 and found.chosen == "public weights"
    tuned = activation_ranges.train_in_ranges(bench, thief, public=True)
    assert tuned.accuracy > public + 0.1


def test_training_pulls_ranges_to_the_files(int8, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(int8, data)
    thief = bench.thief(0.02, 0)
    x = inputs_of(bench, thief)
    start = bench.settle(fresh_start(int8, RNG), x)
    trainer, off = make_trainer(bench, thief), {}
    for pull in (0.0, 3.0):
        theta = [*start, aim_at(int8.network, pull)]
        plan = bench.plan(thief, theta, 1e-2, lambda i: i < len(start))
        candidate = Candidate("", theta, plan, trainer=trainer)
        fitted = bench.fit(candidate, thief, thief.rng("t"))
        assert bench.accuracy(fitted) > bench.chance + 0.2
        off[pull] = distance(int8, measure_ranges(bench, fitted, x))
    assert off[3.0] < 0.3 * off[0.0]


def distance(target: Target, found: dict[int, tuple[float, float]]) -> float:
    ranges = target.network.ranges
    return max(
        abs(found[t][1] - r.greatest) / (r.greatest - r.least)
        for t, r in ranges.items()
    )


def test_float_files_and_layers_without_a_range_are_left_alone(  # type: ignore[no-untyped-def]
    standard, int8, data
) -> None:
    graph = int8.network.graph
    hidden, *_ = int8.network.ranges
    others = {t: r for t, r in graph.ranges.items() if t != hidden}
    network = dataclasses.replace(
        int8.network, graph=dataclasses.replace(graph, ranges=others)
    )
    partly = dataclasses.replace(int8, network=network)
    assert not standard.network.ranges
    opened = scramble(int8, [1.0, 1.0, 1.0])
    for target, applies in ((standard, False), (partly, False), (opened, True)):
        bench = make_bench(target, data, least_steps=20, most_steps=20)
        for attack in activation_ranges.ATTACKS:
            found = attack.run(bench, bench.thief(0.02, 0))
            assert found.applies == applies, attack.name


def test_public_weights_that_hold_nothing_are_no_start(int8, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(int8, data, least_steps=20, most_steps=20)
    thief = bench.thief(0.02, 0)
    found = [
        activation_ranges.train_in_ranges(bench, thief, public=public)
        for public in (True, False)
    ]
    assert [one.applies for one in found] == [False, True]


def test_scratch_trains_in_ranges_of_its_own(standard, int8, data) -> None:  # type: ignore[no-untyped-def]
    """As attacks do in the file's, which scratch does not read."""
    others = [
        dataclasses.replace(r, greatest=99.0) for r in int8.network.ranges.values()
    ]
    ways = []
    for target in (standard, int8, with_ranges(int8, others)):
        bench = make_bench(target, data, least_steps=20, most_steps=20)
        found = scratch.train_scratch(bench, bench.thief(0.02, 0))
        ways.append(found.details["by_procedure"])
    plain, own, other = ways
    assert own == other
    added = own.keys() - plain.keys()
    assert len(added) == 4 and all(label.startswith("own ranges, ") for label in added)
    assert plain.keys() < own.keys()


def test_the_same_seed_gives_the_same_and_no_secret_is_read(int8, data) -> None:  # type: ignore[no-untyped-def]
    blind = dataclasses.replace(int8, authorized=int8.public)
    benches = [
        make_bench(target, data, least_steps=20, most_steps=20)
        for target in (int8, blind)
    ]
    for attack in activation_ranges.ATTACKS:
        found = [attack.run(bench, bench.thief(0.02, 1)) for bench in benches]
        assert found[0] == found[1], attack.name
