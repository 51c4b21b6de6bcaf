"""The security benchmark's figures come from the audit, and its tables say them."""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import security
from benchmarks.security_tables import draw_picture, format_tables
from edgepro_tf.datasets import Dataset


def options(out: Path) -> argparse.Namespace:
    return argparse.Namespace(
        out=out, epochs=2, budget="quick", seeds=1, locks=1, shares=None, workers=1
    )


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the tables read, with the shortest training."""
    import dataclasses

    from edgepro_tf.audit import budget, pair

    names = (
        "scratch", "no lock", "wrong locks", "one bit of the seed wrong",
        "one layer's lock missing", "element signs from statistics",
    )  # fmt: skip
    every = pair.all_attacks
    monkeypatch.setattr(
        pair, "all_attacks", lambda: tuple(a for a in every() if a.name in names)
    )
    short = dataclasses.replace(budget.QUICK, least_steps=10, most_steps=10)
    monkeypatch.setattr(budget, "QUICK", short)


def test_a_cell_is_audited_once_and_its_row_is_whole(
    brief: None, data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = security.Cell("npz:/some/clusters.npz", "mlp", "mask-only")
    first = security._run_cell(cell, data, options(tmp_path))
    cache = tmp_path / "clusters-mlp-mask-only" / "results.jsonl"
    lines = cache.read_text()
    again = security._run_cell(cell, data, options(tmp_path))
    assert cache.read_text() == lines
    first.pop("restore_ms"), again.pop("restore_ms")
    assert json.dumps(first, default=float) == json.dumps(again, default=float)
    assert first["authorized"] == pytest.approx(first["unprotected"], abs=0.005)
    assert first["released"] < first["authorized"] - 0.2
    assert first["wrong_count"] >= 200
    assert first["wrong_mean"] <= first["wrong_worst"]
    assert first["bytes_rewritten"] > 0.5 * first["model_bytes"]
    # The network was trained once, and the payload says the recipe's own steps.
    assert len(list((tmp_path / "networks").glob("*.keras"))) == 1


def test_the_control_is_the_standard_lock_of_a_network_that_knows_nothing(
    brief: None, data: Dataset, tmp_path: Path
) -> None:
    cell = security.Cell("npz:/some/clusters.npz", "mlp", security.UNTRAINED)
    row = security._run_cell(cell, data, options(tmp_path))
    assert row["authorized"] == pytest.approx(row["unprotected"], abs=0.005)
    assert row["authorized"] < 0.6 and row["bytes_rewritten"] > 0


def test_tables_have_a_line_a_network_and_a_column_a_recipe() -> None:
    advantage = {
        "share": 0.01, "attack": "fine-tuning", "value": 0.031, "spread": 0.012,
        "error": 0.007, "held_out": -0.004, "luck": 0.012,
    }  # fmt: skip
    row = {
        "unprotected": 0.95, "authorized": 0.94, "chance": 0.1, "released": 0.11,
        "wrong_mean": 0.1, "wrong_worst": 0.17, "wrong_count": 201,
        "one_layer_missing": 0.2, "one_bit_mean": 0.1, "one_bit_worst": 0.12,
        "advantages": [advantage], "worst_area": 0.53, "worst_area_by": "signs",
        "without_labels": 0.14, "without_labels_by": "no lock", "payload_bytes": 1234,
        "model_bytes": 4000, "bytes_rewritten": 1000, "restore_ms": 0.5,
    }  # fmt: skip
    rows = [
        row | {"subject": subject, "recipe": recipe}
        for subject, recipe in (
            ("d mlp", "standard"),
            ("d mlp", "fast"),
            ("d cnn", "fast"),
        )
    ]
    text = format_tables(rows)
    assert text.count("| network | standard | fast |") == 11
    assert "| d mlp | +1.0 | +1.0 |" in text and "| d cnn |  | +1.0 |" in text
    assert "+3.1 ± 1.2 (0.7; -0.4; +1.2), fine-tuning" in text
    assert "10.0 / 17.0 of 201" in text and "1,000 (25%)" in text


def test_one_thief_has_no_error_and_a_picture_all_the_same(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    advantage = {"share": 0.01, "value": 0.031, "error": None}
    row = {"subject": "d mlp", "recipe": "fast", "advantages": [advantage]}
    draw_picture([row], tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 0


def test_tenth_holds_first_filters_to_its_budget_as_well() -> None:
    """Unlike the preset: its figures show what an open first filter gives."""
    tenth = security.EXTRA_RECIPES["tenth"]
    assert tenth.restore_budget == 0.1 and tenth.least_budget_bytes == 0
    assert not tenth.always_first
