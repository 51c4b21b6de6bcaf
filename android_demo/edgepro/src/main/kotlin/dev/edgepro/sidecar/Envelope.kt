package dev.edgepro.sidecar

import dev.edgepro.SidecarException
import dev.edgepro.SidecarFormatException
import java.math.BigInteger

/*
 * The outer form of a sidecar: JSON members and limits. Knows no cryptography.
 *
 * The format is edgepro_tf/sidecar/FORMAT.md. A file is accepted in one spelling only:
 * exact members, canonical base64url, bounded sizes, so that no change of a byte goes
 * unnoticed.
 */

internal const val VERSION = 1
internal const val MAX_UNZIPPED_BYTES = 1 shl 20

internal const val ECDH = "ECDH-ES+A256KW"
internal const val RSA = "RSA-OAEP-256"
internal const val AES = "A256KW"
internal const val PASSPHRASE = "PBES2-HS512+A256KW"

private const val MAX_ZIPPED_BYTES = 64 shl 10
private const val MAX_RECIPIENTS = 1024
private const val MAX_PASSPHRASES = 4
private const val KEY_ID_BYTES = 32
private const val COORDINATE_BYTES = 32
private val WRAPPED_KEY_BYTES = 40..40
private val RSA_WRAPPED_KEY_BYTES = 256..1024
private val ITERATIONS = 1_000..1_000_000
private val SALT_BYTES = 8..64

private val MEMBERS = setOf("protected", "recipients", "iv", "ciphertext", "tag")
private val HEADER_PARAMETERS =
    mapOf(
        ECDH to setOf("alg", "kid", "epk"),
        RSA to setOf("alg", "kid"),
        AES to setOf("alg", "kid"),
        PASSPHRASE to setOf("alg", "p2c", "p2s"),
    )
private const val TRANSFER = "Transfer it again, or restore it from where it was sealed."

/**
 * One recipient's copy of the content key, wrapped.
 *
 * @property keyId thumbprint of the recipient's key; null for a passphrase.
 * @property ephemeralKey x and y of an ECDH entry, base64url; else null.
 * @property salt of a passphrase's entry, base64url; else null.
 */
internal class RecipientEntry(
    val alg: String,
    val keyId: String?,
    val encryptedKey: String,
    val ephemeralKey: Pair<String, String>? = null,
    val salt: String? = null,
    val iterations: Int = 0,
)

/** A parsed sidecar; nothing in it is authenticated before it is opened. */
internal class Envelope(
    val protectedHeader: String,
    val iv: String,
    val ciphertext: String,
    val tag: String,
    val recipients: List<RecipientEntry>,
    val model: ModelBinding,
    val isZipped: Boolean,
)

/**
 * Reads the outer form.
 *
 * @param task how an error's sentence begins.
 * @throws SidecarFormatException it is none, is damaged or cut short, or of a newer format.
 */
internal fun parseEnvelope(
    data: ByteArray,
    task: String,
): Envelope {
    val members = parseFile(data, task)
    val header = parseProtected(members, task)
    return try {
        parseMembers(members, header)
    } catch (_: BadValueException) {
        throw damaged(task)
    } catch (_: SidecarException) {
        // A binding of no model.
        throw damaged(task)
    }
}

private fun parseMembers(
    members: Map<String, Any?>,
    header: Map<String, Any?>,
): Envelope {
    demand(members.keys == MEMBERS, "members")
    val ciphertext = decodeBase64Url(members["ciphertext"])
    demand(decodeBase64Url(members["iv"]).size == 12, "iv")
    demand(decodeBase64Url(members["tag"]).size == 16, "tag")
    demand(ciphertext.isNotEmpty(), "ciphertext")
    val model = checkHeader(header)
    val isZipped = "zip" in header
    demand(!isZipped || ciphertext.size <= MAX_ZIPPED_BYTES, "compressed content")
    return Envelope(
        members["protected"] as String,
        members["iv"] as String,
        members["ciphertext"] as String,
        members["tag"] as String,
        parseRecipients(members["recipients"]),
        model,
        isZipped,
    )
}

private fun parseFile(
    data: ByteArray,
    task: String,
): Map<String, Any?> {
    if (data.isEmpty()) throw SidecarFormatException("$task: the file is empty.", TRANSFER)
    if (data.firstOrNull { it !in " \t\r\n".toByteArray() } != '{'.code.toByte()) {
        val isModel = data.size >= 8 && String(data, 4, 4, Charsets.ISO_8859_1) == "TFL3"
        val got = if (isModel) "a TFLite model" else "another beginning"
        throw notASidecar(task, "expected JSON, got $got")
    }
    val foreign = data.indexOfFirst { it < 0 }
    val problem =
        try {
            if (foreign < 0) return parseJsonObject(String(data, Charsets.US_ASCII))
            "it is damaged at byte ${count(foreign)}"
        } catch (error: JsonException) {
            if (error.isCut) throw cutShort(task, data.size)
            error.refusal?.let { "it is damaged: $it" }
                ?: "it is damaged at byte ${count(error.position)}"
        }
    throw SidecarFormatException("$task: $problem.", TRANSFER)
}

