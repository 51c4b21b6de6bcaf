"""A public base network that is given takes the place of the one that audits make."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from converters import convert_keras
from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.audit.attacks import all_attacks
from edgepro_tf.audit.pair import audit_pair
from edgepro_tf.audit.target import Target
from edgepro_tf.audit.workbench.bases import make_base, read_base
from edgepro_tf.datasets import Dataset
from edgepro_tf.errors import ConversionError
from tests.edgepro_tf.audit.conftest import BUDGET, make_bench


def write_base(path: Path, model: keras.Model, classes: int, hidden: int = 24) -> Path:
    """The model's body under another head, as who trained it would publish it."""
    layers = [keras.Input((12,)), *model.layers[:1]]
    layers.append(
        model.layers[1]
        if hidden == 24
        else keras.layers.Dense(hidden, activation="relu")
    )
    base = keras.Sequential([*layers, keras.layers.Dense(classes)])
    path.write_bytes(export_keras(base, ExportOptions()))
    return path


def test_a_base_gives_its_body_and_no_head(
    model: keras.Model, standard: Target, tmp_path: Path
) -> None:
    network = standard.network
    base = read_base(network, write_base(tmp_path / "b.tflite", model, 7))
    heads = {
        i for one in network.linears if one.is_head for i in (one.filter, one.bias)
    }
    for i, (own, known) in enumerate(zip(standard.authorized, base, strict=True)):
        expected = np.zeros_like(own) if i in heads else own
        np.testing.assert_array_equal(known, expected)


def test_a_base_of_another_structure_is_refused(
    model: keras.Model, standard: Target, tmp_path: Path
) -> None:
    path = write_base(tmp_path / "b.tflite", model, 7, hidden=20)
    with pytest.raises(ConversionError, match=r"b.tflite.*constant 3 of.*\[20, 24\]"):
        read_base(standard.network, path)
    (tmp_path / "no.tflite").write_bytes(b"no model")
    with pytest.raises(ConversionError, match="TFLite"):
        read_base(standard.network, tmp_path / "no.tflite")


def test_a_given_base_is_used_as_it_is(
    model: keras.Model,
    standard: Target,
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = read_base(standard.network, write_base(tmp_path / "b.tflite", model, 7))
    bench = make_bench(dataclasses.replace(standard, base=base), data)
    monkeypatch.setattr(bench, "train", None)  # Nothing is made from one's own network.
    thief = bench.thief(0.02, 0)
    made = make_base(bench, thief, thief.rng("t"))
    head = next(one for one in standard.network.linears if one.is_head)
    assert np.array_equal(made[0], standard.authorized[0])
    assert np.ptp(made[head.filter]) > 0
    assert not np.array_equal(made[head.filter], standard.authorized[head.filter])


def test_an_audit_beside_a_base_says_so(
    model: keras.Model, data: Dataset, tmp_path: Path
) -> None:
    """The base has all that is open: the file adds nothing to it."""
    pair = convert_keras(
        model, recipe="fast", restore_budget=0.3, samples=data.x_train[:64]
    )
    name = "open tensors in a public base network"
    attacks = [a for a in all_attacks() if a.name in ("scratch", name)]
    base = write_base(tmp_path / "b.tflite", model, 7)
    report = audit_pair(
        pair.public, pair.payload, data, base=base, budget=BUDGET, attacks=attacks
    )
    assert report.facts["base"] == "b.tflite"
    (row,) = [s for s in report.summaries if s.attack == name]
    assert row.applies and row.advantage is not None and abs(row.advantage) < 0.02
