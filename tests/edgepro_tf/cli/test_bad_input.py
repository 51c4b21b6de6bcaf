"""Bad input: an error line and a hint, exit code 1 or 2, no traceback, no file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.edgepro_tf.cli.conftest import Edgepro, check_refusals, list_files
from tests.edgepro_tf.cli.test_main import ROOT
from tests.edgepro_tf.test_files import limited_file_size

KEYS = ["--identity", "identity.jwk", "--issuer_key", "issuer_key.jwk"]
OPENING = [*KEYS, "--audience", "com.example.golden"]
RUN = ["run", "model.tflite", *OPENING, "--input", "x.npy"]
LOCK = ["lock", "authorized.tflite", "--keys", "keys", "--out", "new.tflite"]
GRANT = ["grant", "model.edgepro", "--identity", "identity.jwk", "--out", "new.edgepro"]


def test_a_package_that_is_missing_is_named(
    edgepro: Edgepro, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    said = edgepro("train", "--dataset", "digits", "--out", "new.keras")
    assert said.code == 1 and "expected scikit-learn to be installed" in said.err
    assert 'pip install ".[demo]"' in said.err and "Traceback" not in said.err


def test_an_audit_without_scipy_says_so() -> None:
    # In a process of its own: this one has loaded the audit's modules.
    code = "import sys; sys.modules['scipy'] = None; from edgepro_tf.cli.main import *;"
    code += "run(['edgepro', 'audit', 'm.keras', '--dataset', 'digits', '--out', 'a'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "cannot audit: expected scipy to be installed, got none." in done.stderr
    assert 'pip install ".[tensorflow]"' in done.stderr


@pytest.mark.parametrize(
    "flag", ["--only_check_args", "--pdb", "--run_with_profiling", "--helpfull"]
)
def test_flags_of_absl_are_no_flags_of_ours(
    flag: str, edgepro: Edgepro, tmp_path: Path
) -> None:
    said = edgepro(flag, "keygen", "--out", tmp_path / "keys")
    assert said.code == 2 and "unrecognized arguments" in said.err
    assert "absl" not in edgepro("--help").out
    assert list(tmp_path.iterdir()) == []


def test_inspect(folder: Path, edgepro: Edgepro) -> None:
    check_refusals(
        edgepro,
        [
            (["inspect", name], words)
            for name, words in {
                "nowhere": "No such file",
                "folder": "Is a directory",
                "loop": "symbolic links",
                "n" * 300: "File name too long",
                "empty": "the file is empty",
                "random": "it is no sidecar: expected JSON",
                "huge": "expected at most 67,108,864 bytes",
                "/dev/zero": "expected at most 67,108,864 bytes",
                "other.json": "expected a JWE",
                "identity.jwk": "expected a JWE",
                "cut.edgepro": "ends at byte 300",
                "cut.tflite": "its flatbuffer is damaged",
                "none.tflite": "expected a TFLite flatbuffer",
            }.items()
        ],
    )


def test_sidecars_that_do_not_open(folder: Path, edgepro: Edgepro) -> None:
    run = ["run", "model.tflite"]
    job = [*OPENING, "--input", "x.npy"]
    check_refusals(
        edgepro,
        [
            ([*run, "nowhere", *job], "No such file"),
            ([*run, "folder", *job], "Is a directory"),
            ([*run, "empty", *job], "the file is empty"),
            ([*run, "cut.edgepro", *job], "in the midst of its JSON"),
            ([*run, "damaged.edgepro", *job], "decryption failed"),
            ([*run, "model.tflite", *job], "got a TFLite model"),
            ([*run, *KEYS, "--input", "x.npy"], "none was named"),
            ([*run, *job, "--audience", "other"], "expected audience 'other'"),
            ([*run, *job, "--identity", "keys/identity.jwk"], "it is sealed to key"),
            ([*run, *job, "--issuer_key", "keys/issuer_key.jwk"], "it is signed by"),
        ],
    )


def test_who_names_no_keys_is_not_told_to_make_new_ones_alone(
    folder: Path, edgepro: Edgepro
) -> None:
    said = edgepro("run", "model.tflite", "--input", "x.npy")
    assert said.code == 1 and "expected --keys or --identity, got none" in said.err
    assert "opens with those that it was sealed with alone" in said.err


def test_models_that_do_not_belong(folder: Path, edgepro: Edgepro) -> None:
    belongs = "belongs to model"
    check_refusals(
        edgepro,
        [
            (["run", name, "model.edgepro", *OPENING, "--input", "x.npy"], words)
            for name, words in {
                "nowhere": "No such file",
                "folder": "Is a directory",
                "/dev/zero": "Not a regular file",
                "empty": "this file is empty",
                "random": belongs,
                "cut.tflite": belongs,
                "damaged.tflite": belongs,
                "authorized.tflite": belongs,
            }.items()
        ],
    )


def test_a_pair_that_is_not_there_is_named_by_its_model(
    folder: Path, edgepro: Edgepro
) -> None:
    words = "cannot read model nowhere.tflite: No such file"
    run = ["run", "nowhere.tflite", *OPENING, "--input", "x.npy"]
    audit = ["audit", "nowhere.tflite", *OPENING, "--dataset", "digits", "--out", "a"]
    check_refusals(edgepro, [(run, words), (audit, words)])


def test_inputs_and_options_of_run(folder: Path, edgepro: Edgepro) -> None:
    check_refusals(
        edgepro,
        [
            ([*RUN, "--input", "nowhere.npy"], "No such file"),
            ([*RUN, "--input", "folder"], "Is a directory"),
            ([*RUN, "--input", "none.npy"], "expected an .npy array"),
            ([*RUN, "--input", "random"], "expected an .npy array"),
            ([*RUN, "--input", "objects.npy"], "expected an .npy array"),
            ([*RUN, "--input", "samples.npz"], "expected arrays image, got x,"),
            ([*RUN, "--input", "text.npy"], "expected numbers"),
            (
                [*RUN, "--input", "other_shape.npy"],
                "[count, 8, 8, 1], got [2, 5,",
            ),
            ([*RUN, "--threads", "0"], "expected 1 to 256 threads"),
            ([*RUN, "--threads", "1000000"], "expected 1 to 256 threads"),
            (
                [*RUN[:-2], "--dataset", "digits", "--output", "y.npz"],
                "expected --output with --input alone",
            ),
            (
                [*RUN[:-2], "--dataset", "npz:many_classes.npz"],
                "class numbers from 0 to 9, got int32 [12]",
            ),
            ([*RUN, "--output", "x.npy"], "expected no file of that name"),
            ([*RUN, "--output", "x.npy/y.npz"], "cannot make folder x.npy"),
            ([*RUN, "--output", "y.npy"], "expected a name ending in .npz"),
        ],
    )


def test_one_example_and_examples_without_their_channel_are_fed(
    folder: Path, edgepro: Edgepro
) -> None:
    """Of a model that takes [count, 8, 8, 1]."""
    x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    answers = []
    for number, given in enumerate((x, x[..., 0], x[0])):
        np.save(folder / "x.npy", given)
        said = edgepro(*RUN, "--output", f"y{number}.npz")
        assert said.code == 0, said.err
        answers.extend(np.load(f"y{number}.npz").values())
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0][:1], answers[2])


def test_keys_that_are_none(folder: Path, edgepro: Edgepro) -> None:
    cases = []
    for flag, noun in (("--to", "recipient"), ("--identity", "identity")):
        for name, words in {
            "nowhere": "No such file",
            "folder": "Is a directory",
            "empty": "expected a JWK or PEM file",
            "random": "far larger",
            "/dev/zero": "far larger",
            "keys/issuer_key.jwk": "made to encrypt, got one made to sign",
        }.items():
            rest = [] if flag == "--to" else ["--to", "keys/recipient.jwk"]
            task = f"cannot load {noun} {Path(name).name}: "
            cases.append(([*GRANT, flag, name, *rest], task))
            cases.append(([*GRANT, flag, name, *rest], words))
    to = ["--to", "keys/recipient.jwk"]
    cases += [
        ([*GRANT, "--to", "identity.jwk"], "which stays with its owner"),
        ([*GRANT, *to, "--identity", "keys/recipient.jwk"], "its public half alone"),
        ([*GRANT, *to, "--out", "model.edgepro"], "expected no file of that name"),
        ([*GRANT, *to, "--out", "folder", "--force"], "got a folder"),
        ([*GRANT, *to, "--out", os.devnull, "--force"], "got a device or a pipe"),
        ([*GRANT, *to, "--out", "model.tflite/g"], "cannot make folder"),
    ]
    check_refusals(edgepro, cases)


def test_locking(folder: Path, edgepro: Edgepro) -> None:
    keys = ["--keys", "keys", "--out", "new.tflite"]
    days, budget = "--expires_days", "--restore_budget"
    check_refusals(
        edgepro,
        [
            (["lock", "nowhere", *keys], "cannot read model nowhere: No such file"),
            (["lock", "folder", *keys], "Is a directory"),
            (["lock", "/dev/zero", *keys], "Not a regular file"),
            (["lock", "empty", *keys], "got 0 other bytes"),
            (["lock", "random", *keys], "expected a TFLite flatbuffer"),
            (["lock", "cut.tflite", *keys], "its flatbuffer is damaged"),
            ([*LOCK, "--samples", "none.npy"], "expected an .npy array"),
            ([*LOCK, "--samples", "damaged.npz"], "expected an .npz of arrays"),
            ([*LOCK, "--samples", "text.npy"], "expected numbers"),
            ([*LOCK, "--samples", "other_shape.npy"], "expected samples of shape"),
            ([*LOCK, "--samples", "nothing"], "expected digits, fashion-mnist or npz"),
            ([*LOCK, days, "nan"], "from a second to 1,000,000 days, got nan"),
            ([*LOCK, days, "1e300"], "got 1e+300"),
            ([*LOCK, days, "0"], "got 0"),
            ([*LOCK, budget, "nan"], "restore budget from 0 to 1"),
            ([*LOCK, "--out", "new.txt"], "ending in .tflite"),
            (
                [*LOCK, "--out", "authorized.tflite", "--force"],
                "expected another file than the model itself",
            ),
            (
                [
                    "lock",
                    "precious.edgepro",
                    *keys,
                    "--out",
                    "precious.tflite",
                    "--force",
                ],
                "cannot write precious.edgepro: expected another file than the model",
            ),
            (["lock", "model.tflite", *keys], "got the public file of model.edgepro"),
            ([*LOCK, "--audience", ""], "got an empty one"),
            ([*LOCK, "--samples", "nowhere.npz"], "No such file"),
            (["convert", "model.tflite", *keys], "expected a Keras model"),
            ([*LOCK, "--out", "empty/new.tflite"], "cannot make folder empty"),
            (
                [*LOCK, "--keys", "nowhere"],
                "cannot load recipient recipient.jwk: No",
            ),
            (["keygen", "--out", "empty"], "cannot make folder empty"),
            (["keygen", "--out", "keys"], "expected no file of that name"),
            (["convert", "folder", *keys], "cannot read model folder: Is a directory"),
            (["convert", "x", *keys, "--format", "int8"], "expected real inputs"),
        ],
    )


def test_a_passphrase_is_one_recipient_more(
    folder: Path, edgepro: Edgepro, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEPRO_PASSPHRASE", "correct horse battery staple")
    assert edgepro(*LOCK, "--passphrase").code == 0
    said = edgepro("inspect", "new.edgepro").out
    assert "sealed to key" in said and "sealed to a passphrase" in said


def test_numbers_get_a_usage_line(folder: Path, edgepro: Edgepro) -> None:
    for arguments, words in (
        (
            ["train", "--out", "m.keras", "--epochs", "0"],
            "integer from 1 on, got '0'",
        ),
        (["train", "--out", "m.keras", "--seed", "-1"], "from 0 to 4,294,967,295"),
        (["audit", "--minutes", "-1"], "expected a number above 0, got '-1'"),
        ([*RUN, "--threads", "x"], "invalid int value: 'x'"),
        ([*LOCK, "--expires_days", "x"], "invalid float value: 'x'"),
    ):
        said = edgepro(*arguments)
        assert said.code == 2 and words in said.err


@pytest.mark.skipif(os.name != "posix", reason="as POSIX says it")
def test_names_that_cannot_be_written_are_refused_before_the_work(
    folder: Path, edgepro: Edgepro
) -> None:
    """None of these models is there: the name is looked at first."""
    Path("taken.tflite").mkdir()
    Path("report/audit.json").mkdir(parents=True)
    Path("taken.keras").mkdir()
    lock = ["lock", "nowhere.tflite", "--keys", "keys", "--out"]
    convert = ["convert", "nowhere.keras", *lock[2:]]
    train = ["train", "--dataset", "nothing", "--out"]
    check_refusals(
        edgepro,
        [
            ([*lock, "taken.tflite", "--force"], "got a folder"),
            ([*convert, f"{'n' * 250}.tflite"], "File name too long"),
            # The sidecar's name is a letter longer than the model's.
            ([*convert, f"new/{'n' * 248}.tflite"], ".edgepro: File name too long"),
            ([*lock, "empty/new.tflite"], "cannot make folder empty"),
            ([*train, "taken.keras", "--force"], "got a folder"),
            ([*train, f"{'n' * 250}.keras"], "File name too long"),
            ([*train, "empty/new.keras"], "cannot make folder empty"),
            (
                ["audit", "nowhere.keras", "--dataset", "nothing", "--out", "empty"],
                "cannot make folder empty",
            ),
            (
                ["audit", "nowhere.keras", "--dataset", "nothing", "--out", "report"],
                "cannot write report/audit.json: expected a file of that name",
            ),
            ([*GRANT, "--to", "nowhere", "--out", "none/g"], "No such file or dir"),
            (["keygen", "--out", "n" * 256], "File name too long"),
        ],
    )


@pytest.mark.skipif(os.name != "posix", reason="as POSIX says it")
def test_a_name_that_is_too_long_has_its_hint(folder: Path, edgepro: Edgepro) -> None:
    said = edgepro(*LOCK[:-1], f"{'n' * 250}.tflite")
    assert "edgepro: hint: Choose a shorter name." in said.err


def test_an_audit_takes_no_place_of_a_pair(folder: Path, edgepro: Edgepro) -> None:
    audit = ["audit", "--model", "mlp", "--dataset", "digits", "--out", "."]
    check_refusals(
        edgepro,
        [(audit, "cannot audit into .: it holds a model.tflite of something else.")],
    )


def test_audit_flags_of_the_other_way(folder: Path, edgepro: Edgepro) -> None:
    pair = ["audit", "model.tflite", *OPENING, "--dataset", "digits", "--out", "a"]
    keras_model = ["audit", "model.keras", "--dataset", "digits", "--out", "a"]
    check_refusals(
        edgepro,
        [
            ([*pair, "--recipe", "strict"], "with --model or a Keras model alone"),
            ([*keras_model, "--epochs", "3"], "expected --epochs with --model alone"),
            ([*keras_model, "--network_seed", "0"], "expected --network_seed with"),
            ([*pair, "--network_seed", "3"], "expected --network_seed with --model"),
            # Refused late, and yet no folder is left.
            (
                [*pair[:-3], "npz:many_classes.npz", *pair[-2:]],
                "class numbers from 0 to 9",
            ),
        ],
    )


def test_full_disk_leaves_nothing(folder: Path, edgepro: Edgepro) -> None:
    room = Path("model.edgepro").stat().st_size
    before = list_files()
    with limited_file_size(240):  # Public keys fit, private ones do not.
        said = edgepro("keygen", "--out", "more")
    assert said.code == 1 and "File too large" in said.err
    assert list_files() == before
    with limited_file_size(room):  # The sidecar fits, the model does not.
        said = edgepro(*LOCK)
    assert said.code == 1 and "File too large" in said.err
    assert list_files() == before
