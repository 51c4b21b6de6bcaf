"""Key files: JWK (RFC 7517) and PEM (PKCS #8, SubjectPublicKeyInfo).

No message quotes anything of a file, since any part may be the secret one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import warnings
from pathlib import Path
from typing import Any, Literal, TypeVar

from edgepro_tf.errors import KeyFileError, without_locals
from edgepro_tf.files import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    PathOrBytes,
    check_path,
    name_of,
    read_bytes,
    write_file,
)
from edgepro_tf.sidecar import jose
from edgepro_tf.sidecar.encoding import decode_base64url, decode_secret_object
from edgepro_tf.sidecar.keys import (
    Identity,
    Issuer,
    IssuerKey,
    Recipient,
    encode_passphrase,
)

Key = Identity | Recipient | Issuer | IssuerKey
KeyFormat = Literal["jwk", "pem"]
_K = TypeVar("_K", Identity, Recipient, Issuer, IssuerKey)

MAX_KEY_FILE_BYTES = 64 << 10
_PEM_LABEL = re.compile(rb"-----BEGIN ([A-Z ]+)-----")
_PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi"}
_PUBLIC_MEMBERS = {"kty", "crv", "x", "y", "n", "e", "k"}


def load_identity(source: PathOrBytes, *, passphrase: str | None = None) -> Identity:
    """Load the private key that opens sidecars.

    Args:
        source: a JWK or PEM file, or its bytes.
        passphrase: of an encrypted PEM file.

    Raises:
        KeyFileError: it cannot be read, or is no such key.
    """
    return _load(source, Identity, passphrase)


def load_recipient(source: PathOrBytes) -> Recipient:
    """Load the public key that sidecars are sealed to (or a shared A256KW key).

    Raises:
        KeyFileError: it cannot be read, or is no such key.
    """
    return _load(source, Recipient, None)


def load_issuer(source: PathOrBytes, *, passphrase: str | None = None) -> Issuer:
    """Load the private key that signs sidecars.

    Raises:
        KeyFileError: it cannot be read, or is no such key.
    """
    return _load(source, Issuer, passphrase)


def load_issuer_key(source: PathOrBytes) -> IssuerKey:
    """Load the public key that verifies an issuer's signature.

    Raises:
        KeyFileError: it cannot be read, or is no such key.
    """
    return _load(source, IssuerKey, None)


def export_key(
    key: Key, *, key_format: KeyFormat = "jwk", passphrase: str | None = None
) -> bytes:
    """Return a key as the bytes of a key file.

    Args:
        key: for an identity or an issuer, and for any key of kind A256KW, the result
            is secret.
        key_format: "jwk", or "pem".
        passphrase: encrypts a private key; PEM only, not empty.

    Raises:
        KeyFileError: the format cannot hold this key, or not under a passphrase.
    """
    if key_format not in ("jwk", "pem"):
        raise _no_export(key, f"expected format 'jwk' or 'pem', got {key_format!r}")
    if key_format == "pem":
        if key.kind == "A256KW":
            raise _no_export(key, "expected an asymmetric key in PEM, got A256KW")
        if passphrase is not None and not key.is_private:
            raise _no_export(key, "expected no passphrase with a public key, got one")
        if passphrase == "":
            raise _no_export(key, "expected a passphrase, got an empty one")
        secret = encode_passphrase(passphrase) if passphrase else None
        return jose.export_pem(key._jwk, private=key.is_private, passphrase=secret)
    if passphrase is not None:
        raise _no_export(key, "expected no passphrase with JWK, got one")
    members = jose.export_jwk(key._jwk, private=key.is_private)
    members = {name: value for name, value in members.items() if _is_number(name)}
    members |= {"kid": key.key_id, "use": key.use, "alg": key.alg}
    return json.dumps(members, indent=1).encode() + b"\n"


def write_key(
    key: Key,
    path: str | os.PathLike[str],
    *,
    passphrase: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a key file: PEM if the name ends in ``.pem``, else JWK.

    A file with a secret is readable by its owner alone (mode 0600).

    Raises:
        KeyFileError: the format cannot hold this key.
        OutputExistsError: the file exists.
    """
    is_pem = Path(path).suffix.lower() == ".pem"
    data = export_key(key, key_format="pem" if is_pem else "jwk", passphrase=passphrase)
    mode = PRIVATE_MODE if key.has_secret else PUBLIC_MODE
    return write_file(path, data, overwrite=overwrite, mode=mode)


