"""The vectors of tests/vectors/sidecar; the Kotlin tests read the same files."""

import datetime
import hashlib
from pathlib import Path

import pytest

from edgepro_tf import sidecar
from edgepro_tf.errors import (
    ExpiredError,
    SidecarFormatError,
    UntrustedSidecarError,
    WrongKeyError,
    WrongModelError,
)
from edgepro_tf.sidecar import (
    ModelBinding,
    Passphrase,
    load_identity,
    load_issuer_key,
    open_sidecar,
)

FOLDER = Path(__file__).parents[2] / "vectors" / "sidecar"
FAILURES = {
    "empty": (SidecarFormatError, "the file is empty"),
    "not-a-sidecar": (SidecarFormatError, "it is no sidecar"),
    "truncated": (SidecarFormatError, "the file ends at byte"),
    "damaged": (SidecarFormatError, "it is damaged"),
    "newer-version": (SidecarFormatError, "expected format version 1, got version=2"),
    "no-recipient": (WrongKeyError, "it is sealed to"),
    "decryption-failed": (WrongKeyError, "decryption failed"),
    "not-signed": (SidecarFormatError, "no signed lock"),
    "bad-claims": (SidecarFormatError, "its signed claims are not of this format"),
    "other-issuer": (UntrustedSidecarError, "expected issuer"),
    "bad-signature": (UntrustedSidecarError, "does not hold"),
    "header-differs": (UntrustedSidecarError, "its header names model"),
    "audience": (UntrustedSidecarError, "audience|application"),
    "not-yet-valid": (ExpiredError, "it is valid from"),
    "expired": (ExpiredError, "it expired"),
    "wrong-model": (WrongModelError, "belongs to model"),
}


def read_vector(path):
    header, _, body = path.read_bytes().partition(b"\n\n")
    lines = (line.split(": ", 1) for line in header.decode().split("\n"))
    return dict(lines), body


def open_vector(fields, body):
    if "passphrase" in fields:
        identity = Passphrase(fields["passphrase"])
    else:
        identity = load_identity(fields["identity"].encode())
    now = datetime.datetime.fromisoformat(fields["now"].replace("Z", "+00:00"))
    return open_sidecar(
        body,
        identity=identity,
        issuer=load_issuer_key(fields["issuer"].encode()),
        audience=fields.get("audience"),
        model=ModelBinding(fields["model-id"], int(fields["model-size"])),
        now=now,
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda p: p.stem)
def test_vector(path):
    fields, body = read_vector(path)
    if fields["expect"] == "success":
        opened = open_vector(fields, body)
        digest = hashlib.sha256(opened.payload).hexdigest()
        assert digest == fields["payload-sha256"]
        return
    error, text = FAILURES[fields["expect"]]
    with pytest.raises(error, match=text):
        open_vector(fields, body)


def test_every_outcome_has_a_vector():
    seen = {read_vector(path)[0]["expect"] for path in FOLDER.glob("*.txt")}
    assert seen == {"success", *FAILURES}


def test_the_example_of_the_format_is_a_vector():
    page = Path(sidecar.__file__).with_name("FORMAT.md").read_bytes()
    _, body = read_vector(FOLDER / "p256.txt")
    assert b"```json\n" + body + b"\n```" in page
