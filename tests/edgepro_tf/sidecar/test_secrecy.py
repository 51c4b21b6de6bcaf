"""No secret in any text: repr, str, exceptions, tracebacks, logs, pickles."""

import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepro_tf.errors import EdgeProError
from edgepro_tf.sidecar import (
    Passphrase,
    export_key,
    grant_sidecar,
    inspect_sidecar,
    load_identity,
    load_issuer,
    load_recipient,
)
from edgepro_tf.sidecar.encoding import decode_base64url
from edgepro_tf.sidecar.envelope import parse_envelope
from edgepro_tf.sidecar.unsealing import unseal
from tests.edgepro_tf.sidecar.material import (
    PASSPHRASE,
    identity,
    issuer,
    open_,
    payload,
    seal,
    show_with_locals,
)

KEYS = [identity("P-256"), identity("RSA-3072"), identity("A256KW"), issuer()]
SECRETS = [
    value
    for key in KEYS
    for name, value in json.loads(export_key(key)).items()
    if name in ("d", "p", "q", "dp", "dq", "qi", "k")
]


UNSPELLABLE = "correct horse \udcff battery"
ENCRYPTED = export_key(identity(), key_format="pem", passphrase="any words at all")


def _forms(secret: bytes):
    """The spellings in which a secret could slip out, 12 letters of each."""
    yield repr(secret)[2:-1][:12]
    yield secret.hex()[:12]
    yield str(int.from_bytes(secret[:16], "big"))[:12]


def assert_clean(text: str) -> None:
    for secret in SECRETS:
        assert secret[:12] not in text
        for form in _forms(decode_base64url(secret)):
            assert form not in text
    for form in _forms(payload()[4:36]):
        assert form not in text
    assert "correct horse" not in text


def test_reprs():
    sidecar = seal(*KEYS[:3], PASSPHRASE)
    opened = open_(sidecar)
    for shown in (*KEYS, *(key.recipient for key in KEYS[:3]), PASSPHRASE, opened):
        assert_clean(repr(shown) + str(shown) + f"{shown}")
    assert_clean(repr(inspect_sidecar(sidecar)) + str(inspect_sidecar(sidecar)))
    assert_clean(sidecar.decode())
    with pytest.raises(TypeError) as caught:
        pickle.dumps(opened)
    assert_clean(str(caught.value))


def _broken_key_files(keys):
    for key in keys:
        data = export_key(key)
        members = json.loads(data)
        for name in sorted(members):
            yield json.dumps(members | {name: members[name] + "!"}).encode()
            yield json.dumps(members | {name: members[name][:-3]}).encode()
            yield json.dumps(members | {name: [members[name]]}).encode()
            yield json.dumps({n: v for n, v in members.items() if n != name}).encode()
        yield data[: len(data) // 2]
        yield data + data
    pem = export_key(identity(), key_format="pem")
    yield pem[:90] + b"!!!!" + pem[94:]
    yield pem[:120]


@pytest.mark.parametrize("load", [load_identity, load_issuer, load_recipient])
def test_broken_key_files(load):
    # Half of a broken RSA key's import is the search for its primes: done once.
    keys = KEYS if load is load_identity else [KEYS[0], *KEYS[2:]]
    refused = 0
    for data in _broken_key_files(keys):
        try:
            load(data)
        except EdgeProError as error:
            refused += 1
            assert_clean("".join(traceback.format_exception(error)))
            assert_clean(repr(error.__dict__))
    assert refused > 20


def test_failures(caplog):
    caplog.set_level(logging.DEBUG)
    sidecar = seal(*KEYS[:3], PASSPHRASE)
    members = json.loads(sidecar)
    for entry in members["recipients"]:
        entry["encrypted_key"] = entry["encrypted_key"][::-1]
    broken = json.dumps(members).encode()
    members = json.loads(sidecar)
    members["tag"] = members["tag"][::-1]
    attempts = [
        (sidecar, {"identity": identity(number=1)}),
        (sidecar, {"identity": Passphrase("correct horse battery stable")}),
        (sidecar, {"issuer": issuer(number=1).issuer_key}),
        (sidecar, {"audience": None}),
        (sidecar, {"model": b"other"}),
        *((broken, {"identity": opener}) for opener in (*KEYS[:3], PASSPHRASE)),
        (json.dumps(members).encode(), {}),
        (sidecar[:-20], {}),
    ]
    for data, changes in attempts:
        with pytest.raises(EdgeProError) as caught:
            open_(data, **changes)
        assert_clean("".join(traceback.format_exception(caught.value)))
    with pytest.raises(EdgeProError) as caught:
        grant_sidecar(broken, identity=identity(), recipients=[PASSPHRASE])
    assert_clean("".join(traceback.format_exception(caught.value)))
    assert_clean(caplog.text)


def test_a_passphrase_that_utf_8_cannot_spell():
    """As the environment gives it in another locale; Python's error would quote it."""
    for call in (Passphrase, lambda text: load_identity(ENCRYPTED, passphrase=text)):
        with pytest.raises(EdgeProError, match="text that UTF-8 can spell") as caught:
            call(UNSPELLABLE)
        assert caught.value.__context__ is None
        assert_clean("".join(traceback.format_exception(caught.value)))


def test_payload_error_quotes_nothing():
    with pytest.raises(EdgeProError) as caught:
        seal(payload=payload()[:-2])
    assert_clean("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("damage", [b"\xff", b"\n}", b",", b"NaN"])
def test_no_error_holds_a_damaged_key_file(damage: bytes) -> None:
    """Nor does anything in its context: decoders' own errors hold what they read."""
    whole = export_key(identity())
    with pytest.raises(EdgeProError) as caught:
        load_identity(whole[:-3] + damage + whole[-3:])
    error: BaseException | None = caught.value
    while error is not None:
        assert_clean(repr(vars(error)) + repr(error.args))
        assert not getattr(error, "doc", "") and not getattr(error, "object", b"")
        error = error.__context__


def error_of(call: Callable[[], object]) -> EdgeProError:
    with pytest.raises(EdgeProError) as caught:
        call()
    return caught.value


def end_of_lock(sidecar: bytes) -> str:
    """Letters of the signed content's claims; a signature of 86 follows them."""
    content = unseal(parse_envelope(sidecar, ""), identity(), "").plaintext.decode()
    return content[-127:-87]


def test_no_local_variable_of_a_failed_opening_holds_the_lock() -> None:
    sidecar = seal(*KEYS[:3])
    other = issuer(number=1).issuer_key
    shown = show_with_locals(error_of(lambda: open_(sidecar, issuer=other)))
    assert end_of_lock(sidecar) not in shown
    assert_clean(shown)


@pytest.mark.parametrize("load", [load_identity, load_issuer, load_recipient])
def test_no_local_variable_of_a_failed_loading_holds_a_key(
    load: Callable[[Path], object], tmp_path: Path
) -> None:
    for number, data in enumerate(_broken_key_files([KEYS[0], KEYS[2]])):
        path = tmp_path / f"{number}.jwk"
        path.write_bytes(data)
    del data
    for path in tmp_path.iterdir():
        path.chmod(0o600)
        try:
            load(path)
        except EdgeProError as error:
            assert_clean(show_with_locals(error))


def test_variables_of_the_caller_s_own_error_stay() -> None:
    def fail(kept: int) -> None:
        raise LookupError(kept)

    try:
        fail(17)
    except LookupError as own:
        error_of(lambda: load_identity(b"no key"))
        frame = own.__traceback__.tb_next.tb_frame
        assert frame.f_locals == {"kept": 17}
