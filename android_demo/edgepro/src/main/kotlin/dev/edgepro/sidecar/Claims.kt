package dev.edgepro.sidecar

import java.math.BigInteger

/*
 * What an issuer signs: the lock, its model, for whom, and from when till when.
 */

internal const val MAX_PAYLOAD_BYTES = 24 shl 20
internal const val MAX_SECONDS = 253_402_300_799 // The end of the year 9999.

/** The claims of a sidecar (RFC 7519, section 4.1, and three of our own), in seconds. */
internal class Claims(
    val payload: ByteArray,
    val model: ModelBinding,
    val issuedAt: Long,
    val sidecarId: String,
    val issuerName: String?,
    val audience: String?,
    val notBefore: Long?,
    val expires: Long?,
)

/**
 * Reads claims; members of other names are ignored.
 *
 * @throws BadValueException a claim is missing or not of its type.
 * @throws dev.edgepro.SidecarException its model is none.
 */
internal fun parseClaims(data: ByteArray): Claims {
    val members = decodeObject(data)
    val packed = decodeBase64Url(members["lock"])
    val payload = inflate(packed, MAX_PAYLOAD_BYTES)
    packed.fill(0)
    demand(payload != null, "one deflate stream of at most 24 MiB")
    return Claims(
        payload = payload!!,
        model = parseBinding(members["model"], members["size"]),
        issuedAt = secondsOf(members["iat"]),
        sidecarId = textOf(members["jti"]),
        issuerName = members.optional("iss", ::textOf),
        audience = members.optional("aud", ::textOf),
        notBefore = members.optional("nbf", ::secondsOf),
        expires = members.optional("exp", ::secondsOf),
    )
}

private fun secondsOf(value: Any?): Long {
    demand(value is BigInteger && value.bitLength() < 64, "a moment")
    val seconds = (value as BigInteger).toLong()
    demand(seconds in 0..MAX_SECONDS, "a moment from 1970 to 9999")
    return seconds
}

private fun textOf(value: Any?): String {
    demand(value is String, "text")
    return value as String
}

private fun <T> Map<String, Any?>.optional(
    name: String,
    parse: (Any?) -> T,
): T? = if (name in this) parse(this[name]) else null
