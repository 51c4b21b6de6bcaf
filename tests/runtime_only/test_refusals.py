"""Every kind of bad input has a sentence of its own, and leaves no interpreter."""

import datetime
import functools
import gc
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgepro_tf.errors import (
    EdgeProError,
    ExpiredError,
    InterpreterError,
    SidecarFormatError,
    UntrustedSidecarError,
    WrongKeyError,
    WrongModelError,
)
from edgepro_tf.runtime import (
    load_delegate,
    open_interpreter,
    restore_model,
    restore_model_file,
)
from edgepro_tf.runtime.interpreters import find_runtime, make_interpreter
from edgepro_tf.sidecar import (
    ModelBinding,
    generate_identity,
    generate_issuer,
    open_sidecar,
    seal_sidecar,
)
from tests.edgepro_tf.sidecar.material import show_with_locals
from tests.runtime_only.test_golden_pair import (
    GOLDEN,
    KEYS,
    MODEL,
    RUNTIMES,
    SIDECAR,
    golden_samples,
    scores_of,
)

SECOND = datetime.timedelta(seconds=1)
Opens = Callable[..., object]


@functools.cache
def resealed(**changes: object) -> tuple[bytes, dict[str, object]]:
    """The golden lock under new keys, and who opens it."""
    identity, issuer = generate_identity(), generate_issuer()
    opened = open_sidecar(SIDECAR, **KEYS)
    sidecar = seal_sidecar(
        opened.payload,
        model=ModelBinding.of(MODEL),
        recipients=[identity.recipient],
        issuer=issuer,
        **changes,
    )
    return sidecar, {"identity": identity, "issuer": issuer.issuer_key}


def changed(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def refusals() -> dict[str, tuple[type[EdgeProError], str, Opens]]:
    """What is wrong: the error, words of its sentence, and a call that meets it."""
    sidecar, model = SIDECAR.read_bytes(), MODEL.read_bytes()
    members = json.loads(sidecar)
    other_tag = ("B" if members["tag"][0] == "A" else "A") + members["tag"][1:]
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)

    def opens(given: object = sidecar, public: object = model, **keys: object) -> Opens:
        return functools.partial(open_interpreter, public, given, **{**KEYS, **keys})

    def opens_resealed(**changes: object) -> Opens:
        given, keys = resealed(**changes)
        return functools.partial(open_interpreter, model, given, **keys)

    return {
        "wrong key": (
            WrongKeyError,
            "this identity is",
            opens(identity=generate_identity()),
        ),
        "damaged sidecar": (
            WrongKeyError,
            "decryption failed",
            opens(json.dumps(members | {"tag": other_tag}).encode()),
        ),
        "sidecar damaged in its JSON": (
            SidecarFormatError,
            "damaged at byte",
            opens(b'{"a" "b"}'),
        ),
        "truncated sidecar": (
            SidecarFormatError,
            "in the midst of its JSON",
            opens(sidecar[:500]),
        ),
        "empty sidecar": (SidecarFormatError, "the file is empty", opens(b"")),
        "foreign JWE": (
            SidecarFormatError,
            "got a foreign JWE",
            opens(b'{"protected": "e30"}'),
        ),
        "model for a sidecar": (
            SidecarFormatError,
            "got a TFLite model",
            opens(model),
        ),
        "foreign issuer": (
            UntrustedSidecarError,
            "it is signed by",
            opens(issuer=generate_issuer().issuer_key),
        ),
        "foreign application": (
            UntrustedSidecarError,
            "expected audience",
            opens(audience="com.example.other"),
        ),
        "expired": (ExpiredError, "it expired", opens_resealed(expires=now - SECOND)),
        "not valid yet": (
            ExpiredError,
            "it is valid from",
            opens_resealed(not_before=now + day),
        ),
        "model of another size": (
            WrongModelError,
            "this file is",
            opens(public=model + b"\0"),
        ),
        "empty model": (WrongModelError, "this file is empty", opens(public=b"")),
        "unknown runtime": (InterpreterError, "expected one of", opens(runtime="onnx")),
        "threads": (InterpreterError, "256 threads", opens(num_threads=10**6)),
    }


