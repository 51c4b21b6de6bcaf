package dev.edgepro.sidecar

import dev.edgepro.WrongKeyException

private const val MAX_LISTED = 8

/**
 * Decrypts the content with the entry made for this opener.
 *
 * @throws WrongKeyException no entry is for it, or decryption failed.
 */
internal fun unseal(
    envelope: Envelope,
    opener: Opener,
    task: String,
): ByteArray {
    val (alg, keyId) =
        when (opener) {
            is Identity -> opener.alg to opener.keyId
            is Passphrase -> PASSPHRASE to null
        }
    val candidates = envelope.recipients.filter { it.alg == alg && it.keyId == keyId }
    if (candidates.isEmpty()) throw noRecipient(envelope, opener, task)
    for (entry in candidates) { // More than one only for passphrases.
        try {
            return decryptContent(envelope, entry, opener)
        } catch (_: JoseException) {
            continue
        }
    }
    // One class and one text, whatever went wrong from here on.
    throw WrongKeyException(
        "$task: decryption failed.",
        "The key or passphrase is another's, or the file was altered.",
    )
}

private fun noRecipient(
    envelope: Envelope,
    opener: Opener,
    task: String,
): WrongKeyException {
    val sealedTo = "$task: it is sealed to ${listRecipients(envelope.recipients)}"
    return when (opener) {
        is Passphrase ->
            WrongKeyException(
                "$sealedTo; a passphrase was given.",
                "Use one of those keys, or ask for a grant to the passphrase.",
            )
        is Identity ->
            WrongKeyException(
                "$sealedTo; this identity is ${opener.shortId}.",
                "Ask for a grant to this identity, or use one of those.",
            )
    }
}

/** Who a sidecar is sealed to, as part of a sentence. */
private fun listRecipients(entries: List<RecipientEntry>): String {
    val ids = entries.mapNotNull { it.keyId }.map(::shortKeyId)
    val passphrases = entries.size - ids.size
    val parts = ArrayList<String>()
    if (ids.isNotEmpty()) {
        val more = ids.size - MAX_LISTED
        val rest = if (more > 0) " and ${count(more)} more" else ""
        val noun = if (ids.size > 1) "keys" else "key"
        parts += "$noun ${ids.take(MAX_LISTED).joinToString(", ")}$rest"
    }
    if (passphrases == 1) parts += "a passphrase"
    if (passphrases > 1) parts += "$passphrases passphrases"
    return parts.joinToString(" and ")
}
