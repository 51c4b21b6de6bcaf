"""Write tests/vectors/sidecar anew: python -m tests.edgepro_tf.sidecar.write_vectors.

Only for a change of the format (FORMAT.md): vectors once released stay as they are.
Each run makes new keys, and therefore changes every file.
"""

from __future__ import annotations

import json
from typing import Any

from edgepro_tf.sidecar import (
    Passphrase,
    grant_sidecar,
)
from edgepro_tf.sidecar.encoding import encode_base64url, encode_json
from tests.edgepro_tf.sidecar import crafting
from tests.edgepro_tf.sidecar.material import (
    AUDIENCE,
    DAY,
    NOW,
    PASSPHRASE,
    identity,
    issuer,
    payload,
    seal,
)
from tests.edgepro_tf.sidecar.vector_file import FOLDER, write


def successes() -> None:
    write("p256", "one P-256 recipient, ES256", seal())
    write(
        "rsa",
        "one RSA recipient",
        seal(identity("RSA-3072")),
        opener=identity("RSA-3072"),
    )
    write(
        "a256kw",
        "one symmetric recipient",
        seal(identity("A256KW")),
        opener=identity("A256KW"),
    )
    write("passphrase", "one passphrase", seal(PASSPHRASE), opener=PASSPHRASE)
    signer = issuer("EdDSA")
    write(
        "eddsa", "signed with Ed25519", seal(issuer=signer), trusted=signer.issuer_key
    )
    everyone = seal(
        identity(number=1), identity("RSA-3072"), identity("A256KW"), PASSPHRASE
    )
    granted = grant_sidecar(
        everyone, identity=identity(number=1), recipients=[identity().recipient]
    )
    write("granted", "several recipients, the last one by grant", granted)
    write(
        "granted-passphrase",
        "several recipients, opened with the passphrase",
        granted,
        opener=PASSPHRASE,
    )
    bare = seal(audience=None, issuer_name=None, not_before=None, expires=None)
    write("bare-claims", "no iss, aud, nbf, exp", bare, audience=None)
    long = payload(whole=90_000)
    write(
        "not-zipped",
        "content too large to be compressed by the JWE",
        seal(payload=long),
        content=long,
    )
    claims = crafting.claims_of(seal()) | {"note": "ignored"}
    write(
        "unknown-claim",
        "claims of other names are ignored",
        crafting.sign_and_seal(claims),
    )
    deep = json.loads("[" * 63 + "0" + "]" * 63)
    write(
        "claim-64-deep",
        "a claim of another name, 64 levels deep",
        crafting.sign_and_seal(claims | {"note": deep}),
    )
    write("last-second", "one second before exp", seal(), now=NOW + DAY - DAY / 86400)
    write("final-newline", "white space around the JSON is allowed", seal() + b"\n")


def format_failures() -> None:
    sidecar = seal()
    members = json.loads(sidecar)
    expect = "not-a-sidecar"
    write("empty", "no bytes", b"", expect="empty")
    write(
        "a-model",
        "the model in place of the sidecar",
        b"\x1c\0\0\0TFL3" + bytes(24),
        expect=expect,
    )
    write("foreign-json", "JSON, but no JWE", b'{"licences":[]}', expect=expect)
    foreign = members | {"protected": encode_base64url(b'{"enc":"A256GCM"}')}
    write(
        "foreign-jwe",
        "a JWE, but not ours",
        encode_json(foreign).encode(),
        expect=expect,
    )
    for part in (0.1, 0.5, 0.999):
        size = int(len(sidecar) * part)
        write(
            f"truncated-{size}",
            "the first bytes of a sidecar",
            sidecar[:size],
            expect="truncated",
        )
    newer = encode_base64url(encode_json({"edgepro": {"version": 2}}).encode())
    write(
        "newer-version",
        "format version 2",
        encode_json({"protected": newer}).encode(),
        expect="newer-version",
    )
    damaged: dict[str, dict[str, Any]] = {
        "unknown-member": members | {"aad": ""},
        "padded-base64": members | {"tag": members["tag"] + "=="},
        "stray-bits": members | {"tag": members["tag"][:-1] + "_"},
        "short-iv": members | {"iv": "AAAA"},
        "no-recipient": members | {"recipients": []},
        "recipient-twice": members | {"recipients": members["recipients"] * 2},
    }
    for name, alg in (("unknown-alg", "ECDH-ES+A128KW"), ("direct", "dir")):
        changed = json.loads(sidecar)
        changed["recipients"][0]["header"]["alg"] = alg
        damaged[name] = changed
    for count in (999, 1_000_001):
        changed = json.loads(seal(PASSPHRASE))
        changed["recipients"][0]["header"]["p2c"] = count
        damaged[f"iterations-{count}"] = changed
    for name, changed in damaged.items():
        write(
            name, "not of the format", encode_json(changed).encode(), expect="damaged"
        )
    text = sidecar.replace(b'{"protected"', b'{"tag":"AA","protected"')
    write("member-twice", "a member stands twice", text, expect="damaged")
    content = crafting.content_of(sidecar)
    for name, change in (
        ("crit", {"crit": ["exp"], "exp": 0}),
        ("jwk", {"typ": "JWT"}),
    ):
        write(
            f"header-{name}",
            "another protected header",
            crafting.reseal(content, **change),
            expect="damaged",
        )