/** The protected header; the version is judged before all else. */
private fun parseProtected(
    members: Map<String, Any?>,
    task: String,
): Map<String, Any?> {
    val text = members["protected"] as? String
    text ?: throw notASidecar(task, "expected a JWE, got other JSON")
    val header =
        try {
            decodeObject(decodeBase64Url(text), Charsets.UTF_8)
        } catch (_: BadValueException) {
            throw SidecarFormatException("$task: its protected header is damaged.", TRANSFER)
        }
    val ours = header["edgepro"] as? Map<*, *>
    ours ?: throw notASidecar(task, "expected EdgePro's header, got a foreign JWE")
    val version = ours["version"]
    if (version is BigInteger && version > BigInteger.valueOf(VERSION.toLong())) {
        throw SidecarFormatException(
            "$task: expected format version $VERSION, got version=$version.",
            "Update EdgePro, or seal it again with this version.",
        )
    }
    return header
}

private fun checkHeader(header: Map<String, Any?>): ModelBinding {
    val ours = header["edgepro"] as Map<*, *>
    demand(ours["version"] == BigInteger.valueOf(VERSION.toLong()), "version")
    demand(ours.keys == setOf("version", "model", "size"), "edgepro")
    val fixed = header - "edgepro" - "zip"
    demand(fixed == mapOf("typ" to "edgepro", "cty" to "JWT", "enc" to "A256GCM"), "header")
    demand("zip" !in header || header["zip"] == "DEF", "zip")
    return parseBinding(ours["model"], ours["size"])
}

/**
 * The binding that a header or claims name.
 *
 * @throws BadValueException they are not of its types.
 * @throws SidecarException they are no binding.
 */
internal fun parseBinding(
    id: Any?,
    sizeBytes: Any?,
): ModelBinding {
    demand(id is String && sizeBytes is BigInteger && sizeBytes.bitLength() < 64, "model")
    return ModelBinding(id as String, (sizeBytes as BigInteger).toLong())
}

private fun parseRecipients(entries: Any?): List<RecipientEntry> {
    demand(entries is List<*> && entries.size in 1..MAX_RECIPIENTS, "recipients")
    val recipients = (entries as List<*>).map(::parseRecipient)
    demand(recipients.count { it.keyId == null } <= MAX_PASSPHRASES, "passphrases")
    val keyIds = recipients.mapNotNull { it.keyId }
    demand(keyIds.toSet().size == keyIds.size, "one recipient twice")
    return recipients
}

private fun parseRecipient(entry: Any?): RecipientEntry {
    demand(entry is Map<*, *> && entry.keys == setOf("header", "encrypted_key"), "entry")
    val header = (entry as Map<*, *>)["header"]
    demand(header is Map<*, *>, "recipient header")
    val alg = (header as Map<*, *>)["alg"]
    demand(header.keys == HEADER_PARAMETERS[alg], "recipient header parameters")
    val encryptedKey = entry["encrypted_key"]
    val sizes = if (alg == RSA) RSA_WRAPPED_KEY_BYTES else WRAPPED_KEY_BYTES
    demand(decodeBase64Url(encryptedKey).size in sizes, "wrapped key")
    if (alg == PASSPHRASE) return parsePassphrase(header, encryptedKey as String)
    demand(decodeBase64Url(header["kid"]).size == KEY_ID_BYTES, "key id")
    return RecipientEntry(
        alg as String,
        header["kid"] as String,
        encryptedKey as String,
        ephemeralKey = if (alg == ECDH) parseEphemeralKey(header["epk"]) else null,
    )
}

private fun parsePassphrase(
    header: Map<*, *>,
    encryptedKey: String,
): RecipientEntry {
    val iterations = header["p2c"]
    demand(iterations is BigInteger && iterations.bitLength() < 32, "iterations")
    demand((iterations as BigInteger).toInt() in ITERATIONS, "iterations")
    demand(decodeBase64Url(header["p2s"]).size in SALT_BYTES, "salt")
    return RecipientEntry(
        PASSPHRASE,
        null,
        encryptedKey,
        salt = header["p2s"] as String,
        iterations = iterations.toInt(),
    )
}

private fun parseEphemeralKey(key: Any?): Pair<String, String> {
    demand(key is Map<*, *> && key.keys == setOf("kty", "crv", "x", "y"), "ephemeral key")
    key as Map<*, *>
    demand(key["kty"] == "EC" && key["crv"] == "P-256", "ephemeral key's curve")
    for (name in listOf("x", "y")) {
        demand(decodeBase64Url(key[name]).size == COORDINATE_BYTES, "ephemeral key's size")
    }
    return key["x"] as String to key["y"] as String
}

private fun cutShort(
    task: String,
    sizeBytes: Int,
) = SidecarFormatException(
    "$task: the file ends at byte ${count(sizeBytes)}, in the midst of its JSON.",
    "Likely a partial copy; transfer it again.",
)

private fun damaged(task: String) =
    SidecarFormatException("$task: it is damaged, or was not written by EdgePro.", TRANSFER)

private fun notASidecar(
    task: String,
    rule: String,
) = SidecarFormatException("$task: it is no sidecar: $rule.", "Name the .edgepro file of the pair.")

/** A number as sentences show it: 1,024. */
internal fun count(number: Number): String = "%,d".format(java.util.Locale.ROOT, number.toLong())
