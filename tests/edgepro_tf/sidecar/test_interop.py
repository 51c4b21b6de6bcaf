"""Other readers of the same standards open our file."""

import json
import zlib

import pytest
from jwcrypto import jwe, jwk, jws

from edgepro_tf.sidecar import ModelBinding, export_key
from edgepro_tf.sidecar.encoding import decode_base64url
from tests.edgepro_tf.sidecar.material import MODEL, identity, issuer, payload, seal

KINDS = ["P-256", "RSA-3072", "A256KW"]


def assert_claims(claims):
    assert claims["model"] == ModelBinding.of(MODEL).id
    lock = zlib.decompress(decode_base64url(claims["lock"]), wbits=-15)
    assert lock == payload()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("issuer_kind", ["ES256", "EdDSA"])
def test_jwcrypto_alone(kind, issuer_kind):
    token = jwe.JWE()
    sidecar = seal(identity(kind), issuer=issuer(issuer_kind)).decode()
    token.deserialize(sidecar, jwk.JWK.from_json(export_key(identity(kind))))
    signed = jws.JWS()
    signed.deserialize(token.payload.decode())
    signed.verify(jwk.JWK.from_json(export_key(issuer(issuer_kind).issuer_key)))
    assert_claims(json.loads(signed.payload))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("issuer_kind", ["ES256", "EdDSA"])
def test_joserfc(kind, issuer_kind):
    rfc_jwe = pytest.importorskip("joserfc.jwe")
    from joserfc import jws as rfc_jws
    from joserfc.jwk import import_key

    own = json.loads(export_key(identity(kind)))
    algorithms = [identity(kind).alg, "A256GCM", "DEF"]
    registry = rfc_jwe.JWERegistry(algorithms=algorithms, strict_check_header=False)
    members = json.loads(seal(identity(kind), issuer=issuer(issuer_kind)))
    opened = rfc_jwe.decrypt_json(members, import_key(own), registry=registry)
    signed = rfc_jws.deserialize_compact(
        opened.plaintext,
        import_key(json.loads(export_key(issuer(issuer_kind).issuer_key))),
        algorithms=[issuer_kind],
    )
    assert_claims(json.loads(signed.payload))
