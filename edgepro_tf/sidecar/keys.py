"""Keys: who a sidecar is sealed to, and who vouches for it.

Identities open, recipients are their public halves; issuers sign, issuer keys
verify. Key ids are thumbprints (RFC 7638), so the same key has the same id in JWK,
PEM and hardware. Nothing here shows more of a key than the first digits of its id.
"""

from __future__ import annotations

import hmac
from typing import Any, ClassVar, Literal, NoReturn

from edgepro_tf.errors import KeyFileError
from edgepro_tf.sidecar import jose
from edgepro_tf.sidecar.encoding import decode_base64url, short_key_id, thumbprint

IdentityKind = Literal["P-256", "RSA-3072", "A256KW"]
IssuerKind = Literal["ES256", "EdDSA"]

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MIN_PASSPHRASE_LETTERS = 8
_THUMBPRINT_MEMBERS = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
    "oct": ("k", "kty"),
}


class _Key:
    """A key of one role: which algorithm it serves, and its id."""

    use: ClassVar[str]  # RFC 7517, section 4.2: "enc" or "sig".
    is_private: ClassVar[bool]
    noun: ClassVar[str]
    __slots__ = ("_jwk", "alg", "key_id", "kind")

    def __init__(self, jwk: Any) -> None:
        """Wrap a checked key; use the functions of keys.py and keyfiles.py."""
        self._jwk = jwk
        self.kind, self.alg = _kind_and_alg(jwk, self.use)
        names = _THUMBPRINT_MEMBERS[jwk["kty"]]
        self.key_id = thumbprint({name: jwk[name] for name in names})

    @property
    def short_id(self) -> str:
        """First digits of the key id, for people."""
        return short_key_id(self.key_id)

    @property
    def has_secret(self) -> bool:
        """Whether whoever reads this key can open sidecars or sign them."""
        return self.is_private or self.kind == "A256KW"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind}, {self.short_id})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.key_id == other.key_id

    def __hash__(self) -> int:
        return hash((type(self), self.key_id))

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self!r}: write it to a key file instead")


class _EncryptionKey(_Key):
    use = "enc"
    __slots__ = ()

    def _wrap_for(self) -> jose.WrapFor:
        return jose.WrapFor(self.alg, self.key_id, self._jwk)


class Recipient(_EncryptionKey):
    """Who a sidecar is sealed to; for kind A256KW itself a secret."""

    is_private = False
    noun = "recipient"
    __slots__ = ()


class Identity(_EncryptionKey):
    """Opens what is sealed to its recipient."""

    is_private = True
    noun = "identity"
    __slots__ = ()

    @property
    def recipient(self) -> Recipient:
        """The half to give to whoever seals."""
        return Recipient(_public_half(self._jwk))


class IssuerKey(_Key):
    """Verifies an issuer's signature; ships with the application."""

    use = "sig"
    is_private = False
    noun = "issuer key"
    __slots__ = ()


class Issuer(_Key):
    """Signs sidecars."""

    use = "sig"
    is_private = True
    noun = "issuer"
    __slots__ = ()

    @property
    def issuer_key(self) -> IssuerKey:
        """The half to give to whoever opens."""
        return IssuerKey(_public_half(self._jwk))


class Passphrase:
    """A recipient and an identity in one: whoever knows the phrase opens.

    Meant for moving a sidecar between people; devices want keys. A passphrase leaves
    no key id in the sidecar, since an id would let anyone test guesses cheaply.

    Args:
        text: at least 8 letters, spaces around them not counted; taken as UTF-8,
            spaces and all.

    Raises:
        KeyFileError: it is shorter, or no text.

    Cost: 0.1 to 0.3 s to seal or open (PBKDF2, 210,000 iterations).
    """

    __slots__ = ("_secret",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise KeyFileError(
                f"cannot use passphrase: expected text, got {type(text).__name__}."
            )
        if len(text.strip()) < MIN_PASSPHRASE_LETTERS:
            raise KeyFileError(
                f"cannot use passphrase: expected at least {MIN_PASSPHRASE_LETTERS} "
                "letters, got fewer.",
                "Take several words drawn at random.",
            )
        self._secret = encode_passphrase(text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Passphrase):
            return NotImplemented
        return hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self._secret)

    def __repr__(self) -> str:
        return "Passphrase()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("cannot pickle a Passphrase")

    def _wrap_for(self) -> jose.WrapFor:
        return jose.WrapFor(jose.PASSPHRASE, passphrase=self._secret)


def encode_passphrase(text: str) -> bytes:
    """Return a passphrase's UTF-8 bytes.

    Raises:
        KeyFileError: it has none, as of bytes the environment could not decode. The
            system's own error is left out: it holds the passphrase.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass
    raise KeyFileError(
        "cannot use passphrase: expected text that UTF-8 can spell, got other bytes.",
        "Set it in a terminal whose locale is UTF-8.",
    )


def generate_identity(kind: IdentityKind = "P-256") -> Identity:
    """Make a new identity.

    Args:
        kind: "P-256" (elliptic curve, what phones keep in hardware), "RSA-3072", or
            "A256KW" (a shared 256-bit key: its recipient is as secret as itself).

    Raises:
        KeyFileError: the kind is another.

    Example:
        >>> identity = generate_identity()
        >>> identity.recipient.key_id == identity.key_id
        True
    """
    if kind not in ("P-256", "RSA-3072", "A256KW"):
        raise _unknown_kind("identity", "P-256, RSA-3072 or A256KW", kind)
    return Identity(jose.generate_key(kind))


def generate_issuer(kind: IssuerKind = "ES256") -> Issuer:
    """Make a new issuer.

    Args:
        kind: "ES256" (ECDSA on P-256) or "EdDSA" (Ed25519).

    Raises:
        KeyFileError: the kind is another.
    """
    if kind not in ("ES256", "EdDSA"):
        raise _unknown_kind("issuer", "ES256 or EdDSA", kind)
    return Issuer(jose.generate_key(kind))


def _public_half(jwk: Any) -> Any:
    return jose.import_jwk(jose.export_jwk(jwk, private=False))


def _kind_and_alg(jwk: Any, use: str) -> tuple[str, str]:
    """Return a key's kind and algorithm.

    Raises:
        ValueError: no algorithm of this use takes such a key; the text says which.
    """
    kty, curve = jwk["kty"], jwk.get("crv")
    if use == "sig":
        if (kty, curve) == ("EC", "P-256"):
            return "ES256", "ES256"
        if (kty, curve) == ("OKP", "Ed25519"):
            return "EdDSA", "EdDSA"
        raise ValueError(f"expected a P-256 or Ed25519 key, got {curve or kty}")
    if (kty, curve) == ("EC", "P-256"):
        return "P-256", jose.ECDH
    if kty == "RSA":
        bits = int.from_bytes(decode_base64url(jwk["n"]), "big").bit_length()
        if MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
            return f"RSA-{bits}", jose.RSA
        raise ValueError(
            f"expected an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, got {bits}"
        )
    if kty == "oct":
        bits = 8 * len(decode_base64url(jwk["k"]))
        if bits == 256:
            return "A256KW", jose.AES
        raise ValueError(f"expected a symmetric key of 256 bits, got {bits}")
    raise ValueError(f"expected a P-256, RSA or symmetric key, got {curve or kty}")


def _unknown_kind(what: str, expected: str, kind: object) -> KeyFileError:
    return KeyFileError(
        f"cannot generate {what}: expected kind {expected}, got kind={kind!r}."
    )
