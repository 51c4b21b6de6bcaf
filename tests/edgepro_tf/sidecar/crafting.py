"""Sidecars as an attacker would make them: who knows the form and public keys."""

from __future__ import annotations

import json
import zlib
from typing import Any

from edgepro_tf.sidecar import Identity, Issuer, ModelBinding, envelope, jose
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
