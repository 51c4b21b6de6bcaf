"""Seal a lock into a sidecar."""

from __future__ import annotations

import datetime
import secrets
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from edgepro_tf.errors import PayloadError, SidecarError
from edgepro_tf.payload import unpack_lock
from edgepro_tf.sidecar import claims as claims_module
from edgepro_tf.sidecar import jose
from edgepro_tf.sidecar.binding import ModelBinding
from edgepro_tf.sidecar.claims import MAX_PAYLOAD_BYTES, Claims, to_seconds
from edgepro_tf.sidecar.encoding import encode_base64url, encode_json
from edgepro_tf.sidecar.envelope import (
    MAX_PASSPHRASES,
    MAX_RECIPIENTS,
    MAX_SIDECAR_BYTES,
    MAX_UNZIPPED_BYTES,
    MAX_ZIPPED_BYTES,
    protected_header,
    write_envelope,
)
from edgepro_tf.sidecar.keys import Issuer, Passphrase, Recipient

SealTo = Recipient | Passphrase

_TASK = "cannot seal sidecar"
_ID_BYTES = 16


def seal_sidecar(
    payload: bytes,
    *,
    model: ModelBinding,
    recipients: Sequence[SealTo],
    issuer: Issuer,
    audience: str | None = None,
    issuer_name: str | None = None,
    not_before: datetime.datetime | None = None,
    expires: datetime.datetime | None = None,
    issued_at: datetime.datetime | None = None,
) -> bytes:
    """Sign a lock's payload and encrypt it to its recipients.

    Args:
        payload: what ``pack_lock`` wrote, at most 24 MiB.
        model: the public model the lock belongs to.
        recipients: who can open it; at most 1,024, at most 4 of them passphrases.
            A key or passphrase given twice counts once.
        issuer: who signs; whoever opens must name the matching issuer key.
        audience: the application it is for (its id); whoever opens must name the
            same. None: for any application that names none.
        issuer_name: the issuer's name for people; trust rests on the key alone.
        not_before, expires: moments with a time zone; kept to the second.
        issued_at: the signing time; None for now.

    Returns:
        The sidecar's bytes; for one P-256 recipient about 1.3 KB and 15 bytes
        for each protected tensor.

    Raises:
        SidecarError: an argument is out of range.
        PayloadError: the payload is none.

    Cost: 2 to 5 ms; up to 0.3 s more for each passphrase.

    Source: RFC 7519 (nested JWT), RFC 7515, RFC 7516; FORMAT.md.

    Example:
        >>> from edgepro_tf.sidecar import generate_identity, generate_issuer
        >>> identity, issuer = generate_identity(), generate_issuer()
        >>> sidecar = seal_sidecar(
        ...     b"EPL1" + bytes(32) + bytes([1, 0, 3, 1, 1, 8, 4, 1, 0, 0, 0, 0]),
        ...     model=ModelBinding.of(b"the bytes of a model"),
        ...     recipients=[identity.recipient],
        ...     issuer=issuer,
        ... )
    """
    remedy = "Use pack_lock(lock)."
    _check_kind("a payload of bytes", payload, bytes | bytearray | memoryview, remedy)
    payload = bytes(payload)
    _check_payload(payload)
    _check_kind("a model binding", model, ModelBinding, "Use ModelBinding.of(model).")
    remedy = "Load one with load_issuer; an issuer key only verifies."
    _check_kind("an issuer", issuer, Issuer, remedy)
    _check_kind("an audience of text", audience, str | None, "")
    if audience == "":
        raise SidecarError(
            f"{_TASK}: expected an application id as audience, got an empty one.",
            "Leave it out for any application.",
        )
    _check_kind("an issuer name of text", issuer_name, str | None, "")
    wrap_for = wrap_list(recipients, _TASK)
    now = issued_at or datetime.datetime.now(datetime.UTC)
    claims = Claims(
        payload=payload,
        model=model,
        issued_at=_moment(now, "issued_at"),
        sidecar_id=encode_base64url(secrets.token_bytes(_ID_BYTES)),
        issuer_name=issuer_name,
        audience=audience,
        not_before=None if not_before is None else _moment(not_before, "not_before"),
        expires=None if expires is None else _moment(expires, "expires"),
    )
    _check_period(claims)
    content = _sign(claims, issuer)
    header = protected_header(model, zipped=_fits_zipped(content))
    try:
        members = jose.encrypt(content, header=header, recipients=wrap_for)
    except jose.JoseError:
        raise unusable_key(_TASK) from None
    sidecar = write_envelope(members)
    if len(sidecar) > MAX_SIDECAR_BYTES:
        raise SidecarError(
            f"{_TASK}: expected at most {MAX_SIDECAR_BYTES:,} bytes, got "
            f"{len(sidecar):,}.",
            "Withhold fewer whole tensors.",
        )
    return sidecar


