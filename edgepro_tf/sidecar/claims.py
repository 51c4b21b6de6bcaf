"""What an issuer signs: the lock, its model, for whom, and from when till when."""

from __future__ import annotations

import dataclasses
import datetime
import zlib
from typing import Any

from edgepro_tf.sidecar.binding import ModelBinding
from edgepro_tf.sidecar.encoding import (
    decode_base64url,
    decode_secret_object,
    encode_base64url,
    encode_json,
)

TYPE = "edgepro+jwt"
MAX_PAYLOAD_BYTES = 24 << 20
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
_MAX_SECONDS = 253_402_300_799  # The end of the year 9999.


@dataclasses.dataclass(frozen=True, eq=False)
class Claims:
    """The claims of a sidecar (RFC 7519, section 4.1, and three of our own).

    Times are seconds since 1970-01-01T00:00:00Z.
    """

    payload: bytes = dataclasses.field(repr=False)
    model: ModelBinding
    issued_at: int
    sidecar_id: str
    issuer_name: str | None = None
    audience: str | None = None
    not_before: int | None = None
    expires: int | None = None

    def to_json(self) -> bytes:
        """Write the claims; what is not set is left out."""
        members: dict[str, Any] = {
            "iss": self.issuer_name,
            "aud": self.audience,
            "nbf": self.not_before,
            "exp": self.expires,
            "iat": self.issued_at,
            "jti": self.sidecar_id,
            "model": self.model.id,
            "size": self.model.size_bytes,
            "lock": encode_base64url(_deflate(self.payload)),
        }
        return encode_json(
            {name: value for name, value in members.items() if value is not None}
        ).encode("ascii")


def parse_claims(data: bytes) -> Claims:
    """Read claims; members of other names are ignored.

    Raises:
        ValueError: a claim is missing or not of its type.
    """
    members = decode_secret_object(data)
    return Claims(
        payload=_inflate(decode_base64url(members.get("lock"))),
        model=ModelBinding(members.get("model", ""), members.get("size", 0)),
        issued_at=_seconds(members.get("iat")),
        sidecar_id=_text(members.get("jti")),
        issuer_name=_text(members["iss"]) if "iss" in members else None,
        audience=_text(members["aud"]) if "aud" in members else None,
        not_before=_seconds(members["nbf"]) if "nbf" in members else None,
        expires=_seconds(members["exp"]) if "exp" in members else None,
    )


def to_seconds(moment: datetime.datetime) -> int:
    """Return a NumericDate, rounded down.

    Raises:
        ValueError: it is no moment (a date alone), has no time zone, or lies before
            1970.
    """
    if not isinstance(moment, datetime.datetime):
        got = type(moment).__name__
        raise ValueError(f"expected a datetime with a time zone, got a {got}")
    if moment.tzinfo is None:
        raise ValueError("expected a moment with a time zone, got one without")
    # timestamp() rounds the last moments of 9999 up, into the next year.
    return _seconds((moment - _EPOCH) // datetime.timedelta(seconds=1))


def to_datetime(seconds: int) -> datetime.datetime:
    """Return the UTC moment of a NumericDate."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _deflate(payload: bytes) -> bytes:
    """Compress (raw RFC 1951) before base64url, which only then costs a third."""
    packer = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS, memLevel=9)
    return packer.compress(payload) + packer.flush()


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        payload = unpacker.decompress(data, MAX_PAYLOAD_BYTES)
    except zlib.error:
        raise ValueError("expected raw deflate data") from None
    if not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
        raise ValueError("expected one deflate stream of at most 24 MiB")
    return payload


def _seconds(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_SECONDS:
        raise ValueError("expected a moment from 1970 to 9999, got another value")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value
