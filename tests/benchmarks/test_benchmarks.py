"""The benchmarks measure what they say, on a network of two layers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from benchmarks.bars import find_bars, judge, verdict
from benchmarks.charts import draw_charts
from benchmarks.conversion import fit_line
from benchmarks.latency import measure_latency
from benchmarks.loading import measure_loading, measure_memory
from benchmarks.ratios import summarize_ratios
from benchmarks.restore_speed import format_speeds
from benchmarks.subjects import Subject, build_subject
from benchmarks.tables import format_results
from benchmarks.variants import open_variant
from converters.keras_export import ExportOptions, export_keras
from edgepro_tf.locks import Step

SHAPE = (1, 16, 16, 3)


def network(factors: np.ndarray | None = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE[1:])
    options = {"activation": "relu", "bias_initializer": "random_normal"}
    x = layers.DepthwiseConv2D(3, depth_multiplier=8, **options)(inputs)
    x = layers.Conv2D(24, 3, **options)(x)
    return keras.Model(inputs, x if factors is None else x * factors)


def write_subject(root: Path, name: str) -> Subject:
    """What an export leaves, of a tiny network."""
    subject = Subject(name, root)
    subject.folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    options = ExportOptions()
    if "int8" in name:
        samples = [[rng.uniform(-1, 1, SHAPE).astype(np.float32)]]
        options = ExportOptions("int8", lambda: iter(samples), "int8")
    factors = rng.uniform(-2, 2, 24).astype(np.float32)
    subject.path("plain").write_bytes(export_keras(network(), options))
    subject.path("multiplied").write_bytes(export_keras(network(factors), options))
    return subject


def answer(subject: Subject, variant: str) -> np.ndarray:
    interpreter = open_variant(subject, variant, threads=1)
    detail = interpreter.get_input_details()[0]
    x = np.random.default_rng(1).uniform(-1, 1, SHAPE)
    x = x * 127 if detail["dtype"] == np.int8 else x
    interpreter.set_tensor(detail["index"], x.astype(detail["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


# One product a number in float32; XNNPACK's int8 factors are fixed-point numbers.
@pytest.mark.parametrize(("name", "steps"), [("tiny", 0), ("tiny_int8", 1)])
def test_variants_answer_alike(tmp_path: Path, name: str, steps: int) -> None:
    subject = write_subject(tmp_path, name)
    build_subject(subject)
    plain, multiplied = answer(subject, "plain"), answer(subject, "multiplied")
    assert not np.array_equal(plain, multiplied)
    for variant in ("again", "protected", "encrypted"):
        np.testing.assert_array_equal(answer(subject, variant), plain)
    claimed = answer(subject, "claimed")
    np.testing.assert_allclose(claimed, multiplied, rtol=0, atol=steps)


def test_claiming_needs_multiplications(tmp_path: Path) -> None:
    subject = write_subject(tmp_path, "tiny")
    build_subject(subject)
    subject.path("multiplied").write_bytes(subject.path("plain").read_bytes())
    with pytest.raises(ValueError, match="expected multiplications, got none"):
        open_variant(subject, "claimed", threads=1)


def test_every_part_of_a_subject(tmp_path: Path) -> None:
    subject = write_subject(tmp_path, "tiny:depthwise")
    result = build_subject(subject)
    depthwise, biases = 9 * 24 * 4, 2 * 24 * 4
    assert result["bytes_rewritten"] == depthwise + biases
    result["latency"] = {"1": measure_latency(subject, threads=1, rounds=2, pairs=2)}
    result["loading"] = {
        "cold": measure_loading(subject, threads=1, is_cold=True, rounds=1)
    }
    result["memory"] = measure_memory(subject, rounds=1)
    document = {"subjects": {subject.name: result}}
    bars = find_bars(document)
    # Sidecar; two of latency; load to AES and, as it is light, to plain; memory thrice.
    assert len(bars) == 1 + 2 + 2 + 3
    table = format_results(document)
    missed = sum(bar["missed_by"] > 0 for bar in bars.values())
    assert f"bars: {8 - missed} of 8 met" in table
    assert table.count("missed by") == 2 * missed
    draw_charts(document, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 10_000


def test_tensorflow_is_imported_quietly() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training_step", "--help"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.stdout.startswith("usage") and done.stderr == ""


def test_bars() -> None:
    assert verdict(judge(1.01, 1.01)) == "met"
    assert verdict(judge(1.0224, 1.01)) == "missed by 0.012"
    assert verdict(None) == "-"


def test_a_round_counts_once() -> None:
    # Two rounds that disagree: hardly a pair between them, however many pairs.
    ratios = np.repeat([[0.9], [1.1]], 500, axis=1)
    figures = summarize_ratios(ratios)
    assert figures["interval"] == pytest.approx([0.9, 1.1])
    assert figures["spread"] == pytest.approx([0.9, 1.1])
    assert summarize_ratios(np.full((3, 5), 1.25))["interval"] == [1.25, 1.25]


def test_line_is_told_from_parabola() -> None:
    sizes = (1, 3, 10, 30, 100)
    rows = [{"megabytes": x, "line": 2 + 0.1 * x, "parabola": x * x} for x in sizes]
    line = fit_line(rows, "line")
    assert line["seconds_a_mb"] == pytest.approx(0.1)
    assert verdict(line["bar"]) == "met"
    assert verdict(fit_line(rows, "parabola")["bar"]) != "met"


def test_speed_of_every_step() -> None:
    table = format_speeds(2048)
    for step in set(Step) - {Step.FRACTION}:  # A mask's, never alone.
        assert f"\n{step.name.lower()} " in table
    masks = [line for line in table.splitlines() if "mask" in line]
    assert masks and not any(" - " in line or line.endswith("-") for line in masks)
