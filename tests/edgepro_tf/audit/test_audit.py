"""The audit has teeth: it breaks a weak lock, and says the same twice."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from converters import convert_keras
from converters.recipe import PRESETS, Recipe
from edgepro_tf.audit.attacks import all_attacks
from edgepro_tf.audit.bench import Bench
from edgepro_tf.audit.pair import audit_pair, write_report
from edgepro_tf.audit.target import make_target
from edgepro_tf.audit.thief import QUICK
from edgepro_tf.datasets import Dataset
from edgepro_tf.locks import Step

BUDGET = dataclasses.replace(
    QUICK, least_steps=150, rates=(1e-2,), seeds=(0, 1), shares=(0.02,),
    search_rows=24, wrong_locks=20, unlabelled=64,
)  # fmt: skip
SIGNS = Recipe("signs", Step.SIGNS, Step.SIGNS, Step.SIGNS, Step(0))


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Five overlapping classes, each two clusters in 12 dimensions."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 12)) * 1.4
    group = rng.integers(0, 10, 2400)
    x = (centres[group] + rng.normal(size=(2400, 12))).astype(np.float32)
    y = (group % 5).astype(np.int32)
    return Dataset(x[:1800], y[:1800], x[1800:], y[1800:], "clusters", 5)


@pytest.fixture(scope="module")
def model(data: Dataset) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data.x_train, data.y_train, epochs=20, batch_size=32, verbose=0)
    return model


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
    (found,) = audit(model, data, SIGNS).advantages
    assert found.value > 0.03


def test_an_unlocked_tensor_is_found(model, data) -> None:  # type: ignore[no-untyped-def]
    nearly_open = Recipe("biases", Step(0), Step(0), Step.SHUFFLE, Step(0))
    (found,) = audit(model, data, nearly_open).advantages
    assert found.value > 0.08


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


def test_thieves_never_read_the_secret(model, data) -> None:  # type: ignore[no-untyped-def]
    """Every attack that needs no developer runs with the secret parts left out."""
    pair = convert_keras(model, recipe="standard", samples=data.x_train[:4])
    target = make_target(pair.public, pair.payload, name="m", recipe="standard")
    blind = dataclasses.replace(target, authorized=target.public)
    benches = [
        Bench(t, BUDGET, data.x_train, data.y_train, data.x_test, data.y_test)
        for t in (target, blind)
    ]
    for attack in all_attacks():
        if attack.counts and attack.family in ("fine-tuning", "search", "scratch"):
            found = [
                attack.run(bench, bench.thief(0.02, 0)).accuracy for bench in benches
            ]
            assert found[0] == found[1], attack.name


def test_every_attack_runs_and_names_its_source(model, data) -> None:  # type: ignore[no-untyped-def]
    pair = convert_keras(model, recipe="standard", samples=data.x_train[:4])
    target = make_target(pair.public, pair.payload, name="m", recipe="standard")
    budget = dataclasses.replace(BUDGET, least_steps=20, most_steps=20)
    bench = Bench(target, budget, data.x_train, data.y_train, data.x_test, data.y_test)
    attacks = all_attacks()
    assert len({attack.name for attack in attacks}) == len(attacks)
    for attack in attacks:
        outcome = attack.run(bench, bench.thief(0.02, 0))
        assert 0 <= outcome.accuracy <= 1, attack.name
        assert attack.source, attack.name


def test_the_right_lock_gives_the_authorized_accuracy(model, data) -> None:  # type: ignore[no-untyped-def]
    pair = convert_keras(model, recipe="standard", samples=data.x_train[:4])
    target = make_target(pair.public, pair.payload, name="m", recipe="standard")
    bench = Bench(target, BUDGET, data.x_train, data.y_train, data.x_test, data.y_test)
    everything = target.guess([1.0] * len(target.steps), np.random.default_rng(0))
    assert bench.accuracy(everything) == bench.accuracy(target.authorized)
    assert bench.accuracy(target.public) < bench.accuracy(target.authorized) - 0.3
