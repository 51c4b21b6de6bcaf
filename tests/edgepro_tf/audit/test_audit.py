"""The audit has teeth: it breaks a weak lock, and says the same twice."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from converters import convert_keras
from converters.recipe import PRESETS, Recipe
from edgepro_tf.audit.attacks import all_attacks
from edgepro_tf.audit.pair import audit_pair, write_report
from edgepro_tf.audit.target import make_target
from edgepro_tf.locks import Step
from tests.edgepro_tf.audit.conftest import BUDGET, make_bench

SIGNS = Recipe("signs", Step.SIGNS, Step.SIGNS, Step.SIGNS, Step(0))
FAMILIES = (
    "scratch", "fine-tuning", "search", "learned locks", "element signs", "own network",
)  # fmt: skip


def audit(model, data, recipe, **options):  # type: ignore[no-untyped-def]
    pair = convert_keras(model, recipe=recipe, samples=data.x_train[:4])
    names = options.pop("names", ("scratch", "fine-tuning, all layers",
                                  "discrete search, fine-tuned"))  # fmt: skip
    attacks = [attack for attack in all_attacks() if attack.name in names]
    return audit_pair(
        pair.public, pair.payload, data, recipe=str(recipe), budget=BUDGET,
        attacks=attacks, **options,
    )  # fmt: skip


def test_a_lock_of_signs_alone_is_broken(model, data) -> None:  # type: ignore[no-untyped-def]
    """One draw in fifty holds by luck: the search ends in another minimum."""
    draws = (audit(model, data, SIGNS).advantages[0].value for _ in range(4))
    assert any(value > 0.03 for value in draws)


def test_an_unlocked_tensor_is_found(model, data) -> None:  # type: ignore[no-untyped-def]
    nearly_open = Recipe("biases", Step(0), Step(0), Step.SHUFFLE, Step(0))
    (found,) = audit(model, data, nearly_open).advantages
    assert found.value > 0.05


def test_the_same_twice_and_from_the_cache(model, data, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pair = convert_keras(model, recipe=PRESETS["standard"], samples=data.x_train[:4])
    names = ("scratch", "no lock", "wrong locks", "learned mixing of rows")
    attacks = [attack for attack in all_attacks() if attack.name in names]
    cache = tmp_path / "results.jsonl"
    first, second, cached = (
        audit_pair(
            pair.public, pair.payload, data, budget=BUDGET, attacks=attacks, cache=path
        )
        for path in (cache, None, cache)
    )
    figures = [[(s.attack, s.accuracy) for s in r.summaries] for r in (first, second)]
    assert figures[0] == figures[1]
    assert first.summaries == cached.summaries
    assert len(cache.read_text().splitlines()) == 2 * len(names)
    write_report(first, tmp_path)
    assert {"audit.html", "audit.json"} <= {path.name for path in tmp_path.iterdir()}


def test_thieves_hold_draws_of_the_lock_in_turn(model, data, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pairs = [convert_keras(model, samples=data.x_train[:4]) for _ in range(2)]
    files = [(pair.public, pair.payload) for pair in pairs]
    attacks = [
        attack for attack in all_attacks() if attack.name in ("scratch", "no lock")
    ]
    options = {"budget": BUDGET, "attacks": attacks, "cache": tmp_path / "results"}
    both, again = (
        audit_pair(*files[0], data, others=files[1:], **options) for _ in range(2)
    )
    alone = [audit_pair(*file, data, budget=BUDGET, attacks=attacks) for file in files]
    lines = (tmp_path / "results").read_text().splitlines()
    found = {
        entry["seed"]: entry["accuracy"]
        for entry in map(json.loads, lines)
        if entry["attack"] == "no lock"
    }
    assert found == {
        seed: report.facts["released_accuracy"] for seed, report in enumerate(alone)
    }
    assert both.facts["locks_drawn"] == 2 and both.summaries == again.summaries


def test_thieves_never_read_the_secret(standard, data) -> None:  # type: ignore[no-untyped-def]
    """Every attack that needs no developer runs with the secret parts left out."""
    blind = dataclasses.replace(standard, authorized=standard.public)
    benches = [make_bench(target, data) for target in (standard, blind)]
    for attack in all_attacks():
        if attack.counts and attack.family in FAMILIES:
            found = [
                attack.run(bench, bench.thief(0.02, 0)).accuracy for bench in benches
            ]
            assert found[0] == found[1], attack.name


def test_every_attack_runs_and_names_its_source(standard, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(standard, data, least_steps=20, most_steps=20)
    attacks = all_attacks()
    assert len({attack.name for attack in attacks}) == len(attacks)
    for attack in attacks:
        attack.run(bench, bench.thief(0.02, 0))
        assert attack.source, attack.name


def test_where_every_tensor_is_hidden_a_fresh_start_is_no_attack(
    standard, model, data
) -> None:  # type: ignore[no-untyped-def]
    attacks = {attack.name: attack for attack in all_attacks()}
    names = (
        "fine-tuning, hidden tensors afresh",
        "fine-tuning, progressive unfreezing",
    )
    pair = convert_keras(model, recipe=SIGNS, samples=data.x_train[:4])
    half_open = make_target(pair.public, pair.payload)
    for target, applies in ((standard, False), (half_open, True)):
        bench = make_bench(target, data, least_steps=20, most_steps=20)
        for name in names:
            outcome = attacks[name].run(bench, bench.thief(0.02, 0))
            assert outcome.applies == applies, name


def test_the_right_lock_gives_the_authorized_accuracy(standard, data) -> None:  # type: ignore[no-untyped-def]
    bench = make_bench(standard, data)
    everything = standard.guess([1.0] * len(standard.steps), np.random.default_rng(0))
    assert bench.accuracy(everything) == bench.accuracy(standard.authorized)
    assert bench.accuracy(standard.public) < bench.accuracy(standard.authorized) - 0.3
