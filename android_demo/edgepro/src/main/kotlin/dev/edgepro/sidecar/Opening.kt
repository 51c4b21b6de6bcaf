package dev.edgepro.sidecar

import dev.edgepro.ExpiredException
import dev.edgepro.SidecarException
import dev.edgepro.SidecarFormatException
import dev.edgepro.UntrustedSidecarException
import java.time.Duration
import java.time.Instant

private val HEADER_PARAMETERS = setOf("typ", "alg", "kid")
private const val TYPE = "edgepro+jwt"
private const val KEY_ID_BYTES = 32

/**
 * Opens a sidecar and checks all that it claims, except that it belongs to the model at
 * hand: [loadDelegate][dev.edgepro.runtime.loadDelegate] and
 * [restoreModel][dev.edgepro.runtime.restoreModel] do that as well.
 *
 * ```
 * openSidecar(Sidecar.read(file), identity, issuer, audience = "com.example.app").use { ... }
 * ```
 *
 * Cost: a few milliseconds, and what a key in hardware takes; much more with a passphrase.
 *
 * Source: RFC 7519, section 7.2; RFC 8725; `edgepro_tf/sidecar/FORMAT.md`.
 *
 * @param opener whose key opens it.
 * @param issuer whose signature is trusted.
 * @param audience this application's id. It must equal the sidecar's; null opens only a
 *   sidecar for any application.
 * @param now the present.
 * @param leeway by how much clocks may differ.
 * @return the payload and the claims; to be closed.
 * @throws SidecarFormatException it is no sidecar, is damaged, cut short, or newer.
 * @throws dev.edgepro.WrongKeyException it is sealed to others, or decryption failed.
 * @throws UntrustedSidecarException signature or audience is not the expected one.
 * @throws ExpiredException it is not valid yet, or no longer.
 */
@JvmOverloads
fun openSidecar(
    sidecar: Sidecar,
    opener: Opener,
    issuer: IssuerKey,
    audience: String? = null,
    now: Instant = Instant.now(),
    leeway: Duration = Duration.ZERO,
): OpenedSidecar {
    val task = sidecar.task("open")
    val envelope = parseEnvelope(sidecar.data, task)
    val content = unseal(envelope, opener, task)
    val claims =
        try {
            verifyClaims(content, issuer, task)
        } finally {
            content.fill(0)
        }
    try {
        checkHeader(envelope, claims, task)
        checkAudience(claims, audience, task)
        checkPeriod(claims, now, leeway, task)
    } catch (error: SidecarException) {
        claims.payload.fill(0)
        throw error
    }
    return opened(claims, issuer)
}

/** The signed claims. The algorithm is the key's, never the file's. */
private fun verifyClaims(
    content: ByteArray,
    issuer: IssuerKey,
    task: String,
): Claims {
    val token =
        try {
            parseToken(content)
        } catch (_: BadValueException) {
            throw SidecarFormatException("$task: its content is no signed lock.")
        }
    if (token.keyId != issuer.keyId) {
        throw UntrustedSidecarException(
            "$task: expected issuer ${issuer.shortId}, it is signed by " +
                "${shortKeyId(token.keyId)}.",
            "Get it from the issuer you trust, or trust that issuer's key.",
        )
    }
    try {
        if (token.alg != issuer.alg) throw JoseException()
        verifySignature(token.signed, token.signature, issuer)
    } catch (_: JoseException) {
        throw UntrustedSidecarException(
            "$task: the signature of issuer ${issuer.shortId} does not hold.",
            "Someone else made or changed it; get it from the issuer again.",
        )
    }
    return try {
        parseClaims(token.claims)
    } catch (_: BadValueException) {
        throw badClaims(task)
    } catch (_: SidecarException) {
        // A binding of no model.
        throw badClaims(task)
    } finally {
        token.wipe()
    }
}

/** A compact JWS, taken apart; nothing in it is verified. */
private class Token(
    val alg: String,
    val keyId: String,
    val signed: ByteArray,
    val claims: ByteArray,
    val signature: String,
) {
    fun wipe() {
        signed.fill(0)
        claims.fill(0)
    }
}

private fun parseToken(content: ByteArray): Token {
    val parts = decodeText(content).split('.')
    demand(parts.size == 3, "parts")
    val (first, claims, _) = parts.map(::decodeBase64Url)
    val header = decodeObject(first)
    demand(header.keys == HEADER_PARAMETERS, "header parameters")
    demand(header["typ"] == TYPE && header["alg"] is String, "type")
    demand(decodeBase64Url(header["kid"]).size == KEY_ID_BYTES, "key id")
    return Token(
        header["alg"] as String,
        header["kid"] as String,
        content.copyOf(content.size - parts[2].length - 1),
        claims,
        parts[2],
    )
}

private fun checkHeader(
    envelope: Envelope,
    claims: Claims,
    task: String,
) {
    if (envelope.model == claims.model) return
    throw UntrustedSidecarException(
        "$task: its header names model ${shortModelId(envelope.model.id)}, the issuer " +
            "signed for ${shortModelId(claims.model.id)}.",
        "A recipient sealed it anew; get it from the issuer again.",
    )
}

private fun checkAudience(
    claims: Claims,
    audience: String?,
    task: String,
) {
    if (claims.audience == audience) return
    val (problem, hint) =
        when {
            claims.audience == null ->
                "expected audience '$audience', it names none" to
                    "Seal it for this application, or open it without an audience."
            audience == null ->
                "it is for application '${claims.audience}', none was named" to
                    "Name this application's id as the audience."
            else ->
                "expected audience '$audience', it is for '${claims.audience}'" to
                    "Ask the issuer for a sidecar for this application."
        }
    throw UntrustedSidecarException("$task: $problem.", hint)
}

private fun checkPeriod(
    claims: Claims,
    now: Instant,
    leeway: Duration,
    task: String,
) {
    val start = claims.notBefore?.let(Instant::ofEpochSecond)
    val end = claims.expires?.let(Instant::ofEpochSecond)
    if (start != null && now < start - leeway) {
        throw ExpiredException(
            "$task: it is valid from ${dateOf(start)}, it is now ${dateOf(now)}.",
            "Wait, or set the clock right.",
        )
    }
    if (end != null && now >= end + leeway) {
        throw ExpiredException(
            "$task: it expired ${dateOf(end)}, it is now ${dateOf(now)}.",
            "Ask the issuer for a new one.",
        )
    }
}

private fun opened(
    claims: Claims,
    issuer: IssuerKey,
) = OpenedSidecar(
    payload = claims.payload,
    model = claims.model,
    sidecarId = claims.sidecarId,
    issuerKeyId = issuer.keyId,
    issuedAt = Instant.ofEpochSecond(claims.issuedAt),
    issuerName = claims.issuerName,
    audience = claims.audience,
    notBefore = claims.notBefore?.let(Instant::ofEpochSecond),
    expires = claims.expires?.let(Instant::ofEpochSecond),
)

private fun badClaims(task: String) = SidecarFormatException(
    "$task: its signed claims are not of this format.",
    "Seal it again with EdgePro.",
)