def wrap_list(recipients: Iterable[SealTo], task: str) -> list[jose.WrapFor]:
    """Return whom to wrap the content key for, each once.

    Raises:
        SidecarError: there are none, too many, something that is no recipient, or one
            that is in no list.
    """
    if not isinstance(recipients, Iterable):
        raise SidecarError(
            f"{task}: expected a list of recipients, got a "
            f"{type(recipients).__name__}.",
            "Give a list of one: recipients=[recipient].",
        )
    unique = list(dict.fromkeys(recipients))
    for recipient in unique:
        if not isinstance(recipient, Recipient | Passphrase):
            raise SidecarError(
                f"{task}: expected recipients, got a {type(recipient).__name__}.",
                "Of an identity give its .recipient, of a file load_recipient(path).",
            )
    wrap_for = [recipient._wrap_for() for recipient in unique]
    check_key_ids([each.key_id for each in wrap_for], task)
    return wrap_for


def check_key_ids(key_ids: Sequence[str | None], task: str) -> None:
    """Refuse more recipients than a sidecar takes, or none; a passphrase has no id.

    Raises:
        SidecarError: it is so.
    """
    passphrases = sum(key_id is None for key_id in key_ids)
    if not 1 <= len(key_ids) <= MAX_RECIPIENTS or passphrases > MAX_PASSPHRASES:
        raise SidecarError(
            f"{task}: expected 1 to {MAX_RECIPIENTS:,} recipients, at most "
            f"{MAX_PASSPHRASES} of them passphrases, got {len(key_ids):,} and "
            f"{passphrases}."
        )


def unusable_key(task: str) -> SidecarError:
    """The error for a recipient whose key looks right and does not encrypt."""
    return SidecarError(
        f"{task}: expected keys that encrypt, got a damaged one.",
        "Get the recipient's key again from its owner.",
    )


def _check_payload(payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise SidecarError(
            f"{_TASK}: expected a payload of at most {MAX_PAYLOAD_BYTES:,} bytes, "
            f"got {len(payload):,}.",
            "Withhold fewer whole tensors.",
        )
    try:
        unpack_lock(payload)
    except PayloadError as error:
        raise PayloadError(
            f"{_TASK}: its payload is none. {error.problem}", "Use pack_lock(lock)."
        ) from error


def _check_kind(what: str, value: object, kind: Any, hint: str) -> None:
    if not isinstance(value, kind):
        got = type(value).__name__
        raise SidecarError(f"{_TASK}: expected {what}, got a {got}.", hint)


def _moment(moment: datetime.datetime, name: str) -> int:
    try:
        return to_seconds(moment)
    except ValueError as error:
        raise SidecarError(f"{_TASK}: {name}: {error}.") from error


def _check_period(claims: Claims) -> None:
    start, end = claims.not_before, claims.expires
    if start is not None and end is not None and start >= end:
        raise SidecarError(
            f"{_TASK}: expected not_before earlier than expires, got the reverse."
        )


def _sign(claims: Claims, issuer: Issuer) -> bytes:
    header = encode_json(
        {"typ": claims_module.TYPE, "alg": issuer.alg, "kid": issuer.key_id}
    )
    token = jose.sign(claims.to_json(), key=issuer._jwk, alg=issuer.alg, header=header)
    return token.encode("ascii")


def _fits_zipped(content: bytes) -> bool:
    """Whether to compress: readers bound what they inflate (FORMAT.md, limits)."""
    if len(content) > MAX_UNZIPPED_BYTES:
        return False
    return len(zlib.compress(content)) <= MAX_ZIPPED_BYTES
