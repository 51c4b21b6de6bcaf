package dev.edgepro.sidecar

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.Charset
import java.nio.charset.CodingErrorAction
import java.util.Base64

/** A rule of FORMAT.md does not hold; what it says never reaches a user as it is. */
internal class BadValueException(
    rule: String,
) : Exception(rule)

internal const val SHORT_DIGITS = 8

private val BASE64URL = Regex("[A-Za-z0-9_-]*")

/** Refuses a value unless the rule holds. */
internal fun demand(
    holds: Boolean,
    rule: String,
) {
    if (!holds) throw BadValueException(rule)
}

/** Encodes without padding (RFC 7515, section 2). */
internal fun encodeBase64Url(data: ByteArray): String =
    Base64.getUrlEncoder().withoutPadding().encodeToString(data)

/**
 * Decodes unpadded base64url; only the text that encoding gives is accepted.
 *
 * The platform's decoder ignores stray bits of the last letter, so that several texts
 * would stand for one value.
 *
 * @throws BadValueException it is no such text.
 */
internal fun decodeBase64Url(text: Any?): ByteArray {
    demand(text is String && BASE64URL.matches(text) && text.length % 4 != 1, "base64url")
    val data = Base64.getUrlDecoder().decode(text as String)
    demand(encodeBase64Url(data) == text, "the only base64url text of its bytes")
    return data
}

/**
 * Decodes text strictly.
 *
 * @throws BadValueException the bytes are no such text.
 */
internal fun decodeText(
    data: ByteArray,
    charset: Charset = Charsets.US_ASCII,
): String {
    val decoder =
        charset
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT)
    return try {
        decoder.decode(ByteBuffer.wrap(data)).toString()
    } catch (_: CharacterCodingException) {
        throw BadValueException("$charset text")
    }
}

/**
 * Decodes a JSON object; a failure says no more than that, since the text may be secret.
 *
 * @throws BadValueException the bytes are no such object.
 */
internal fun decodeObject(
    data: ByteArray,
    charset: Charset = Charsets.US_ASCII,
): Map<String, Any?> = try {
    parseJsonObject(decodeText(data, charset))
} catch (_: JsonException) {
    throw BadValueException("a JSON object")
}

/** The first digits of a key id (a base64url thumbprint) in hexadecimal. */
internal fun shortKeyId(keyId: String): String =
    decodeBase64Url(keyId).toHex().take(SHORT_DIGITS) + "…"

/** The first digits of a model id. */
internal fun shortModelId(modelId: String): String = modelId.take(SHORT_DIGITS) + "…"

internal fun ByteArray.toHex(): String = joinToString("") { "%02x".format(it) }
