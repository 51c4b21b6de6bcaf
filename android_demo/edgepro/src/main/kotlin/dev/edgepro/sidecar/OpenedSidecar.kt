package dev.edgepro.sidecar

import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter

/**
 * What an opened sidecar says; [close] wipes the lock.
 *
 * @property payload the lock's bytes, for the native core; zeros once closed.
 * @property model the public model it belongs to.
 * @property sidecarId the unique id of this sealing (claim `jti`).
 * @property issuerKeyId thumbprint of the key that signed it.
 * @property issuedAt when it was signed.
 * @property issuerName the issuer's name, for people; null if it has none.
 * @property audience the application it is for; null for any.
 * @property notBefore the moment from which it is valid; null for any.
 * @property expires the moment at which it ends; null for never.
 */
class OpenedSidecar internal constructor(
    val payload: ByteArray,
    val model: ModelBinding,
    val sidecarId: String,
    val issuerKeyId: String,
    val issuedAt: Instant,
    val issuerName: String?,
    val audience: String?,
    val notBefore: Instant?,
    val expires: Instant?,
) : AutoCloseable {
    /**
     * Wipes the payload.
     *
     * Copies that the JSON reader made on the way are garbage, which the JVM overwrites
     * when it likes: a dump of the process may hold the lock, as it may hold the restored
     * weights.
     */
    override fun close() = payload.fill(0)

    override fun toString(): String {
        val by = issuerName?.ifEmpty { null } ?: "key ${shortKeyId(issuerKeyId)}"
        val until = expires?.let { "expires ${dateOf(it)}" } ?: "never expires"
        val whom = audience?.let { "application $it" } ?: "any application"
        return "sidecar of model $model, signed by $by on ${dateOf(issuedAt)}, for $whom, $until"
    }
}

private val DATE = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss 'UTC'")

/** A moment as sentences show it: 2026-06-01 12:00:00 UTC. */
internal fun dateOf(moment: Instant): String = DATE.format(moment.atOffset(ZoneOffset.UTC))
