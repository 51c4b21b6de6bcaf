import base64
import copy
import json
import os
import pickle
import stat

import pytest

from edgepro_tf.errors import KeyFileError, OutputExistsError, SidecarError
from edgepro_tf.sidecar import (
    ModelBinding,
    Passphrase,
    export_key,
    generate_identity,
    generate_issuer,
    grant_sidecar,
    jose,
    load_identity,
    load_issuer,
    load_issuer_key,
    load_recipient,
    seal_sidecar,
    write_key,
)
from edgepro_tf.sidecar.encoding import decode_base64url, encode_base64url
from tests.edgepro_tf.sidecar.material import MODEL, identity, issuer, payload, seal

KINDS = ["P-256", "RSA-3072", "A256KW"]
ISSUER_KINDS = ["ES256", "EdDSA"]


@pytest.mark.parametrize("suffix", ["jwk", "pem"])
@pytest.mark.parametrize("kind", KINDS)
def test_identity_files_round_trip(kind, suffix, tmp_path):
    if (kind, suffix) == ("A256KW", "pem"):
        pytest.skip("PEM holds no symmetric keys")
    own = identity(kind)
    private = write_key(own, tmp_path / f"private.{suffix}")
    public = write_key(own.recipient, tmp_path / f"public.{suffix}")
    assert load_identity(private) == own
    assert load_identity(private.read_bytes()).kind == kind
    assert load_recipient(public) == own.recipient
    if os.name == "posix":
        assert stat.S_IMODE(private.stat().st_mode) == 0o600


@pytest.mark.parametrize("suffix", ["jwk", "pem"])
@pytest.mark.parametrize("kind", ISSUER_KINDS)
def test_issuer_files_round_trip(kind, suffix, tmp_path):
    own = issuer(kind)
    private = write_key(own, tmp_path / f"private.{suffix}")
    public = write_key(own.issuer_key, tmp_path / f"public.{suffix}")
    assert load_issuer(private) == own
    assert load_issuer_key(public) == own.issuer_key
    assert load_issuer_key(public).alg == kind


def test_key_id_is_the_thumbprint_of_rfc_7638():
    # The RSA key of RFC 7638, section 3.1.
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuh"
        "DR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w"
        "6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
        "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0L"
        "s1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = load_recipient(json.dumps({"kty": "RSA", "n": n, "e": "AQAB"}).encode())
    assert key.key_id == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert key.short_id == "3736cbb1…"
    assert key.kind == "RSA-2048"


def test_encrypted_pem():
    data = export_key(identity(), key_format="pem", passphrase="open sesame")
    assert b"ENCRYPTED" in data
    assert load_identity(data, passphrase="open sesame") == identity()
    with pytest.raises(KeyFileError, match="it is encrypted"):
        load_identity(data)
    with pytest.raises(KeyFileError, match="passphrase is wrong"):
        load_identity(data, passphrase="open sesamo")
    with pytest.raises(KeyFileError, match="no passphrase with JWK"):
        export_key(identity(), passphrase="open sesame")
    with pytest.raises(KeyFileError, match="expected a passphrase, got an empty one"):
        export_key(identity(), key_format="pem", passphrase="")
    with pytest.raises(KeyFileError, match="no passphrase with a public key"):
        export_key(identity().recipient, key_format="pem", passphrase="open sesame")
    with pytest.raises(KeyFileError, match="'jwk' or 'pem', got 'der'"):
        export_key(identity(), key_format="der")


def _jwk(kty, **members):
    return json.dumps(
        jose.export_jwk(jose.JWK.generate(kty=kty, **members), private=True)
    )


@pytest.mark.parametrize(
    ("load", "data", "text"),
    [
        (load_identity, export_key(identity().recipient), "expected a private key"),
        (load_issuer, export_key(issuer().issuer_key), "expected a private key"),
        (load_recipient, export_key(identity()), "expected a public key"),
        (load_issuer_key, export_key(issuer()), "expected a public key"),
        (load_identity, export_key(issuer()), "made to encrypt, got one made to sign"),
        (load_issuer, export_key(identity()), "made to sign, got one made to encrypt"),
        (load_identity, _jwk("RSA", size=1024), "2048 to 8192 bits, got 1024"),
        (load_identity, _jwk("EC", crv="P-384"), "got P-384"),
        (load_identity, _jwk("OKP", crv="X25519"), "got X25519"),
        (load_identity, _jwk("oct", size=128), "256 bits, got 128"),
        (load_issuer, _jwk("oct", size=256), "Ed25519 key, got oct"),
        (load_issuer, _jwk("OKP", crv="Ed448"), "got Ed448"),
        (load_identity, b"", "expected a JWK or PEM file"),
        (load_identity, b"{", "it is damaged"),
        (load_identity, b"{}", "it is damaged"),
        (load_identity, b'{"kty":["EC"]}', "it is damaged"),
        (load_identity, b'{"kty":"EC","crv":"P-256","x":"AA","y":1}', "it is damaged"),
        (load_identity, b"-----BEGIN PRIVATE KEY-----\nAA==\n", "it is damaged"),
        (load_recipient, b"-----BEGIN CERTIFICATE-----\nAA==\n", "got CERTIFICATE"),
        (load_identity, b"x" * 100_000, "far larger"),
        (load_identity, "/nowhere/at/all.jwk", "No such file"),
    ],
    # Keys are fresh in every run; names of tests are not.
    ids=lambda value: "jwk" if str(value).startswith("{") else None,
)
def test_wrong_files_are_refused(load, data, text):
    data = data.encode() if isinstance(data, str) and data[0] == "{" else data
    with pytest.raises(KeyFileError, match=text) as caught:
        load(data)
    assert str(caught.value).startswith("cannot load ")