REFUSALS = refusals()


def interpreters_alive() -> int:
    gc.collect()
    return sum(type(thing).__name__ == "Interpreter" for thing in gc.get_objects())


def sentence_of(opens: Opens, error: type[EdgeProError]) -> str:
    with pytest.raises(error) as caught:
        opens()
    assert type(caught.value) is error
    return caught.value.problem


@pytest.mark.parametrize("kind", REFUSALS)
def test_bad_input_is_told(kind: str) -> None:
    error, words, opens = REFUSALS[kind]
    assert words in sentence_of(opens, error)


def test_kinds_differ_in_words_and_leave_no_interpreter() -> None:
    """The words that tell a kind are in no other kind's sentence."""
    before = interpreters_alive()  # Once for all kinds: a count takes seconds.
    sentences = {
        kind: sentence_of(opens, error) for kind, (error, _, opens) in REFUSALS.items()
    }
    assert interpreters_alive() == before
    general = {"this file is"}  # said of an empty one as well
    for kind, (_, words, _) in REFUSALS.items():
        others = [text for other, text in sentences.items() if other != kind]
        assert words in general or not any(words in text for text in others), kind


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_changed_constant_is_told_by_every_way_in(runtime: str) -> None:
    """A byte in the middle of a filter: size and structure are right."""
    model = changed(MODEL.read_bytes(), len(MODEL.read_bytes()) // 2)
    opens = functools.partial(open_interpreter, model, SIDECAR, runtime=runtime, **KEYS)
    assert "this file is" in sentence_of(opens, WrongModelError)

    def by_delegate() -> object:
        delegate = load_delegate(SIDECAR, **KEYS)
        return make_interpreter(
            model, delegates=[delegate], runtime=find_runtime(runtime)
        )

    before = interpreters_alive()
    sentence = sentence_of(by_delegate, InterpreterError)
    assert "belongs to another model file" in sentence
    assert interpreters_alive() == before


@pytest.mark.parametrize(
    "opens",
    [
        functools.partial(open_interpreter, MODEL, num_threads=10**6),
        functools.partial(open_interpreter, GOLDEN / "authorized.tflite"),
        functools.partial(restore_model, MODEL, threads=10**6),
        functools.partial(restore_model_file, MODEL, threads=10**6),
    ],
    ids=["interpreter", "core", "buffer", "file"],
)
def test_no_local_variable_of_a_refusal_holds_the_lock(opens: Opens) -> None:
    with pytest.raises(EdgeProError) as caught:
        opens(sidecar=SIDECAR, **KEYS)
    shown = show_with_locals(caught.value)
    assert repr(open_sidecar(SIDECAR, **KEYS).payload[4:36])[2:-1] not in shown


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_delegate_may_be_let_go_before_its_interpreter(runtime: str) -> None:
    x, _, _ = golden_samples()
    expected = scores_of(open_interpreter(MODEL, SIDECAR, runtime=runtime, **KEYS), x)
    delegate = load_delegate(SIDECAR, model=MODEL, **KEYS)
    interpreter = make_interpreter(
        MODEL, delegates=[delegate], runtime=find_runtime(runtime)
    )
    del delegate
    gc.collect()
    interpreter.allocate_tensors()
    np.testing.assert_array_equal(scores_of(interpreter, x), expected)


def test_refusals_leave_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL.read_bytes())
    (tmp_path / "m.edgepro").write_bytes(SIDECAR.read_bytes()[:500])
    with pytest.raises(SidecarFormatError):
        open_interpreter(tmp_path / "m.tflite", tmp_path / "m.edgepro", **KEYS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.edgepro", "m.tflite"]
