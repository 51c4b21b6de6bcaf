package dev.edgepro.sidecar

import com.nimbusds.jose.jwk.JWK
import dev.edgepro.KeyException
import java.text.ParseException

/*
 * Key files: JWK (RFC 7517). No message quotes anything of a file, since any part may be
 * the secret one.
 */

private const val MAX_KEY_FILE_BYTES = 64 shl 10
private val PUBLIC_MEMBERS = setOf("kty", "crv", "x", "y", "n", "e", "k")
private val PRIVATE_MEMBERS = setOf("d", "p", "q", "dp", "dq", "qi")
private val COORDINATES = setOf("x", "y")
private val CURVES_OF_32_BYTES = setOf("P-256", "Ed25519")
private val VERBS = mapOf("enc" to "encrypt", "sig" to "sign")

/**
 * Reads a JWK; its numbers are canonical base64url, other members than numbers and `use`
 * are left alone.
 *
 * @param use what it must be made for: "enc" or "sig" (RFC 7517, section 4.2).
 * @throws KeyException it is no such key.
 */
internal fun parseKey(
    data: ByteArray,
    noun: String,
    use: String,
): JWK {
    if (data.size > MAX_KEY_FILE_BYTES) {
        throw cannotLoad(noun, "expected a key file, got a far larger one")
    }
    if (data.firstOrNull { it > ' '.code } != '{'.code.toByte()) {
        throw cannotLoad(noun, "expected a JWK file, got another")
    }
    val (jwk, given) =
        try {
            val members = decodeObject(data, Charsets.UTF_8)
            val numbers = members.filterKeys { it in PUBLIC_MEMBERS || it in PRIVATE_MEMBERS }
            for (name in numbers.keys - "kty" - "crv") {
                val size = decodeBase64Url(numbers[name]).size
                // Nimbus takes zeros before a coordinate: one key would have several ids.
                val isFree = name !in COORDINATES || numbers["crv"] !in CURVES_OF_32_BYTES
                demand(isFree || size == 32, "a coordinate's size")
            }
            JWK.parse(numbers) to members.getOrDefault("use", use)
        } catch (_: BadValueException) {
            throw damagedKey(noun)
        } catch (_: ParseException) {
            throw damagedKey(noun)
        } catch (_: RuntimeException) {
            // A point that is not on its curve.
            throw damagedKey(noun)
        }
    if (given == use) return jwk
    val (expected, got) = VERBS.getValue(use) to VERBS.values.first { it != VERBS[use] }
    throw KeyException(
        "cannot load $noun: expected a key made to $expected, got one made to $got.",
        "Issuers sign, identities and recipients encrypt; each has its own key.",
    )
}

internal fun cannotLoad(
    noun: String,
    rule: String,
) = KeyException("cannot load $noun: $rule.")

internal fun damagedKey(noun: String) = KeyException(
    "cannot load $noun: it is damaged, or no JWK of a kind used here.",
    "Restore it from a backup, or make a new key.",
)