@without_locals()
def _load(source: PathOrBytes, role: type[_K], passphrase: str | None) -> _K:
    name = name_of(source)
    task = f"cannot load {role.noun}{f' {name}' if name else ''}"
    data = _read(source, task)
    if data.lstrip().startswith(b"{"):
        jwk = _parse_jwk(data, role, task)
    elif label := _PEM_LABEL.search(data):
        jwk = _parse_pem(data, label[1].decode(), passphrase, task)
    else:
        raise KeyFileError(f"{task}: expected a JWK or PEM file, got another.")
    try:
        _check_halves(jwk, role)
        key = role(jwk)
    except ValueError as error:  # Its text names kinds and sizes only.
        raise KeyFileError(f"{task}: {error}.") from None
    if key.has_secret:
        _warn_if_shared(source, role.noun)
    return key


def _read(source: PathOrBytes, task: str) -> bytes:
    try:
        data = read_bytes(source, limit_bytes=MAX_KEY_FILE_BYTES)
    except OSError as error:
        reason = error.strerror or "the system refused"
        raise KeyFileError(f"{task}: {reason}.", check_path(source)) from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(f"{task}: expected a key file, got a far larger one.")
    return data


def _parse_jwk(data: bytes, role: type[Key], task: str) -> Any:
    try:
        members = decode_secret_object(data, "utf-8")
        numbers = {name: value for name, value in members.items() if _is_number(name)}
        for name in numbers.keys() - {"kty", "crv"}:
            decode_base64url(numbers[name])
        use = members.get("use", role.use)
        jwk = jose.import_jwk(numbers)
    except (ValueError, jose.JoseError):
        raise KeyFileError(
            f"{task}: it is damaged, or no JWK of a kind used here.",
            "Restore it from a backup, or make a new key.",
        ) from None
    if use != role.use:
        expected, got = (
            ("encrypt", "sign") if role.use == "enc" else ("sign", "encrypt")
        )
        raise KeyFileError(
            f"{task}: expected a key made to {expected}, got one made to {got}.",
            "Issuers sign, identities and recipients encrypt; each has its own key.",
        )
    return jwk


def _parse_pem(data: bytes, label: str, passphrase: str | None, task: str) -> Any:
    if label not in ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY"):
        raise KeyFileError(
            f"{task}: expected PEM of a PKCS #8 or SubjectPublicKeyInfo key, got "
            f"{label}.",
            "Convert it with 'openssl pkey'.",
        )
    encrypted = label.startswith("ENCRYPTED")
    if encrypted and not passphrase:
        raise KeyFileError(f"{task}: it is encrypted.", "Give its passphrase.")
    secret = encode_passphrase(passphrase) if encrypted and passphrase else None
    try:
        return jose.import_pem(data, secret)
    except jose.JoseError:
        reason = "it is damaged, or no key of a kind used here"
        if encrypted:
            reason = "the passphrase is wrong, or it is damaged"
        raise KeyFileError(f"{task}: {reason}.") from None


def _check_halves(jwk: Any, role: type[Key]) -> None:
    if jwk.is_symmetric:
        return  # Serves as identity and as recipient; its kind is judged next.
    if role.is_private and not jwk.has_private:
        raise ValueError("expected a private key, got its public half alone")
    if not role.is_private and jwk.has_private:
        raise ValueError(
            "expected a public key, got a private one, which stays with its owner"
        )


def _warn_if_shared(source: PathOrBytes, noun: str) -> None:
    if os.name != "posix" or isinstance(source, bytes | bytearray | memoryview):
        return
    mode = os.stat(source).st_mode & 0o777
    if mode & 0o077:
        warnings.warn(
            f"{noun} {name_of(source)} is secret but open to other users of this "
            f"machine (mode {mode:04o}). Run: chmod 600 {shlex.quote(str(source))}",
            stacklevel=5,  # of who called load_...()
        )


def _is_number(name: str) -> bool:
    return name in _PUBLIC_MEMBERS or name in _PRIVATE_MEMBERS


def _no_export(key: Key, rule: str) -> KeyFileError:
    return KeyFileError(f"cannot write {key.noun} {key.short_id}: {rule}.")