def test_a_curve_that_nothing_here_knows_is_refused():
    """SM2's, named in a key that is sound but for its bits."""
    data = export_key(identity(), key_format="pem").decode()
    head, *lines, end = data.strip().split("\n")
    key = base64.b64decode("".join(lines))
    p256, sm2 = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d")
    other = base64.b64encode(key.replace(p256, sm2)).decode()
    with pytest.raises(KeyFileError, match="no key of a kind used here"):
        load_identity(f"{head}\n{other}\n{end}\n".encode())


def test_point_off_the_curve_is_refused():
    members = json.loads(export_key(identity().recipient))
    members["y"] = members["x"]
    with pytest.raises(KeyFileError, match="it is damaged"):
        load_recipient(json.dumps(members).encode())


def test_halves_that_do_not_belong_together_are_refused():
    members = json.loads(export_key(identity()))
    members["d"] = json.loads(export_key(identity(number=1)))["d"]
    with pytest.raises(KeyFileError, match="it is damaged"):
        load_identity(json.dumps(members).encode())


def test_halves_of_an_issuer_that_do_not_belong_together_are_refused():
    members = json.loads(export_key(issuer("EdDSA")))
    members["x"] = json.loads(export_key(issuer("EdDSA", 1)))["x"]
    with pytest.raises(KeyFileError, match="it is damaged"):
        load_issuer(json.dumps(members).encode())


def test_a_private_number_beyond_the_curve_s_order_is_refused():
    """It makes the same public half."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    members = json.loads(export_key(identity()))
    number = order + int.from_bytes(decode_base64url(members["d"]), "big")
    members["d"] = encode_base64url(number.to_bytes(33, "big"))
    with pytest.raises(KeyFileError, match="it is damaged"):
        load_identity(json.dumps(members).encode())


def test_a_key_that_cannot_encrypt_seals_nothing():
    """An even modulus: nothing notices before OpenSSL divides by it."""
    modulus = encode_base64url(b"\xff" * 255 + b"\xfe")
    members = {"kty": "RSA", "n": modulus, "e": "AQAB"}
    useless = load_recipient(json.dumps(members).encode())
    with pytest.raises(SidecarError, match="expected keys that encrypt"):
        grant_sidecar(seal(), identity=identity(), recipients=[useless])
    with pytest.raises(SidecarError, match="expected keys that encrypt"):
        seal_sidecar(
            payload(),
            model=ModelBinding.of(MODEL),
            recipients=[useless],
            issuer=issuer(),
        )


@pytest.mark.skipif(os.name != "posix", reason="devices are POSIX")
def test_a_key_file_without_an_end_is_refused():
    with pytest.raises(KeyFileError, match="far larger"):
        load_identity("/dev/zero")


def test_existing_file_is_kept(tmp_path):
    path = write_key(identity(), tmp_path / "key.jwk")
    with pytest.raises(OutputExistsError):
        write_key(identity(number=1), path)
    assert load_identity(path) == identity()
    write_key(identity(number=1), path, overwrite=True)
    assert load_identity(path) == identity(number=1)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_shared_private_file_is_warned_of(tmp_path):
    path = write_key(identity(), tmp_path / "key.jwk")
    path.chmod(0o644)
    with pytest.warns(UserWarning, match=f"chmod 600 {path}"):
        load_identity(path)


@pytest.mark.parametrize(
    "key",
    [identity(), identity().recipient, issuer(), identity("A256KW").recipient],
)
def test_keys_are_not_pickled_or_copied(key):
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(key)
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.deepcopy(key)


def test_unknown_kinds_are_refused():
    with pytest.raises(KeyFileError, match="kind='P-521'"):
        generate_identity("P-521")
    with pytest.raises(KeyFileError, match="kind='RS256'"):
        generate_issuer("RS256")
    with pytest.raises(KeyFileError, match="at least 8 letters"):
        Passphrase("short")
    with pytest.raises(KeyFileError, match="at least 8 letters"):
        Passphrase("   short   ")
    with pytest.raises(KeyFileError, match="expected text, got bytes"):
        Passphrase(b"long enough")
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(Passphrase("long enough"))
    with pytest.raises(KeyFileError, match="in PEM"):
        export_key(identity("A256KW"), key_format="pem")
