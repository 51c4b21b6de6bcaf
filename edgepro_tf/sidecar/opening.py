"""Open a sidecar: every check that stands between a file and its lock."""

from __future__ import annotations

import dataclasses
import datetime
import math
from typing import Any, NoReturn

from edgepro_tf.errors import (
    ExpiredError,
    SidecarError,
    SidecarFormatError,
    UntrustedSidecarError,
    without_locals,
)
from edgepro_tf.files import PathOrBytes, name_of
from edgepro_tf.sidecar import claims as claims_module
from edgepro_tf.sidecar import jose
from edgepro_tf.sidecar.binding import (
    ModelBinding,
    ModelCheck,
    check_model,
    check_model_size,
)
from edgepro_tf.sidecar.claims import Claims, parse_claims, to_datetime, to_seconds
from edgepro_tf.sidecar.encoding import (
    decode_base64url,
    decode_secret_object,
    decode_secret_text,
    short_key_id,
    short_model_id,
)
from edgepro_tf.sidecar.envelope import (
    Envelope,
    describe,
    parse_envelope,
    read_sidecar,
)
from edgepro_tf.sidecar.keys import IssuerKey
from edgepro_tf.sidecar.unsealing import OpenWith, unseal


@dataclasses.dataclass(frozen=True, eq=False)
class OpenedSidecar:
    """What an opened sidecar says.

    Args:
        payload: the lock's bytes, for the native core; hidden from ``repr``.
        model: the public model it belongs to.
        sidecar_id: the unique id of this sealing (claim ``jti``).
        issuer_key_id: thumbprint of the key that signed it.
        issuer_name, audience, not_before, expires: as sealed, or None.
    """

    payload: bytes = dataclasses.field(repr=False)
    model: ModelBinding
    sidecar_id: str
    issuer_key_id: str
    issued_at: datetime.datetime
    issuer_name: str | None
    audience: str | None
    not_before: datetime.datetime | None
    expires: datetime.datetime | None

    def __str__(self) -> str:
        by = self.issuer_name or f"key {short_key_id(self.issuer_key_id)}"
        until = f"expires {_date(self.expires)}" if self.expires else "never expires"
        is_named = self.audience is not None
        whom = f"application {self.audience}" if is_named else "any application"
        return (
            f"sidecar of model {self.model}, signed by {by} on "
            f"{_date(self.issued_at)}, for {whom}, {until}"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle an opened sidecar: it holds the lock")


def open_sidecar(
    sidecar: PathOrBytes,
    *,
    identity: OpenWith,
    issuer: IssuerKey,
    audience: str | None = None,
    model: PathOrBytes | ModelBinding | None = None,
    model_check: ModelCheck = "full",
    now: datetime.datetime | None = None,
    leeway_s: int = 0,
) -> OpenedSidecar:
    """Open a sidecar and check all that it claims.

    Args:
        sidecar: the file, or its bytes.
        identity: whose key opens it.
        issuer: whose signature is trusted.
        audience: this application's id. It must equal the sidecar's; None opens only
            a sidecar for any application.
        model: the model it is to be used with; None leaves the check to the caller
            (``check_model``, ``check_model_size``).
        model_check: "full" compares the SHA-256 of the model, "size" its size alone,
            without reading it (the native core compares fingerprints anyway).
        now: the present; None asks the clock.
        leeway_s: seconds by which clocks may differ.

    Returns:
        The payload and the claims.

    Raises:
        SidecarFormatError: it is no sidecar, is damaged, cut short, or newer.
        WrongKeyError: it is sealed to others, or decryption failed.
        UntrustedSidecarError: signature or audience is not the expected one.
        ExpiredError: it is not valid yet, or no longer.
        WrongModelError: it belongs to another model.
        SidecarError: the file cannot be read.

    Cost: about 2 ms, 0.3 s with a passphrase; "full" hashes the model (about 1 ms
    a megabyte).

    Source: RFC 7519, section 7.2; RFC 8725; FORMAT.md.
    """
    if model_check not in ("size", "full"):
        raise SidecarError(
            f"cannot open sidecar: expected model_check 'size' or 'full', got "
            f"model_check={model_check!r}."
        )
    task = describe("open", sidecar)
    claims = _read_claims(sidecar, identity, issuer, task)
    _check_audience(claims, audience, task)
    if not 0 <= leeway_s < math.inf:
        raise SidecarError(
            f"{task}: expected leeway_s of 0 seconds or more, got {leeway_s}."
        )
    _check_period(claims, _present(now, task), leeway_s, task)
    if model is not None:
        check = check_model if model_check == "full" else check_model_size
        check(claims.model, model, sidecar_name=name_of(sidecar))
    return _opened(claims, issuer)


def reopen_sidecar(
    sidecar: PathOrBytes,
    *,
    identity: OpenWith,
    issuer: IssuerKey,
    model: PathOrBytes | ModelBinding,
) -> OpenedSidecar:
    """Open a sidecar of one's own, to replace it: dates and audience bind the app.

    Args, errors and the rest of the checks are those of ``open_sidecar``.
    """
    task = describe("open", sidecar)
    claims = _read_claims(sidecar, identity, issuer, task)
    check_model(claims.model, model, sidecar_name=name_of(sidecar))
    return _opened(claims, issuer)


@without_locals()
def _read_claims(
    sidecar: PathOrBytes, identity: OpenWith, issuer: IssuerKey, task: str
) -> Claims:
    envelope = parse_envelope(read_sidecar(sidecar, task), task)
    content = unseal(envelope, identity, task).plaintext
    claims = _verify_claims(content, issuer, task)
    _check_header(envelope, claims, task)
    return claims


def _verify_claims(content: bytes, issuer: IssuerKey, task: str) -> Claims:
    """Return the signed claims. The algorithm is the key's, never the file's."""
    if not isinstance(issuer, IssuerKey):
        raise SidecarError(
            f"{task}: expected an issuer key, got a {type(issuer).__name__}.",
            "Load one with load_issuer_key. Of an issuer give its .issuer_key.",
        )
    try:
        compact = decode_secret_text(content)
        header = _parse_signature_header(compact)
    except ValueError:
        raise SidecarFormatError(f"{task}: its content is no signed lock.") from None
    if header["kid"] != issuer.key_id:
        raise UntrustedSidecarError(
            f"{task}: expected issuer {issuer.short_id}, it is signed by "
            f"{short_key_id(header['kid'])}.",
            "Get it from the issuer you trust, or trust that issuer's key.",
        )
    try:
        if header["alg"] != issuer.alg:
            raise jose.JoseError
        signed = jose.verify(compact, key=issuer._jwk, alg=issuer.alg)
    except jose.JoseError:
        raise UntrustedSidecarError(
            f"{task}: the signature of issuer {issuer.short_id} does not hold.",
            "Someone else made or changed it; get it from the issuer again.",
        ) from None
    try:
        return parse_claims(signed)
    except ValueError:
        raise SidecarFormatError(
            f"{task}: its signed claims are not of this format.",
            "Seal it again with EdgePro.",
        ) from None


def _parse_signature_header(compact: str) -> dict[str, Any]:
    parts = [decode_base64url(part) for part in compact.split(".")]
    header = decode_secret_object(parts[0])
    if len(parts) != 3 or set(header) != {"typ", "alg", "kid"}:
        raise ValueError("header parameters")
    if header["typ"] != claims_module.TYPE or not isinstance(header["alg"], str):
        raise ValueError("type")
    if len(decode_base64url(header["kid"])) != 32:
        raise ValueError("key id")
    return header


def _check_header(envelope: Envelope, claims: Claims, task: str) -> None:
    if envelope.model != claims.model:
        raise UntrustedSidecarError(
            f"{task}: its header names model {short_model_id(envelope.model.id)}, "
            f"the issuer signed for {short_model_id(claims.model.id)}.",
            "A recipient sealed it anew; get it from the issuer again.",
        )


def _check_audience(claims: Claims, audience: str | None, task: str) -> None:
    if claims.audience == audience:
        return
    if claims.audience is None:
        problem = f"expected audience {audience!r}, it names none"
        hint = "Seal it for this application, or open it without an audience."
    elif audience is None:
        problem = f"it is for application {claims.audience!r}, none was named"
        hint = "Name this application: audience=, or --audience on the command line."
    else:
        problem = f"expected audience {audience!r}, it is for {claims.audience!r}"
        hint = "Ask the issuer for a sidecar for this application."
    raise UntrustedSidecarError(f"{task}: {problem}.", hint)


def _check_period(
    claims: Claims, now: datetime.datetime, leeway_s: int, task: str
) -> None:
    seconds, present = now.timestamp(), _date(now)
    if claims.not_before is not None and seconds < claims.not_before - leeway_s:
        raise ExpiredError(
            f"{task}: it is valid from {_date(to_datetime(claims.not_before))}, it is "
            f"now {present}.",
            "Wait, or set the clock right.",
        )
    if claims.expires is not None and seconds >= claims.expires + leeway_s:
        raise ExpiredError(
            f"{task}: it expired {_date(to_datetime(claims.expires))}, it is now "
            f"{present}.",
            "Ask the issuer for a new one.",
        )


def _present(now: datetime.datetime | None, task: str) -> datetime.datetime:
    if now is None:
        now = datetime.datetime.now(datetime.UTC)
    try:
        to_seconds(now)
    except ValueError as error:
        raise SidecarError(f"{task}: now: {error}.") from error
    return now.astimezone(datetime.UTC)


def _opened(claims: Claims, issuer: IssuerKey) -> OpenedSidecar:
    start, end = claims.not_before, claims.expires
    return OpenedSidecar(
        payload=claims.payload,
        model=claims.model,
        sidecar_id=claims.sidecar_id,
        issuer_key_id=issuer.key_id,
        issued_at=to_datetime(claims.issued_at),
        issuer_name=claims.issuer_name,
        audience=claims.audience,
        not_before=None if start is None else to_datetime(start),
        expires=None if end is None else to_datetime(end),
    )


def _date(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
