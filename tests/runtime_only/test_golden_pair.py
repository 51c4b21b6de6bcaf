"""The golden pairs open in every runtime of this environment, with or without TF.

Run in the main environment and in one that has tflite-runtime, numpy < 2 and the
wheel alone.
"""

import importlib.resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepro_tf.errors import (
    InterpreterError,
    SidecarError,
    UntrustedSidecarError,
    WrongKeyError,
    WrongModelError,
)
from edgepro_tf.runtime import (
    installed_runtimes,
    load_delegate,
    open_interpreter,
    restore_model,
)
from edgepro_tf.runtime.interpreters import find_runtime, make_interpreter
from edgepro_tf.runtime.running import input_details, run_model
from edgepro_tf.sidecar import (
    Passphrase,
    generate_identity,
    generate_issuer,
    load_identity,
    load_issuer_key,
)

FOLDER = Path(__file__).parent.parent / "golden"
GOLDEN = FOLDER / "v1"
# v1 is lock-trained and locked by channel; the others are masked, a format each.
PAIRS = sorted(path for path in FOLDER.glob("v*") if path.is_dir())
MODEL, SIDECAR = GOLDEN / "model.tflite", GOLDEN / "model.edgepro"


def usable(name: str) -> bool:
    numpy_is_old = int(np.__version__.split(".")[0]) < 2
    return name != "tflite-runtime" or numpy_is_old


RUNTIMES = [r.name for r in installed_runtimes() if usable(r.name)]


def keys_of(pair: Path) -> dict[str, Any]:
    return {
        # Its bytes: Git keeps no modes, and a private key open to all is warned of.
        "identity": load_identity((pair / "identity.jwk").read_bytes()),
        "issuer": load_issuer_key(pair / "issuer_key.jwk"),
        "audience": "com.example.golden",
    }


KEYS = keys_of(GOLDEN)


