"""Sidecars as an attacker would make them: who knows the form and public keys."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from edgepro_tf.sidecar import (
    Identity,
    Issuer,
    ModelBinding,
    envelope,
    export_key,
    jose,
)
from edgepro_tf.sidecar.encoding import (
    decode_base64url,
    encode_base64url,
    encode_json,
)
from edgepro_tf.sidecar.unsealing import unseal
from tests.edgepro_tf.sidecar.material import MODEL, identity, issuer


def content_of(sidecar: bytes, opener: Identity | None = None) -> bytes:
    """The signed content, as a recipient can take it out."""
    parsed = envelope.parse_envelope(sidecar, "cannot open sidecar")
    return unseal(parsed, opener or identity(), "cannot open sidecar").plaintext


def claims_of(sidecar: bytes, opener: Identity | None = None) -> dict[str, Any]:
    body = content_of(sidecar, opener).decode().split(".")[1]
    claims: dict[str, Any] = json.loads(decode_base64url(body))
    return claims


def header_for(model: bytes = MODEL) -> dict[str, Any]:
    text = envelope.protected_header(ModelBinding.of(model), zipped=True)
    header: dict[str, Any] = json.loads(text)
    return header


def reseal(
    content: bytes,
    header: dict[str, Any] | None = None,
    opener: Identity | None = None,
    **changes: Any,
) -> bytes:
    """Encrypt any content, which takes the recipient's public key alone."""
    members = jose.encrypt(
        content,
        header=encode_json((header or header_for()) | changes),
        recipients=[(opener or identity()).recipient._wrap_for()],
    )
    return envelope.write_envelope(members)


def forge(
    sidecar: bytes,
    header: dict[str, Any],
    signature: bytes = b"\0" * 64,
    opener: Identity | None = None,
) -> bytes:
    """Put another header and signature on the signed content."""
    first, body, _ = content_of(sidecar, opener).decode().split(".")
    changed = json.loads(decode_base64url(first)) | header
    first = encode_base64url(encode_json(changed).encode())
    return f"{first}.{body}.{encode_base64url(signature)}".encode()


def sign_and_seal(
    claims: dict[str, Any] | bytes,
    signer: Issuer | None = None,
    opener: Identity | None = None,
    key_id: str | None = None,
    type_: str = "edgepro+jwt",
) -> bytes:
    """Sign any claims, as an issuer with other software might."""
    signer = signer or issuer()
    header = {"typ": type_, "alg": signer.alg, "kid": key_id or signer.key_id}
    data = claims if isinstance(claims, bytes) else encode_json(claims).encode()
    token = jose.sign(data, key=signer._jwk, alg=signer.alg, header=encode_json(header))
    return reseal(token.encode(), opener=opener)


def raw_deflate(data: bytes) -> str:
    packer = zlib.compressobj(9, wbits=-15)
    return encode_base64url(packer.compress(data) + packer.flush())


def lengthen_signature(sidecar: bytes) -> bytes:
    """Zeros before each half of ES256's, behind Ed25519's: the numbers stay."""
    head, _, text = content_of(sidecar).decode().rpartition(".")
    signature = decode_base64url(text)
    if '"EdDSA"' in decode_base64url(head.split(".")[0]).decode():
        signature += b"\0"
    else:
        signature = b"\0" + signature[:32] + b"\0" + signature[32:]
    return reseal(f"{head}.{encode_base64url(signature)}".encode())


def seal_followed(content: bytes) -> bytes:
    """Compress and encrypt, with bytes behind the end of the compressed data."""
    return _seal_by_hand(decode_base64url(raw_deflate(content)) + b"more")


def move_beyond_field(content: bytes) -> bytes:
    """Agree with the point of x = 5, and write x + p in its place."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x = 5
    y = pow(x**3 - 3 * x + b, (prime + 1) // 4, prime)
    return _seal_by_hand(decode_base64url(raw_deflate(content)), (x, y), x + prime)


def _seal_by_hand(
    data: bytes, point: tuple[int, int] | None = None, written_x: int = 0
) -> bytes:
    """Encrypt compressed bytes to identity(), whose agreement with a point is known.

    Source: RFC 7518, section 4.6.
    """
    number = json.loads(export_key(identity()))["d"]
    curve = ec.SECP256R1()
    private = ec.derive_private_key(
        int.from_bytes(decode_base64url(number), "big"), curve
    )
    if point is None:
        numbers = ec.generate_private_key(curve).public_key().public_numbers()
        point, written_x = (numbers.x, numbers.y), numbers.x
    public = ec.EllipticCurvePublicNumbers(*point, curve).public_key()
    lengths = [len(jose.ECDH), 0, 0, 256]
    parts = [length.to_bytes(4, "big") for length in lengths]
    info = parts[0] + jose.ECDH.encode() + b"".join(parts[1:])
    secret = private.exchange(ec.ECDH(), public)
    wrapping = hashlib.sha256((1).to_bytes(4, "big") + secret + info).digest()
    key, nonce = os.urandom(32), os.urandom(12)
    protected = encode_base64url(encode_json(header_for()).encode())
    sealed = AESGCM(key).encrypt(nonce, data, protected.encode())
    epk = {
        "kty": "EC",
        "crv": "P-256",
        "x": encode_base64url(written_x.to_bytes(32, "big")),
        "y": encode_base64url(point[1].to_bytes(32, "big")),
    }
    header = {"alg": jose.ECDH, "kid": identity().key_id, "epk": epk}
    wrapped = encode_base64url(aes_key_wrap(wrapping, key))
    return envelope.write_envelope(
        {
            "protected": protected,
            "recipients": [{"header": header, "encrypted_key": wrapped}],
            "iv": encode_base64url(nonce),
            "ciphertext": encode_base64url(sealed[:-16]),
            "tag": encode_base64url(sealed[-16:]),
        }
    )
