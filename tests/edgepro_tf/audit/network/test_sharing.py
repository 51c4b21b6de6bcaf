"""What is compiled for one structure serves every recipe of it, and no other."""

from converters import convert_keras
from converters.recipe import Recipe
from edgepro_tf.audit.network import sharing
from edgepro_tf.audit.network.importer import import_model
from edgepro_tf.audit.network.sharing import share, structure_of
from edgepro_tf.locks import Step
from tests.edgepro_tf.audit.conftest import lock, make_bench
from tests.flatbuffers import export_cached

SIGNS = Recipe("signs", Step.SIGNS, Step.SIGNS, Step.SIGNS, Step(0))


def test_recipes_of_one_network_share_their_trainers(model, data, standard) -> None:  # type: ignore[no-untyped-def]
    first, second = (make_bench(t, data) for t in (standard, lock(model, data, SIGNS)))
    assert first.tools.weights is second.tools.weights
    assert (
        first.tools.mix is not second.tools.mix
    )  # One has no rows to mix, the other three layers.
    # Shared, and still each bench's own constants.
    assert first.accuracy(first.target.public) != second.accuracy(second.target.public)
    thief = first.thief(0.02, 0)
    theta = second.train(
        _brief(second, thief),
        thief.x,
        second.task.make_targets(thief.y),
        thief.y * 0,
        thief.rng(""),
    )
    assert theta[0].shape == first.target.public[0].shape


def test_another_structure_is_compiled_anew(model, data) -> None:  # type: ignore[no-untyped-def]
    pair = convert_keras(model, recipe="standard", samples=data.x_train[:4])
    names = {
        structure_of(import_model(content))
        for content in (pair.public, export_cached("mlp"), export_cached("cnn"))
    }
    assert len(names) == 3


def test_the_oldest_are_forgotten(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(sharing, "_MOST_KEPT", 2)
    monkeypatch.setattr(sharing, "_kept", type(sharing._kept)())
    built: list[str] = []

    def get(key: str) -> str:
        return str(share(key, lambda: built.append(key) or key))  # type: ignore[func-returns-value]

    assert [get(k) for k in "abacab"] == list("abacab")
    assert built == ["a", "b", "c", "b"]


def _brief(bench, thief):  # type: ignore[no-untyped-def]
    from edgepro_tf.audit.workbench.training import Candidate

    start = bench.target.public
    return Candidate("", start, bench.plan(thief, start, 1e-3))
