package dev.edgepro.sidecar

import com.nimbusds.jose.jwk.Curve
import com.nimbusds.jose.jwk.ECKey
import com.nimbusds.jose.jwk.JWK
import com.nimbusds.jose.jwk.OctetKeyPair
import com.nimbusds.jose.jwk.OctetSequenceKey
import com.nimbusds.jose.jwk.RSAKey
import dev.edgepro.KeyException
import java.security.Key
import java.security.PrivateKey
import java.security.interfaces.ECPublicKey

/*
 * Keys: who opens a sidecar, and who vouches for it.
 *
 * Key ids are thumbprints (RFC 7638), so the same key has the same id in JWK, PEM and
 * hardware. Nothing here shows more of a key than the first digits of its id.
 */

/** What opens a sidecar: an [Identity] or a [Passphrase]. */
sealed interface Opener

/**
 * The private key that opens what is sealed to its recipient.
 *
 * [DeviceKey][dev.edgepro.device.DeviceKey] makes one that never leaves the phone's
 * hardware; [load] takes one from a JWK, for tests and for what is no phone.
 *
 * @property keyId base64url RFC 7638 SHA-256 thumbprint of the key.
 */
class Identity private constructor(
    internal val key: Key,
    internal val alg: String,
    val keyId: String,
) : Opener {
    /** First digits of the key id, for people. */
    val shortId: String get() = shortKeyId(keyId)

    override fun toString(): String = "Identity($alg, $shortId)"

    companion object {
        private const val NOUN = "identity"
        private val RSA_BITS = 2048..8192
        private const val AES_BITS = 256

        /**
         * Takes a P-256 key pair whose private half may lie in hardware: it is used
         * through its own provider and never read.
         *
         * @param privateKey agrees on keys (AndroidKeyStore: `PURPOSE_AGREE_KEY`).
         * @param publicKey its public half, which gives the key id.
         * @throws KeyException the key is of another curve.
         */
        @JvmStatic
        fun of(
            privateKey: PrivateKey,
            publicKey: ECPublicKey,
        ): Identity = Identity(privateKey, ECDH, Recipient.of(publicKey).keyId)

        /**
         * Loads a private key (or a shared A256KW key) from the bytes of a JWK file.
         *
         * @throws KeyException it is no such key.
         */
        @JvmStatic
        fun load(data: ByteArray): Identity {
            val jwk = parseKey(data, NOUN, use = "enc")
            if (jwk is OctetSequenceKey) {
                if (jwk.size() == AES_BITS) return of(jwk.toSecretKey("AES"), AES, jwk)
                throw cannotLoad(NOUN, "expected a symmetric key of 256 bits, got ${jwk.size()}")
            }
            if (!jwk.isPrivate) {
                throw cannotLoad(NOUN, "expected a private key, got its public half alone")
            }
            if (jwk is ECKey && jwk.curve == Curve.P_256) return of(jwk.toECPrivateKey(), ECDH, jwk)
            if (jwk is RSAKey && jwk.modulus.decodeToBigInteger().bitLength() in RSA_BITS) {
                // Null where the exponent is missing and other private numbers are there.
                return of(jwk.toPrivateKey() ?: throw damagedKey(NOUN), RSA, jwk)
            }
            val rule = "expected a P-256 key, or RSA of 2048 to 8192 bits, got another"
            throw cannotLoad(NOUN, rule)
        }

        private fun of(
            key: Key,
            alg: String,
            jwk: JWK,
        ) = Identity(key, alg, jwk.computeThumbprint().toString())
    }
}

/**
 * A recipient and an identity in one: whoever knows the phrase opens.
 *
 * Meant for moving a sidecar between people; devices want keys.
 *
 * Cost: about a second on a phone (PBKDF2, 210,000 iterations).
 *
 * @param text at least 8 letters, spaces around them not counted; taken as UTF-8, spaces
 *   and all.
 * @throws KeyException it is shorter.
 */
class Passphrase(
    text: String,
) : Opener {
    internal val secret: ByteArray = text.toByteArray()

    init {
        if (text.trim().length < MIN_LETTERS) {
            throw KeyException(
                "cannot use passphrase: expected at least $MIN_LETTERS letters, got fewer.",
                "Take several words drawn at random.",
            )
        }
    }

    override fun toString(): String = "Passphrase()"

    private companion object {
        const val MIN_LETTERS = 8
    }
}

/**
 * Who a sidecar is sealed to: the public half of an [Identity].
 *
 * @property keyId base64url RFC 7638 SHA-256 thumbprint of the key.
 */
class Recipient private constructor(
    private val jwk: ECKey,
) {
    val keyId: String = jwk.computeThumbprint().toString()

    /** First digits of the key id, for people. */
    val shortId: String get() = shortKeyId(keyId)

    /** The JWK file that `edgepro grant --to` reads; it holds nothing secret. */
    fun toJwk(): String =
        """
        {
         "crv": "P-256",
         "kty": "EC",
         "x": "${jwk.x}",
         "y": "${jwk.y}",
         "kid": "$keyId",
         "use": "enc",
         "alg": "$ECDH"
        }
        """.trimIndent() + "\n"

    override fun toString(): String = "Recipient($ECDH, $shortId)"

    companion object {
        /** @throws KeyException the key is of another curve than P-256. */
        @JvmStatic
        fun of(publicKey: ECPublicKey): Recipient = try {
            Recipient(ECKey.Builder(Curve.P_256, publicKey).build())
        } catch (_: RuntimeException) {
            // Not on the curve.
            throw KeyException("cannot use recipient: expected a P-256 key, got another.")
        }
    }
}

/**
 * Verifies an issuer's signature; ships with the application.
 *
 * @property keyId base64url RFC 7638 SHA-256 thumbprint of the key.
 */
class IssuerKey private constructor(
    internal val jwk: JWK,
    internal val alg: String,
) {
    val keyId: String = jwk.computeThumbprint().toString()

    /** First digits of the key id, for people. */
    val shortId: String get() = shortKeyId(keyId)

    override fun toString(): String = "IssuerKey($alg, $shortId)"

    companion object {
        private const val NOUN = "issuer key"

        /**
         * Loads the public key from the bytes of a JWK file (`issuer_key.jwk`).
         *
         * @throws KeyException it is no such key.
         */
        @JvmStatic
        fun load(data: ByteArray): IssuerKey {
            val jwk = parseKey(data, NOUN, use = "sig")
            if (jwk.isPrivate) {
                val rule = "expected a public key, got a private one, which stays with its owner"
                throw cannotLoad(NOUN, rule)
            }
            val alg =
                when {
                    jwk is ECKey && jwk.curve == Curve.P_256 -> "ES256"
                    jwk is OctetKeyPair && jwk.curve == Curve.Ed25519 -> "EdDSA"
                    else -> throw cannotLoad(NOUN, "expected a P-256 or Ed25519 key, got another")
                }
            if (jwk is OctetKeyPair && !isEd25519Supported(jwk)) {
                throw KeyException(
                    "cannot use issuer key: expected ES256, got EdDSA, which this system does " +
                        "not verify.",
                    "Seal with an ES256 issuer, as edgepro keygen makes them.",
                )
            }
            return IssuerKey(jwk, alg)
        }
    }
}