def key_failures() -> None:
    write(
        "other-recipient",
        "sealed to another key",
        seal(identity(number=1)),
        expect="no-recipient",
    )
    write(
        "no-passphrase",
        "opened with a passphrase, sealed to a key",
        seal(),
        opener=PASSPHRASE,
        expect="no-recipient",
    )
    write(
        "wrong-passphrase",
        "sealed to another passphrase",
        seal(Passphrase("another passphrase")),
        opener=PASSPHRASE,
        expect="decryption-failed",
    )
    for name in ("ciphertext", "tag", "iv"):
        changed = json.loads(seal())
        letter = "B" if changed[name][0] == "A" else "A"
        changed[name] = letter + changed[name][1:]
        write(
            f"altered-{name}",
            f"first letter of {name} changed",
            encode_json(changed).encode(),
            expect="decryption-failed",
        )
    changed = json.loads(seal())
    changed["recipients"][0]["encrypted_key"] = encode_base64url(bytes(40))
    write(
        "altered-key",
        "wrapped key replaced",
        encode_json(changed).encode(),
        expect="decryption-failed",
    )
    changed = json.loads(seal())
    point = changed["recipients"][0]["header"]["epk"]
    point["y"] = point["x"]
    write(
        "off-curve",
        "ephemeral key off the curve",
        encode_json(changed).encode(),
        expect="decryption-failed",
    )
    write(
        "beyond-field",
        "ephemeral key on the curve, its x written with the field's prime added",
        crafting.move_beyond_field(crafting.content_of(seal())),
        expect="decryption-failed",
    )
    write(
        "zip-followed",
        "bytes after the compressed content",
        crafting.seal_followed(crafting.content_of(seal())),
        expect="decryption-failed",
    )
    write(
        "bomb",
        "content of 2 MiB out of 2 KB",
        crafting.reseal(bytes(2 << 20)),
        expect="decryption-failed",
    )
    header = crafting.header_for(b"another")
    changed = json.loads(seal()) | {
        "protected": encode_base64url(encode_json(header).encode())
    }
    write(
        "altered-header",
        "model in the header replaced",
        encode_json(changed).encode(),
        model=b"another",
        expect="decryption-failed",
    )


def trust_failures() -> None:
    sidecar = seal()
    write(
        "other-issuer",
        "signed by another issuer",
        seal(issuer=issuer(number=1)),
        expect="other-issuer",
    )
    impostor = crafting.sign_and_seal(
        crafting.claims_of(sidecar), issuer(number=1), key_id=issuer().key_id
    )
    write(
        "impostor",
        "signed by another under the issuer's id",
        impostor,
        expect="bad-signature",
    )
    for alg in ("none", "HS256", "EdDSA"):
        content = crafting.forge(sidecar, {"alg": alg}, b"" if alg == "none" else b"0")
        write(
            f"signature-{alg.lower()}",
            f"alg replaced by {alg}",
            crafting.reseal(content),
            expect="bad-signature",
        )
    write(
        "zero-signature",
        "ES256 with r = s = 0",
        crafting.reseal(crafting.forge(sidecar, {})),
        expect="bad-signature",
    )
    for name, signer in (("es256", issuer()), ("eddsa", issuer("EdDSA"))):
        write(
            f"signature-{name}-longer",
            "a signature with bytes of zero put to it",
            crafting.lengthen_signature(seal(issuer=signer)),
            trusted=signer.issuer_key,
            expect="bad-signature",
        )
    write(
        "unsigned", "content is no JWS", crafting.reseal(b"EPL1"), expect="not-signed"
    )
    write(
        "other-type",
        "a JWT of the issuer for another use",
        crafting.sign_and_seal(crafting.claims_of(sidecar), type_="at+jwt"),
        expect="not-signed",
    )
    relabelled = crafting.reseal(
        crafting.content_of(sidecar), crafting.header_for(b"another")
    )
    write(
        "relabelled",
        "a recipient sealed it anew for another model",
        relabelled,
        model=b"another",
        expect="header-differs",
    )
    deep: Any = "end"
    for _ in range(64):
        deep = [deep]
    for name, change in (
        ("too-deep", {"note": deep}),
        ("lock-bomb", {"lock": crafting.raw_deflate(bytes(25 << 20))}),
        ("exp-text", {"exp": "never"}),
        ("aud-list", {"aud": [AUDIENCE]}),
        ("no-lock", {"lock": None}),
    ):
        claims = crafting.claims_of(sidecar) | change
        write(
            f"claims-{name}",
            "claims not of the format",
            crafting.sign_and_seal(claims),
            expect="bad-claims",
        )


def claim_failures() -> None:
    write(
        "audience-other",
        "for another application",
        seal(audience="com.example.x"),
        expect="audience",
    )
    write(
        "audience-not-named",
        "for an application, none named",
        seal(),
        audience=None,
        expect="audience",
    )
    write(
        "audience-missing",
        "names no application",
        seal(audience=None),
        expect="audience",
    )
    write(
        "not-yet-valid",
        "a second before nbf",
        seal(),
        now=NOW - DAY - DAY / 86400,
        expect="not-yet-valid",
    )
    write("expired", "at exp", seal(), now=NOW + DAY, expect="expired")
    write(
        "wrong-model",
        "belongs to another model",
        seal(),
        model=b"another",
        expect="wrong-model",
    )


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for group in (
        successes,
        format_failures,
        key_failures,
        trust_failures,
        claim_failures,
    ):
        group()


if __name__ == "__main__":
    main()
