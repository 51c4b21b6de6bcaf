"""The one door to jwcrypto: keys, signatures, encryption.

Nothing here judges a file: callers hand over parsed, bounded values (envelope.py,
keyfiles.py) and turn a ``JoseError`` into a sentence.

Sources: RFC 7515 (JWS), 7516 (JWE), 7517 (JWK), 7518 (JWA), 8037 (EdDSA).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import zlib
from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from jwcrypto.common import JWException
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from edgepro_tf.sidecar.encoding import decode_base64url, encode_base64url

ENC = "A256GCM"
ECDH, RSA, AES, PASSPHRASE = (
    "ECDH-ES+A256KW",
    "RSA-OAEP-256",
    "A256KW",
    "PBES2-HS512+A256KW",
)
PASSPHRASE_ITERATIONS = 210_000  # OWASP's figure (2023) for PBKDF2-HMAC-SHA512.
_KEY_BYTES = 32
_SALT_BYTES = 16
_SIGNATURE_BYTES = 64  # Of ES256 and of Ed25519.
_GENERATE: dict[str, dict[str, Any]] = {
    "P-256": {"kty": "EC", "crv": "P-256"},
    "RSA-3072": {"kty": "RSA", "size": 3072},
    "A256KW": {"kty": "oct", "size": 256},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}


class JoseError(Exception):
    """A key, signature or ciphertext is not acceptable; carries no detail."""


@dataclasses.dataclass(frozen=True, eq=False)
class WrapFor:
    """Whom a content key is wrapped for: a key and its id, or a passphrase."""

    alg: str
    key_id: str | None = None
    key: Any = dataclasses.field(default=None, repr=False)
    passphrase: bytes = dataclasses.field(default=b"", repr=False)


@dataclasses.dataclass(frozen=True, eq=False)
class OpenedContent:
    """Decrypted content and the means to wrap its key for others."""

    plaintext: bytes = dataclasses.field(repr=False)
    token: Any = dataclasses.field(repr=False)

    def wrap_for(self, recipients: Sequence[WrapFor]) -> list[dict[str, Any]]:
        """Return the recipients' JSON entries; the ciphertext stays as it is.

        Raises:
            JoseError: a key cannot encrypt.
        """
        return _wrap_all(self.token, recipients)


def generate_key(kind: str) -> Any:
    return JWK.generate(**_GENERATE[kind])


def import_jwk(members: dict[str, Any]) -> Any:
    """Make a key of JWK members; its numbers are checked for consistency."""
    try:
        key = JWK(**members)
        if key["kty"] in ("EC", "OKP", "RSA"):
            data = key.export_to_pem(private_key=key.has_private, password=None)
            # Of Ed25519 the private half alone is written: compare what it makes.
            if JWK.from_pem(data).thumbprint() != key.thumbprint():
                raise ValueError
        return key
    # OpenSSL does not write a private number beyond its curve's order.
    except (JWException, ValueError, TypeError, KeyError, InternalError):
        raise JoseError from None


def import_pem(data: bytes, passphrase: bytes | None) -> Any:
    try:
        return JWK.from_pem(data, password=passphrase)
    except (JWException, ValueError, TypeError, UnsupportedAlgorithm):
        raise JoseError from None


def export_jwk(key: Any, *, private: bool) -> dict[str, Any]:
    members = key.export(private_key=private or key.is_symmetric, as_dict=True)
    return {name: members[name] for name in sorted(members) if name != "kid"}


def export_pem(key: Any, *, private: bool, passphrase: bytes | None) -> bytes:
    return bytes(key.export_to_pem(private_key=private, password=passphrase))


def sign(content: bytes, *, key: Any, alg: str, header: str) -> str:
    """Return a compact JWS."""
    token = JWS(content)
    token.add_signature(key, alg=alg, protected=header)
    return str(token.serialize(compact=True))


def verify(compact: str, *, key: Any, alg: str) -> bytes:
    """Return the content of a compact JWS whose signature holds."""
    token = JWS()
    token.allowed_algs = [alg]
    try:
        # jwcrypto halves a signature of any length, and takes zeros before each half.
        signature = decode_base64url(compact.rpartition(".")[2])
        if len(signature) != _SIGNATURE_BYTES:
            raise ValueError
        token.deserialize(compact)
        token.verify(key, alg=alg)
        return bytes(token.payload)
    except (JWException, ValueError, TypeError, KeyError):
        raise JoseError from None


def encrypt(
    plaintext: bytes, *, header: str, recipients: Sequence[WrapFor]
) -> dict[str, Any]:
    """Return a JWE in the general JSON serialisation.

    A fresh content key is fixed first, as for direct encryption, so that every
    recipient is wrapped alike; the direct entry is then left out.

    Raises:
        JoseError: a recipient's key cannot encrypt.
    """
    token = JWE(plaintext, header, algs=[*_algs(recipients), "dir"], flattened=False)
    token.add_recipient(JWK.generate(kty="oct", size=256), {"alg": "dir"})
    members: dict[str, Any] = json.loads(token.serialize())
    members["recipients"] = _wrap_all(token, recipients)
    return members


def decrypt(
    members: dict[str, Any], *, with_key: WrapFor, max_bytes: int
) -> OpenedContent:
    """Open a JWE of one recipient entry."""
    entry = members["recipients"][0]
    alg, key = with_key.alg, with_key.key
    try:
        if alg == PASSPHRASE:
            # jwcrypto stops at 16,384 iterations: the content key is unwrapped here.
            key = _content_key(entry, with_key.passphrase)
            alg, entry = "dir", {"header": {"alg": "dir"}}
        elif alg == ECDH:
            import_jwk(entry["header"]["epk"])  # Else x and y beyond the field pass.
        token = JWE(algs=[alg, ENC])
        token.deserialize(json.dumps({**members, "recipients": [entry]}))
        token.decrypt(key, max_plaintext=max_bytes)
        _check_end(members, token, max_bytes)
        return OpenedContent(bytes(token.plaintext), token)
    except (JWException, ValueError, TypeError, KeyError):
        raise JoseError from None


def _check_end(members: dict[str, Any], token: Any, max_bytes: int) -> None:
    """Refuse bytes after the compressed content, which jwcrypto passes over."""
    if "zip" not in json.loads(decode_base64url(members["protected"])):
        return
    sealed = decode_base64url(members["ciphertext"]) + decode_base64url(members["tag"])
    aad = members["protected"].encode("ascii")
    data = AESGCM(token.cek).decrypt(decode_base64url(members["iv"]), sealed, aad)
    unpacker = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    unpacker.decompress(data, max_bytes)
    if unpacker.unused_data:
        raise ValueError


def _algs(recipients: Sequence[WrapFor]) -> list[str]:
    return [ENC, *(recipient.alg for recipient in recipients)]


def _wrap_all(token: Any, recipients: Sequence[WrapFor]) -> list[dict[str, Any]]:
    token.allowed_algs = _algs(recipients)
    entries = []
    for recipient in recipients:
        if recipient.alg == PASSPHRASE:
            entries.append(_wrap_passphrase(token.cek, recipient.passphrase))
            continue
        header = {"alg": recipient.alg, "kid": recipient.key_id}
        try:
            token.add_recipient(recipient.key, header)
        except (JWException, ValueError, TypeError):  # An RSA modulus that is even.
            raise JoseError from None
        entries.append(json.loads(token.serialize())["recipients"][-1])
    return entries


def _wrap_passphrase(content_key: bytes, passphrase: bytes) -> dict[str, Any]:
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _passphrase_key(passphrase, salt, PASSPHRASE_ITERATIONS)
    header = {
        "alg": PASSPHRASE,
        "p2c": PASSPHRASE_ITERATIONS,
        "p2s": encode_base64url(salt),
    }
    wrapped = aes_key_wrap(key, content_key)
    return {"header": header, "encrypted_key": encode_base64url(wrapped)}


def _content_key(entry: dict[str, Any], passphrase: bytes) -> Any:
    header = entry["header"]
    salt = decode_base64url(header["p2s"])
    key = _passphrase_key(passphrase, salt, header["p2c"])
    wrapped = decode_base64url(entry["encrypted_key"])
    try:
        content_key = aes_key_unwrap(key, wrapped)
    except Exception as error:  # InvalidUnwrap derives from Exception alone.
        raise ValueError from error
    return JWK(kty="oct", k=encode_base64url(content_key))


def _passphrase_key(passphrase: bytes, salt: bytes, iterations: int) -> bytes:
    """Derive the wrapping key. Source: RFC 7518, section 4.8."""
    salt = PASSPHRASE.encode() + b"\0" + salt
    return hashlib.pbkdf2_hmac("sha512", passphrase, salt, iterations, _KEY_BYTES)
