"""The outer form of a sidecar: JSON members and limits. Knows no cryptography.

The format is FORMAT.md. A file is accepted in one spelling only: exact members,
canonical base64url, bounded sizes, so that no change of a byte goes unnoticed.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from edgepro_tf.errors import SidecarError, SidecarFormatError
from edgepro_tf.files import PathOrBytes, check_path, name_of, read_bytes, size_of
from edgepro_tf.sidecar.binding import ModelBinding
from edgepro_tf.sidecar.encoding import (
    decode_base64url,
    decode_json_object,
    encode_json,
)

VERSION = 1
TYPE = "edgepro"
ENC = "A256GCM"
MAX_SIDECAR_BYTES = 64 << 20
MAX_RECIPIENTS = 1024
MAX_PASSPHRASES = 4
MIN_ITERATIONS, MAX_ITERATIONS = 1_000, 1_000_000
MAX_ZIPPED_BYTES = 64 << 10  # Nimbus refuses compressed text over 100,000 letters.
MAX_UNZIPPED_BYTES = 1 << 20

_MEMBERS = {"protected", "recipients", "iv", "ciphertext", "tag"}
_HEADER_PARAMETERS = {
    "ECDH-ES+A256KW": {"alg", "kid", "epk"},
    "RSA-OAEP-256": {"alg", "kid"},
    "A256KW": {"alg", "kid"},
    "PBES2-HS512+A256KW": {"alg", "p2c", "p2s"},
}
_TRANSFER = "Transfer it again, or restore it from where it was sealed."


@dataclasses.dataclass(frozen=True)
class RecipientEntry:
    """One recipient's copy of the content key, wrapped.

    Args:
        alg: key management algorithm.
        key_id: thumbprint of the recipient's key; None for a passphrase.
        header, encrypted_key: as they stand in the file.
    """

    alg: str
    key_id: str | None
    header: dict[str, Any] = dataclasses.field(repr=False)
    encrypted_key: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Envelope:
    """A parsed sidecar; nothing in it is authenticated before it is opened."""

    protected: str
    iv: str
    ciphertext: str
    tag: str
    recipients: tuple[RecipientEntry, ...]
    model: ModelBinding
    zipped: bool

    def members(self, recipients: tuple[RecipientEntry, ...]) -> dict[str, Any]:
        """Return the JSON members, with these recipients."""
        return {
            "protected": self.protected,
            "recipients": [
                {"header": entry.header, "encrypted_key": entry.encrypted_key}
                for entry in recipients
            ],
            "iv": self.iv,
            "ciphertext": self.ciphertext,
            "tag": self.tag,
        }


def protected_header(model: ModelBinding, *, zipped: bool) -> str:
    """Return the JSON of the protected header."""
    header: dict[str, Any] = {"typ": TYPE, "cty": "JWT", "enc": ENC}
    if zipped:
        header["zip"] = "DEF"
    header["edgepro"] = {
        "version": VERSION,
        "model": model.id,
        "size": model.size_bytes,
    }
    return encode_json(header)


def write_envelope(members: dict[str, Any]) -> bytes:
    """Return the file of a JWE's members, in the one order we write."""
    entries = [
        {"header": entry["header"], "encrypted_key": entry["encrypted_key"]}
        for entry in members["recipients"]
    ]
    order = ("protected", "recipients", "iv", "ciphertext", "tag")
    ordered = {name: members[name] for name in order} | {"recipients": entries}
    return encode_json(ordered).encode("ascii")


def describe(verb: str, sidecar: PathOrBytes) -> str:
    """Return how a sentence about this sidecar begins."""
    name = name_of(sidecar)
    return f"cannot {verb} sidecar {name}" if name else f"cannot {verb} sidecar"


def read_sidecar(sidecar: PathOrBytes, task: str) -> bytes:
    """Return a sidecar's bytes.

    Raises:
        SidecarError: the file cannot be read.
        SidecarFormatError: it is too large to be one.
    """
    data = b""
    try:
        size_bytes = size_of(sidecar)
        if size_bytes <= MAX_SIDECAR_BYTES:
            data = read_bytes(sidecar, limit_bytes=MAX_SIDECAR_BYTES)
    except OSError as error:
        reason = error.strerror or "the system refused"
        raise SidecarError(f"{task}: {reason}.", check_path(sidecar)) from error
    if size_bytes > MAX_SIDECAR_BYTES or len(data) > MAX_SIDECAR_BYTES:
        got = f"{size_bytes:,}" if size_bytes else "more"
        raise SidecarFormatError(
            f"{task}: expected at most {MAX_SIDECAR_BYTES:,} bytes, got {got}.",
            "Name the sidecar, not the model.",
        )
    return data


def parse_envelope(data: bytes, task: str) -> Envelope:
    """Read the outer form.

    Args:
        data: the file.
        task: how an error's sentence begins, as ``describe`` returns it.

    Raises:
        SidecarFormatError: it is none, is damaged or cut short, or of a newer format.
    """
    members = _parse_json(data, task)
    header = _parse_protected(members, task)
    try:
        if set(members) != _MEMBERS:
            raise ValueError("members")
        ciphertext = decode_base64url(members["ciphertext"])
        sizes = (
            len(decode_base64url(members["iv"])),
            len(decode_base64url(members["tag"])),
        )
        if sizes != (12, 16) or not ciphertext:
            raise ValueError("sizes")
        model, zipped = _check_header(header)
        if zipped and len(ciphertext) > MAX_ZIPPED_BYTES:
            raise ValueError("compressed content too large")
        recipients = _parse_recipients(members["recipients"])
    except (ValueError, KeyError, TypeError) as error:
        raise SidecarFormatError(
            f"{task}: it is damaged, or was not written by EdgePro.", _TRANSFER
        ) from error
    return Envelope(
        members["protected"],
        members["iv"],
        members["ciphertext"],
        members["tag"],
        recipients,
        model,
        zipped,
    )


