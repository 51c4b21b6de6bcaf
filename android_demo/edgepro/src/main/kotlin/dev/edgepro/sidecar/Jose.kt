package dev.edgepro.sidecar

import com.nimbusds.jose.EncryptionMethod
import com.nimbusds.jose.JOSEException
import com.nimbusds.jose.JWEAlgorithm
import com.nimbusds.jose.JWEDecrypter
import com.nimbusds.jose.JWEHeader
import com.nimbusds.jose.JWSAlgorithm
import com.nimbusds.jose.JWSHeader
import com.nimbusds.jose.crypto.AESDecrypter
import com.nimbusds.jose.crypto.ECDHDecrypter
import com.nimbusds.jose.crypto.ECDSAVerifier
import com.nimbusds.jose.crypto.PasswordBasedDecrypter
import com.nimbusds.jose.crypto.RSADecrypter
import com.nimbusds.jose.jwk.Curve
import com.nimbusds.jose.jwk.ECKey
import com.nimbusds.jose.jwk.OctetKeyPair
import com.nimbusds.jose.util.Base64URL
import java.security.GeneralSecurityException
import java.security.KeyFactory
import java.security.PrivateKey
import java.security.Signature
import java.security.spec.X509EncodedKeySpec
import java.util.zip.DataFormatException
import java.util.zip.Inflater
import javax.crypto.SecretKey

/*
 * The one door to Nimbus JOSE+JWT and the platform's providers: decryption, signatures,
 * and DEFLATE.
 *
 * Nothing here judges a file: callers hand over parsed, bounded values (Envelope.kt) and
 * turn a JoseException into a sentence.
 *
 * Sources: RFC 7515 (JWS), 7516 (JWE), 7518 (JWA), 8037 (EdDSA), 1951 (DEFLATE).
 */

private const val SIGNATURE_BYTES = 64 // Of ES256 and of Ed25519.

/** A key, signature or ciphertext is not acceptable; carries no detail. */
internal class JoseException : Exception("not acceptable")

/**
 * Decrypts the content with one recipient's entry, and inflates it within its limit.
 *
 * The header given to Nimbus says nothing of compression: Nimbus would inflate whatever
 * comes, we stop at [MAX_UNZIPPED_BYTES].
 */
internal fun decryptContent(
    envelope: Envelope,
    entry: RecipientEntry,
    opener: Opener,
): ByteArray {
    val content =
        hideDetail {
            decrypterOf(opener).decrypt(
                headerOf(entry),
                Base64URL(entry.encryptedKey),
                Base64URL(envelope.iv),
                Base64URL(envelope.ciphertext),
                Base64URL(envelope.tag),
                envelope.protectedHeader.toByteArray(Charsets.US_ASCII),
            )
        }
    if (!envelope.isZipped) return content
    try {
        val inflated = inflate(content, MAX_UNZIPPED_BYTES)
        return inflated?.takeIf { it.isNotEmpty() } ?: throw JoseException()
    } finally {
        content.fill(0)
    }
}

private fun decrypterOf(opener: Opener): JWEDecrypter = when (opener) {
    is Passphrase -> PasswordBasedDecrypter(opener.secret)
    is Identity ->
        when (opener.alg) {
            // Taken as it is, so that a key in hardware does: its provider agrees.
            ECDH -> ECDHDecrypter(opener.key as PrivateKey, null, Curve.P_256)
            RSA -> RSADecrypter(opener.key as PrivateKey)
            else -> AESDecrypter(opener.key as SecretKey)
        }
}

private fun headerOf(entry: RecipientEntry): JWEHeader {
    val header = JWEHeader.Builder(JWEAlgorithm(entry.alg), EncryptionMethod.A256GCM)
    entry.ephemeralKey?.let { (x, y) ->
        header.ephemeralPublicKey(ECKey.Builder(Curve.P_256, Base64URL(x), Base64URL(y)).build())
    }
    entry.salt?.let { header.pbes2Salt(Base64URL(it)).pbes2Count(entry.iterations) }
    return header.build()
}

/**
 * Verifies a signature with the key's algorithm, whatever the token's header suggests.
 *
 * @param signed header and content of a compact JWS, with the dot between them.
 * @param signature as the token spells it.
 */
internal fun verifySignature(
    signed: ByteArray,
    signature: String,
    issuer: IssuerKey,
) {
    val holds =
        hideDetail {
            val bytes = Base64URL(signature)
            // A desktop's Ed25519 passes over what follows.
            if (bytes.decode().size != SIGNATURE_BYTES) throw JoseException()
            when (val key = issuer.jwk) {
                is ECKey -> ECDSAVerifier(key).verify(JWSHeader(JWSAlgorithm.ES256), signed, bytes)
                else -> verifyEd25519(key as OctetKeyPair, signed, bytes.decode())
            }
        }
    if (!holds) throw JoseException()
}

private fun verifyEd25519(
    key: OctetKeyPair,
    signed: ByteArray,
    signature: ByteArray,
): Boolean = beginEd25519(key).run {
    update(signed)
    verify(signature)
}

/** Whether the platform verifies this key's signatures, as Android 14 does not. */
internal fun isEd25519Supported(key: OctetKeyPair): Boolean = try {
    beginEd25519(key)
    true
} catch (_: GeneralSecurityException) {
    false
}

/** By the platform, since Nimbus would need one more library for it. */
private fun beginEd25519(key: OctetKeyPair): Signature {
    val encoded = X509EncodedKeySpec(ED25519_KEY_INFO + key.decodedX)
    val publicKey = KeyFactory.getInstance("Ed25519").generatePublic(encoded)
    return Signature.getInstance("Ed25519").apply { initVerify(publicKey) }
}

/** What stands before the 32 bytes of a key's SubjectPublicKeyInfo (RFC 8410, section 4). */
private val ED25519_KEY_INFO =
    byteArrayOf(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00)

/**
 * Inflates raw DEFLATE data.
 *
 * @return null if they are no such data, give more than the limit, or are followed by
 *   others.
 */
internal fun inflate(
    data: ByteArray,
    maxBytes: Int,
): ByteArray? {
    val inflater = Inflater(true)
    var out = ByteArray(minOf(maxBytes + 1, maxOf(4 * data.size, 1024)))
    var size = 0
    try {
        inflater.setInput(data)
        while (!inflater.finished()) {
            if (size > maxBytes) return null
            if (size == out.size) out = out.grownTo(minOf(maxBytes + 1, 2 * size))
            val count = inflater.inflate(out, size, out.size - size)
            if (count == 0 && !inflater.finished()) return null
            size += count
        }
        return if (inflater.remaining == 0 && size <= maxBytes) out.copyOf(size) else null
    } catch (_: DataFormatException) {
        return null
    } finally {
        out.fill(0)
        inflater.end()
    }
}

private fun ByteArray.grownTo(size: Int): ByteArray = copyOf(size).also { fill(0) }

private fun <T> hideDetail(call: () -> T): T = try {
    call()
} catch (_: JOSEException) {
    throw JoseException()
} catch (_: GeneralSecurityException) {
    throw JoseException()
} catch (_: RuntimeException) {
    // Of a point off the curve, or a provider.
    throw JoseException()
}