def golden_samples(
    pair: Path = GOLDEN,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with np.load(pair / "samples.npz") as arrays:
        return arrays["x"], arrays["y"], arrays["scores"]


def scores_of(interpreter: object, x: np.ndarray) -> np.ndarray:
    (name,) = input_details(interpreter)
    (scores,) = run_model(interpreter, {name: x}).values()
    return scores


@pytest.mark.parametrize("pair", PAIRS, ids=lambda path: path.name)
@pytest.mark.parametrize("as_bytes", [False, True], ids=["path", "bytes"])
@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("use_xnnpack", [True, False], ids=["xnnpack", "builtin"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_restored_equals_authorized_to_the_bit(
    runtime: str, use_xnnpack: bool, num_threads: int, as_bytes: bool, pair: Path
) -> None:
    x, y, _ = golden_samples(pair)
    options = {"num_threads": num_threads, "use_xnnpack": use_xnnpack}
    model = pair / "model.tflite"
    restored = open_interpreter(
        model.read_bytes() if as_bytes else model,
        pair / "model.edgepro",
        runtime=runtime,
        **options,
        **keys_of(pair),
    )
    authorized = make_interpreter(
        pair / "authorized.tflite", runtime=find_runtime(runtime), **options
    )
    authorized.allocate_tensors()
    scores = scores_of(restored, x)
    assert scores.tobytes() == scores_of(authorized, x).tobytes()
    assert np.mean(np.argmax(scores, -1) == y) > 0.9


@pytest.mark.parametrize("pair", PAIRS, ids=lambda path: path.name)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_public_file_alone_opens_and_is_worthless(runtime: str, pair: Path) -> None:
    x, y, _ = golden_samples(pair)
    bare = make_interpreter(pair / "model.tflite", runtime=find_runtime(runtime))
    bare.allocate_tensors()
    assert np.mean(np.argmax(scores_of(bare, x), -1) == y) < 0.5


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_delegate_of_ones_own(runtime: str) -> None:
    x, _, scores = golden_samples()
    delegate = load_delegate(SIDECAR, model=MODEL, **KEYS)
    interpreter = make_interpreter(
        MODEL, delegates=[delegate], runtime=find_runtime(runtime)
    )
    interpreter.allocate_tensors()
    # Another runtime's kernels sum in another order: 1e-4 of a score is ample.
    np.testing.assert_allclose(scores_of(interpreter, x), scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_further_delegate_sees_the_model_restored(runtime: str) -> None:
    """One that restores the same file finds it restored, and says so."""
    further = load_delegate(SIDECAR, model=MODEL, **KEYS)
    with pytest.raises(WrongModelError) as caught:
        open_interpreter(
            MODEL, SIDECAR, runtime=runtime, experimental_delegates=[further], **KEYS
        )
    # The core's own two sentences, out of what the runtime made of them.
    assert caught.value.problem.endswith("its lock was made for, got others.")
    assert caught.value.hint == "Ship the pair that one conversion wrote."


@pytest.mark.parametrize("pair", PAIRS, ids=lambda path: path.name)
def test_restored_buffer_is_the_authorized_file(pair: Path) -> None:
    expected = (pair / "authorized.tflite").read_bytes()
    model, sidecar = pair / "model.tflite", pair / "model.edgepro"
    before = model.read_bytes()
    assert bytes(restore_model(model, sidecar, **keys_of(pair))) == expected
    assert bytes(restore_model(before, sidecar, **keys_of(pair))) == expected
    assert model.read_bytes() == before


def test_passphrase_opens() -> None:
    keys = {**KEYS, "identity": Passphrase("golden pair, not a secret")}
    assert open_interpreter(MODEL, SIDECAR, **keys) is not None
    with pytest.raises(WrongKeyError):
        open_interpreter(
            MODEL, SIDECAR, **{**keys, "identity": Passphrase("another phrase")}
        )


def test_wrong_key_says_so() -> None:
    keys = {**KEYS, "identity": generate_identity()}
    with pytest.raises(WrongKeyError, match="sealed to"):
        open_interpreter(MODEL, SIDECAR, **keys)


def test_foreign_issuer_and_audience_say_so() -> None:
    with pytest.raises(UntrustedSidecarError):
        open_interpreter(
            MODEL, SIDECAR, **{**KEYS, "issuer": generate_issuer().issuer_key}
        )
    with pytest.raises(UntrustedSidecarError):
        open_interpreter(MODEL, SIDECAR, **{**KEYS, "audience": "com.example.other"})


@pytest.mark.parametrize("size", [0, 1, 100, 500])
def test_truncated_sidecar_says_so(size: int) -> None:
    with pytest.raises(SidecarError):
        open_interpreter(MODEL, SIDECAR.read_bytes()[:size], **KEYS)


def test_damaged_sidecar_says_so() -> None:
    damaged = bytearray(SIDECAR.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(SidecarError):
        open_interpreter(MODEL, bytes(damaged), **KEYS)


def test_wrong_model_of_another_size_names_both() -> None:
    with pytest.raises(WrongModelError, match=r"belongs to model .* this file is"):
        open_interpreter(MODEL.read_bytes() + b"\0", SIDECAR, **KEYS)


def test_wrong_model_of_the_same_size_names_both() -> None:
    authorized = (GOLDEN / "authorized.tflite").read_bytes()
    with pytest.raises(WrongModelError, match=r"belongs to model .* this file is"):
        open_interpreter(authorized, SIDECAR, **KEYS)
    with pytest.raises(WrongModelError):
        restore_model(authorized, SIDECAR, **KEYS)


def damage(content: bytes, seed: int) -> bytes:
    """Eight bytes changed near the file's ends, where offsets and tables stand."""
    rng = np.random.default_rng(seed)
    damaged = np.frombuffer(content, np.uint8).copy()
    places = (
        rng.integers(0, 1500, 4),
        rng.integers(len(content) - 9000, len(content), 4),
    )
    damaged[np.concatenate(places)] ^= rng.integers(1, 256, 8).astype(np.uint8)
    return damaged.tobytes()


@pytest.mark.parametrize("as_path", [True, False], ids=["path", "bytes"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_damaged_model_of_the_same_size_says_so(
    runtime: str, as_path: bool, tmp_path: Path
) -> None:
    """Without a check, a runtime that does not verify files ends the process."""
    path = tmp_path / "m.tflite"
    for seed in range(12):
        damaged = damage(MODEL.read_bytes(), seed)
        path.write_bytes(damaged)
        model = path if as_path else damaged
        with pytest.raises((WrongModelError, InterpreterError)):
            open_interpreter(model, SIDECAR, runtime=runtime, **KEYS)
        with pytest.raises(WrongModelError):
            load_delegate(SIDECAR, model=model, **KEYS)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 4 + b"TFL3" + b"\0" * 40])
def test_no_model_says_so(content: bytes) -> None:
    with pytest.raises((WrongModelError, SidecarError, InterpreterError)):
        open_interpreter(content, SIDECAR, **KEYS)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_delegate_serves_one_interpreter(runtime: str) -> None:
    delegate = load_delegate(SIDECAR, **KEYS)
    first = make_interpreter(MODEL, delegates=[delegate], runtime=find_runtime(runtime))
    first.allocate_tensors()
    with pytest.raises(InterpreterError, match="one delegate for each interpreter"):
        make_interpreter(
            MODEL, delegates=[delegate], runtime=find_runtime(runtime)
        ).allocate_tensors()


@pytest.mark.skipif(
    int(np.__version__.split(".")[0]) < 2, reason="needs numpy 2 to complain about"
)
def test_numpy_2_with_tflite_runtime_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = find_runtime("tflite-runtime")
    monkeypatch.setattr(type(runtime), "is_installed", True)
    with pytest.raises(InterpreterError, match="expected numpy below 2"):
        runtime.load()


def test_unknown_runtime_says_so() -> None:
    with pytest.raises(InterpreterError, match="expected one of"):
        open_interpreter(MODEL, SIDECAR, runtime="onnx", **KEYS)


def test_the_package_comes_with_its_types() -> None:
    """Else type checkers pass over its annotations."""
    assert importlib.resources.files("edgepro_tf").joinpath("py.typed").is_file()
