"""Strict base64url and JSON: one text for one value, or an error."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

SHORT_DIGITS = 8
_MAX_DIGITS = 64
_MAX_DEPTH = 64
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


def encode_base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: object) -> bytes:
    """Decode unpadded base64url; only the text that encoding gives is accepted.

    Python's decoder skips foreign characters and ignores stray bits of the last one,
    so that many texts would stand for one value.

    Raises:
        ValueError: it is no such text.
    """
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(data) != text:
        raise ValueError("not the only base64url text of its bytes")
    return data


def encode_json(value: Mapping[str, Any]) -> str:
    """Write JSON in ASCII without spaces, members in the order given."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def decode_json_object(text: str) -> dict[str, Any]:
    """Read a JSON object; no member twice, no NaN, nothing deeper than 64 levels.

    Raises:
        json.JSONDecodeError: it is not JSON.
        ValueError: it is JSON that is refused, or no object.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_members,
            parse_constant=_no_constant,
            parse_int=_short_integer,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _is_deeper(value, _MAX_DEPTH):
        raise ValueError("nested too deeply")
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def decode_secret_text(data: bytes, encoding: str = "ascii") -> str:
    """Decode bytes that may hold a secret.

    Raises:
        ValueError: they are no such text. The decoder's own error is left out, down to
            its context: it holds the bytes.
    """
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        pass
    raise ValueError(f"no {encoding} text")


def decode_secret_object(data: bytes, encoding: str = "ascii") -> dict[str, Any]:
    """``decode_json_object`` of bytes that may hold a secret.

    Raises:
        ValueError: they are no JSON object. The parser's own error is left out, down to
            its context: it holds the text.
    """
    text = decode_secret_text(data, encoding)
    try:
        return decode_json_object(text)
    except json.JSONDecodeError:
        pass
    raise ValueError("no JSON")


def short_key_id(key_id: str) -> str:
    """Return the first digits of a key id (a base64url thumbprint) in hexadecimal."""
    return f"{decode_base64url(key_id).hex()[:SHORT_DIGITS]}…"


def short_model_id(model_id: str) -> str:
    """Return the first digits of a model id."""
    return f"{model_id[:SHORT_DIGITS]}…"


def thumbprint(members: Mapping[str, str]) -> str:
    """Return the base64url SHA-256 thumbprint of a key's required members.

    Source: RFC 7638, section 3.
    """
    text = json.dumps(dict(sorted(members.items())), separators=(",", ":"))
    return encode_base64url(hashlib.sha256(text.encode()).digest())


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _is_deeper(value: Any, levels: int) -> bool:
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    return levels < 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _short_integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
