"""The command line, as a user walks it; exit codes 0, 1, 2; no traceback, no secret."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from converters import keras_export, recipe
from edgepro_tf import locking, zoo
from edgepro_tf.cli.main import COMMANDS, make_parser
from edgepro_tf.runtime.interpreters import RUNTIMES
from edgepro_tf.sidecar import load_recipient
from tests.flatbuffers import build_cached, export_cached

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "v1"


def edgepro(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgepro_tf.cli", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "keys"
    assert edgepro("keygen", "--out", folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def pair(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shipped")
    source = folder / "source.tflite"
    source.write_bytes(export_cached("mlp"))
    done = edgepro("lock", source, "--keys", keys, "--out", folder / "m.tflite")
    assert done.returncode == 0, done.stderr
    assert "bit for bit" in done.stdout
    return folder / "m.tflite"


def test_private_keys_are_readable_by_their_owner_alone(keys: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in keys.iterdir()}
    assert modes["identity.jwk"] == modes["issuer.jwk"] == 0o600
    secret = json.loads((keys / "identity.jwk").read_text())["d"]
    again = edgepro("keygen", "--out", keys)
    assert again.returncode == 1 and "expected no" in again.stderr
    assert secret not in again.stdout + again.stderr


def test_convert_inspect_run(keys: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    build_cached("mlp").save(model)
    public = tmp_path / "m.tflite"
    done = edgepro("convert", model, "--keys", keys, "--out", public)
    assert done.returncode == 0, done.stderr
    for path in (public, public.with_suffix(".edgepro")):
        shown = edgepro("inspect", path)
        assert shown.returncode == 0, shown.stderr
    x = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    arguments = ["--keys", keys, "--input", tmp_path / "x.npy"]
    done = edgepro("run", public, *arguments, "--output", tmp_path / "y.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "y.npz") as outputs:
        (y,) = outputs.values()
    expected = build_cached("mlp").predict(x, verbose=0)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_an_update_takes_the_place_of_what_shipped(keys: Path, tmp_path: Path) -> None:
    source, public = tmp_path / "source.tflite", tmp_path / "m.tflite"
    source.write_bytes(export_cached("mlp"))
    lock = ["lock", source, "--keys", keys, "--out", public]
    assert edgepro(*lock).returncode == 0
    before = public.read_bytes()
    other = edgepro(*lock, "--update_of", source, "--force")
    assert other.returncode == 1 and "source.edgepro" in other.stderr
    done = edgepro(*lock, "--update_of", public, "--force")
    assert done.returncode == 0, done.stderr
    assert "of these as in the version before" in done.stdout
    assert public.read_bytes() == before
    assert edgepro("inspect", public).returncode == 0
    unopened = edgepro(
        *["lock", source, "--issuer", keys / "issuer.jwk", "--out", public, "--force"],
        *["--recipient", keys / "recipient.jwk", "--update_of", public],
    )
    assert unopened.returncode == 1
    assert "cannot find an identity" in unopened.stderr
    assert public.read_bytes() == before


def test_an_update_tells_which_devices_it_leaves_out(
    keys: Path, tmp_path: Path
) -> None:
    source, public, other = (tmp_path / n for n in ("source.tflite", "m.tflite", "k"))
    source.write_bytes(export_cached("mlp"))
    edgepro("keygen", "--out", other)
    lock = ["lock", source, "--keys", keys, "--out", public, "--force"]
    sidecar = public.with_suffix(".edgepro")
    assert edgepro(*lock).returncode == 0
    granted = edgepro(
        *["grant", sidecar, "--keys", keys, "--to", other / "recipient.jwk"],
        *["--out", sidecar, "--force"],
    )
    phone = load_recipient(other / "recipient.jwk").short_id
    assert granted.returncode == 0 and phone in granted.stdout
    done = edgepro(*lock, "--update_of", public)
    words = (
        f"warning: the version before is sealed to key {phone} (ECDH-ES+A256KW), too"
    )
    assert done.returncode == 0 and words in done.stderr
    named = ["--audience", "com.example.app"]  # The version before named none.
    done = edgepro(*lock, "--update_of", public, *named)
    assert done.returncode == 0 and "warning" not in done.stderr


def test_an_update_opens_by_the_passphrase_that_seals(
    keys: Path, tmp_path: Path
) -> None:
    """Beside --recipient nothing is sealed to the folder's own identity."""
    source, public = tmp_path / "source.tflite", tmp_path / "m.tflite"
    source.write_bytes(export_cached("mlp"))
    other = tmp_path / "other"
    edgepro("keygen", "--out", other)
    lock = [
        *("lock", source, "--keys", keys, "--out", public, "--passphrase"),
        *("--recipient", other / "recipient.jwk"),
    ]
    said = {"EDGEPRO_PASSPHRASE": "correct horse battery staple"}
    assert edgepro(*lock, **said).returncode == 0
    before = public.read_bytes()
    done = edgepro(*lock, "--update_of", public, "--force", **said)
    assert done.returncode == 0, done.stderr
    assert public.read_bytes() == before


