"""``edgepro audit`` on a pair as it ships."""

import json
from pathlib import Path

import numpy as np

from tests.edgepro_tf.cli.test_main import edgepro
from tests.flatbuffers import export_cached


def write_data(path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 10)).astype(np.float32)
    y = np.argmax(x[:, :4], 1).astype(np.int32)
    np.savez(path, x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])


def test_a_pair_is_audited_and_goes_on_from_its_cache(tmp_path: Path) -> None:
    keys, public, out = tmp_path / "keys", tmp_path / "m.tflite", tmp_path / "audit"
    source = tmp_path / "source.tflite"
    source.write_bytes(export_cached("mlp"))
    write_data(tmp_path / "d.npz")
    assert edgepro("keygen", "--out", keys).returncode == 0
    done = edgepro("lock", source, "--keys", keys, "--out", public)
    assert done.returncode == 0, done.stderr
    arguments = [
        "audit", public, "--keys", keys, "--dataset", f"npz:{tmp_path / 'd.npz'}",
        "--quick", "--seeds", 1, "--out", out,
    ]  # fmt: skip
    done = edgepro(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("thief's advantage with") == 3
    document = json.loads((out / "audit.json").read_text())
    assert len(document["advantages"]) == 3
    assert (out / "audit.html").read_text().startswith("<!doctype html>")
    lines = (out / "results.jsonl").read_text().splitlines()
    again = edgepro(*arguments)
    assert again.returncode == 0, again.stderr
    assert (out / "results.jsonl").read_text().splitlines() == lines


def test_a_file_or_a_network_not_both(tmp_path: Path) -> None:
    for arguments in ([], ["m.tflite", "--model", "cnn"]):
        done = edgepro("audit", *arguments, "--dataset", "digits", "--out", tmp_path)
        assert done.returncode == 1
        assert "expected either a .tflite file or --model" in done.stderr
        assert "Traceback" not in done.stderr