def _parse_json(data: bytes, task: str) -> dict[str, Any]:
    if not data:
        raise SidecarFormatError(f"{task}: the file is empty.", _TRANSFER)
    if not data.lstrip(b" \t\r\n").startswith(b"{"):
        is_model = data[4:8] == b"TFL3"
        got = "a TFLite model" if is_model else "another beginning"
        raise _not_a_sidecar(task, f"expected JSON, got {got}")
    try:
        text = data.decode("ascii")
        return decode_json_object(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            raise SidecarFormatError(
                f"{task}: the file ends at byte {len(data):,}, in the midst of its "
                "JSON.",
                "Likely a partial copy; transfer it again.",
            ) from None
        problem = f"{task}: it is damaged at byte {error.pos:,}."
    except UnicodeDecodeError as error:
        problem = f"{task}: it is damaged at byte {error.start:,}."
    except ValueError as error:
        problem = f"{task}: it is damaged: {error}."
    raise SidecarFormatError(problem, _TRANSFER)


def _parse_protected(members: dict[str, Any], task: str) -> dict[str, Any]:
    """Return the protected header; the version is judged before all else."""
    if not isinstance(members.get("protected"), str):
        raise _not_a_sidecar(task, "expected a JWE, got other JSON")
    try:
        header = decode_json_object(decode_base64url(members["protected"]).decode())
    except ValueError as error:
        raise SidecarFormatError(
            f"{task}: its protected header is damaged.", _TRANSFER
        ) from error
    ours = header.get("edgepro")
    if not isinstance(ours, dict):
        raise _not_a_sidecar(task, "expected EdgePro's header, got a foreign JWE")
    version = ours.get("version")
    if type(version) is int and version > VERSION:
        raise SidecarFormatError(
            f"{task}: expected format version {VERSION}, got version={version}.",
            "Update EdgePro, or seal it again with this version.",
        )
    return header


def _check_header(header: dict[str, Any]) -> tuple[ModelBinding, bool]:
    ours = header["edgepro"]
    zipped = "zip" in header
    if type(ours["version"]) is not int or ours["version"] != VERSION:
        raise ValueError("version")
    model = ModelBinding(ours["model"], ours["size"])  # SidecarError is a ValueError.
    if header != json.loads(protected_header(model, zipped=zipped)):
        raise ValueError("header parameters")
    return model, zipped


def _parse_recipients(entries: Any) -> tuple[RecipientEntry, ...]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_RECIPIENTS:
        raise ValueError("recipients")
    recipients = tuple(_parse_recipient(entry) for entry in entries)
    if sum(entry.key_id is None for entry in recipients) > MAX_PASSPHRASES:
        raise ValueError("passphrases")
    key_ids = [entry.key_id for entry in recipients if entry.key_id]
    if len(set(key_ids)) != len(key_ids):
        raise ValueError("one recipient twice")
    return recipients


def _parse_recipient(entry: dict[str, Any]) -> RecipientEntry:
    if set(entry) != {"header", "encrypted_key"}:
        raise ValueError("recipient members")
    header, encrypted_key = entry["header"], entry["encrypted_key"]
    alg = header["alg"]
    if set(header) != _HEADER_PARAMETERS[alg]:
        raise ValueError("recipient header parameters")
    wrapped_bytes = len(decode_base64url(encrypted_key))
    if alg == "RSA-OAEP-256":
        expected = 256 <= wrapped_bytes <= 1024
    else:
        expected = wrapped_bytes == 40
    if not expected:
        raise ValueError("wrapped key size")
    if "epk" in header:
        _check_ephemeral_key(header["epk"])
    if "p2c" in header:
        if type(header["p2c"]) is not int or not (
            MIN_ITERATIONS <= header["p2c"] <= MAX_ITERATIONS
        ):
            raise ValueError("iterations")
        if not 8 <= len(decode_base64url(header["p2s"])) <= 64:
            raise ValueError("salt")
        return RecipientEntry(alg, None, header, encrypted_key)
    if len(decode_base64url(header["kid"])) != 32:
        raise ValueError("key id")
    return RecipientEntry(alg, header["kid"], header, encrypted_key)


def _check_ephemeral_key(key: dict[str, Any]) -> None:
    if set(key) != {"kty", "crv", "x", "y"} or (key["kty"], key["crv"]) != (
        "EC",
        "P-256",
    ):
        raise ValueError("ephemeral key")
    if {len(decode_base64url(key[name])) for name in ("x", "y")} != {32}:
        raise ValueError("ephemeral key size")


def _not_a_sidecar(task: str, rule: str) -> SidecarFormatError:
    return SidecarFormatError(
        f"{task}: it is no sidecar: {rule}.", "Name the .edgepro file of the pair."
    )