def test_training_says_what_it_takes_the_data_for(tmp_path: Path) -> None:
    """Ages, as whole numbers, make as many classes."""
    x, ages = np.zeros((4, 3), np.float32), np.array([41.0, 62.0, 33.0, 50.0])
    data = tmp_path / "d.npz"
    np.savez(data, x_train=x, y_train=ages, x_test=x, y_test=ages)
    arguments = ["--dataset", f"npz:{data}", "--model", "mlp", "--epochs", 1]
    done = edgepro("train", *arguments, "--out", tmp_path / "m.keras")
    assert done.returncode == 0, done.stderr
    words = f"data set npz:{data}: 4 training and 4 test samples of shape (3,), 63 cla"
    assert done.stdout.startswith(words)


def test_convert_takes_samples_of_several_inputs(keys: Path, tmp_path: Path) -> None:
    build_cached("shared").save(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    samples = {name: rng.normal(size=(8, 8, 8, 2)) for name in ("right", "left")}
    np.savez(tmp_path / "samples.npz", **samples)
    done = edgepro(
        "convert",
        tmp_path / "model.keras",
        *("--samples", tmp_path / "samples.npz", "--format", "int8"),
        *("--keys", keys, "--out", tmp_path / "m.tflite"),
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("prefix", ["", "npz:"])
def test_samples_are_a_data_set_s(
    prefix: str, pair: Path, tmp_path: Path, keys: Path
) -> None:
    x, y = np.zeros((8, 10), np.float32), np.arange(8) % 2
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    done = edgepro(
        *("lock", pair.parent / "source.tflite", "--keys", keys),
        *("--samples", f"{prefix}{tmp_path / 'd.npz'}", "--out", tmp_path / "m.tflite"),
    )
    assert done.returncode == 0, done.stderr


def test_grant_opens_for_another_device(keys: Path, pair: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    edgepro("keygen", "--out", other)
    x = tmp_path / "x.npy"
    np.save(x, np.zeros((1, 10), np.float32))
    run = ["--issuer_key", keys / "issuer_key.jwk", "--input", x]
    identity = ["--identity", other / "identity.jwk"]
    refused = edgepro("run", pair, *identity, *run)
    assert refused.returncode == 1
    assert "sealed to" in refused.stderr and "edgepro: hint:" in refused.stderr
    granted = tmp_path / "phones" / "granted.edgepro"  # The folder is made.
    sidecar = pair.with_suffix(".edgepro")
    grant = ["--keys", keys, "--to", other / "recipient.jwk", "--out", granted]
    done = edgepro("grant", sidecar, *grant)
    assert done.returncode == 0, done.stderr
    output = ["--output", tmp_path / "new" / "y.npz"]
    assert edgepro("run", pair, granted, *identity, *run, *output).returncode == 0
    # --force replaces a sidecar, and nothing else.
    assert edgepro("grant", sidecar, *grant, "--force").returncode == 0
    before = (other / "recipient.jwk").read_bytes()
    done = edgepro("grant", sidecar, *grant[:-1], other / "recipient.jwk", "--force")
    assert done.returncode == 1 and "expected a JWE" in done.stderr
    assert (other / "recipient.jwk").read_bytes() == before


def test_passphrase_comes_from_the_environment(tmp_path: Path) -> None:
    x = tmp_path / "x.npy"
    with np.load(GOLDEN / "samples.npz") as samples:
        np.save(x, samples["x"][:1])
    run = ["run", GOLDEN / "model.tflite", "--passphrase", "--input", x]
    run += ["--issuer_key", GOLDEN / "issuer_key.jwk"]
    run += ["--audience", "com.example.golden"]
    good = edgepro(*run, EDGEPRO_PASSPHRASE="golden pair, not a secret")
    assert good.returncode == 0, good.stderr
    bad = edgepro(*run, EDGEPRO_PASSPHRASE="not this one")
    assert bad.returncode == 1 and "not this one" not in bad.stderr


def test_existing_files_are_kept(keys: Path, pair: Path) -> None:
    before = pair.read_bytes()
    source = pair.parent / "source.tflite"
    done = edgepro("lock", source, "--keys", keys, "--out", pair)
    assert done.returncode == 1 and "--force" in done.stderr
    assert pair.read_bytes() == before


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        ([], 2, "usage:"),
        (["convert"], 2, "required"),
        (["frobnicate"], 2, "invalid choice"),
        (["inspect", "/no/such/file"], 1, "edgepro: error: cannot read"),
        (["inspect", "setup.py"], 1, "edgepro: error:"),
        (["lock", "setup.py", "--out", "m.txt"], 1, "ending in .tflite"),
        (["lock", "setup.py", "--out", "m.tflite"], 1, "edgepro keygen"),
        (["run", "m.tflite", "--dataset", "digits"], 1, "edgepro keygen"),
        (["train", "--dataset", "nothing", "--out", "m.keras"], 1, "edgepro: error:"),
    ],
)
def test_mistakes_get_a_sentence(arguments: list[str], code: int, words: str) -> None:
    done = edgepro(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    assert "example:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "flag", "known"),
    [
        ("train", "--model", zoo.KINDS),
        ("train", "--lock", ("none", *locking.PRESETS)),
        ("convert", "--recipe", recipe.PRESETS),
        ("lock", "--recipe", [name for name in recipe.PRESETS if name != "paper"]),
        ("convert", "--format", keras_export.FORMATS),
        ("run", "--runtime", [runtime.name for runtime in RUNTIMES]),
    ],
)
def test_flags_offer_what_the_library_has(
    command: str, flag: str, known: Iterable[str]
) -> None:
    (commands,) = make_parser()._subparsers._group_actions
    choices = commands.choices[command]._option_string_actions[flag].choices
    assert sorted(choices) == sorted(known)


def _examples() -> list[str]:
    from edgepro_tf.cli import main

    texts = [main._DESCRIPTION]
    texts += [main._module(command).__doc__ or "" for command in main.COMMANDS]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    examples = [line for line in lines if line.startswith("edgepro ")]
    assert len(examples) > 12
    return examples


@pytest.mark.parametrize("example", _examples())
def test_every_example_of_the_help_is_one(example: str) -> None:
    from edgepro_tf.cli.pairs import check_outputs

    words, *_ = example.removeprefix("edgepro ").split("    ")
    try:
        args = make_parser().parse_args(words.split())
    except SystemExit as ended:
        assert ended.code == 0, example  # --help
        return
    if args.command in ("convert", "lock"):
        check_outputs(args)
