package dev.edgepro.sidecar

import dev.edgepro.SidecarException
import dev.edgepro.WrongModelException
import java.nio.ByteBuffer
import java.security.MessageDigest

/** How a model is compared with the one that a sidecar belongs to. */
enum class ModelCheck {
    /** Its size alone; the native core compares fingerprints of the constants anyway. */
    SIZE,

    /** The SHA-256 of the whole file. */
    FULL,
}

/**
 * The identity of one public model.
 *
 * @property id SHA-256 of the `.tflite` file, 64 lower-case hexadecimal digits (what
 *   `sha256sum` prints).
 * @property sizeBytes size of the file in bytes.
 * @throws SidecarException they are no such values.
 */
data class ModelBinding(
    val id: String,
    val sizeBytes: Long,
) {
    init {
        if (!MODEL_ID.matches(id)) {
            throw SidecarException(
                "cannot make a model binding: expected an id of 64 lower-case " +
                    "hexadecimal digits, got another.",
                "Use ModelBinding.of(model).",
            )
        }
        if (sizeBytes !in 1..MAX_MODEL_BYTES) {
            throw SidecarException(
                "cannot make a model binding: expected a size of at least 1 byte, got " +
                    "sizeBytes=$sizeBytes.",
            )
        }
    }

    override fun toString(): String = "${shortModelId(id)} (${count(sizeBytes)} bytes)"

    companion object {
        /** The largest integer that every JSON reader keeps exact. */
        internal const val MAX_MODEL_BYTES = (1L shl 53) - 1
        private val MODEL_ID = Regex("[0-9a-f]{64}")

        /**
         * Computes the binding of a model.
         *
         * Cost: hashes the whole buffer, about 1 ms for each megabyte.
         *
         * @param model the whole file, from the buffer's position to its limit, which
         *   stay as they are.
         * @throws SidecarException it is empty.
         */
        @JvmStatic
        fun of(model: ByteBuffer): ModelBinding {
            val digest = MessageDigest.getInstance("SHA-256")
            digest.update(model.duplicate())
            return ModelBinding(digest.digest().toHex(), model.remaining().toLong())
        }
    }
}

/**
 * Checks that a model is the very one bound.
 *
 * @param model the whole file.
 * @param name the model's name, for the sentence.
 * @throws WrongModelException it is another.
 */
internal fun checkModel(
    binding: ModelBinding,
    model: ByteBuffer,
    check: ModelCheck,
    name: String = "",
    sidecarName: String = "",
) {
    val isWrongSize = model.remaining().toLong() != binding.sizeBytes
    if (isWrongSize || (check == ModelCheck.FULL && ModelBinding.of(model) != binding)) {
        val got = if (model.hasRemaining()) "${ModelBinding.of(model)}" else "empty"
        throw wrongModel(binding, got, name, sidecarName)
    }
}

/** [checkModel] of a model that is known by its binding alone. */
internal fun checkModel(
    binding: ModelBinding,
    model: ModelBinding,
    sidecarName: String = "",
) {
    if (model != binding) throw wrongModel(binding, "$model", "", sidecarName)
}

private fun wrongModel(
    binding: ModelBinding,
    got: String,
    name: String,
    sidecarName: String,
): WrongModelException {
    val sidecar = if (sidecarName.isEmpty()) "the sidecar" else "sidecar $sidecarName"
    return WrongModelException(
        "cannot restore ${name.ifEmpty { "the model" }}: $sidecar belongs to model " +
            "$binding, this file is $got.",
        "Ship the pair that one conversion wrote.",
    )
}
