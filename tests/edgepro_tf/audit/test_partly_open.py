"""What a restore budget leaves open, put into a public base network."""

import dataclasses

import numpy as np
import pytest

from converters import convert_keras
from edgepro_tf.audit.attacks import all_attacks
from edgepro_tf.audit.attacks.partly_open import (
    fill_from_base,
    fill_without_labels,
    find_open,
)
from edgepro_tf.audit.pair import audit_pair
from edgepro_tf.audit.workbench.scratch import train_scratch
from edgepro_tf.locks import Step
from tests.edgepro_tf.audit.conftest import BUDGET, make_bench, relock_layer


def hide_layer(unlocked, layer: int):  # type: ignore[no-untyped-def]
    """Everything open but one filter, whose elements are masked by noise."""
    i = unlocked.network.linears[layer].filter
    noise = np.random.default_rng(0).normal(size=unlocked.authorized[i].shape)
    return relock_layer(unlocked, layer, noise, Step.MASK)


def test_open_layers_in_a_base_beat_scratch(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(hide_layer(unlocked, 0), data)
    thief = bench.thief(0.02, 0)
    found = fill_from_base(bench, thief)
    assert found.applies
    assert found.accuracy > train_scratch(bench, thief).accuracy + 0.03
    gained = found.accuracy - found.details["base_alone"]
    assert found.details["advantage"] == pytest.approx(gained)


def test_without_labels_an_open_head_names_the_answers(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(hide_layer(unlocked, 0), data)
    found = fill_without_labels(bench, bench.thief(0.02, 0))
    assert found.applies and found.accuracy > bench.chance + 0.3
    locked_head = make_bench(hide_layer(unlocked, 2), data)
    found = fill_without_labels(locked_head, locked_head.thief(0.02, 0))
    assert not found.applies and "head" in found.chosen


def test_where_everything_is_locked_there_is_only_the_base(
    standard, data, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(standard, data)
    monkeypatch.setattr(bench, "train", None)  # It costs no training.
    assert not find_open(bench)
    for attack in (fill_from_base, fill_without_labels):
        found = attack(bench, bench.thief(0.02, 0))
        assert not found.applies and "every tensor is locked" in found.chosen


def test_biases_that_say_nothing_are_not_open(unlocked, data) -> None:  # type: ignore[no-untyped-def]
    bias = unlocked.network.linears[0].bias
    bench = make_bench(unlocked, data)
    assert bias in find_open(bench)
    target = relock_layer(unlocked, 0, unlocked.authorized[0], Step.MASK)
    values = list(target.network.values)
    values[bias] = np.zeros_like(values[bias])
    network = dataclasses.replace(target.network, values=tuple(values))
    bench = make_bench(dataclasses.replace(target, network=network), data)
    assert bias not in find_open(bench)


def test_a_base_is_no_gain_of_the_file(model, data) -> None:  # type: ignore[no-untyped-def]
    """The headline leaves the attack out; its row stands against the base alone."""
    pair = convert_keras(
        model, recipe="fast", restore_budget=0.3, samples=data.x_train[:64]
    )
    names = ("scratch", "open tensors in a public base network")
    attacks = [attack for attack in all_attacks() if attack.name in names]
    report = audit_pair(pair.public, pair.payload, data, budget=BUDGET, attacks=attacks)
    (headline,) = report.advantages
    assert headline.attack == "scratch"
    (row,) = [s for s in report.summaries if s.attack == names[1]]
    gains = [d["advantage"] for d in row.details]
    assert row.applies and row.advantage == pytest.approx(np.mean(gains))
