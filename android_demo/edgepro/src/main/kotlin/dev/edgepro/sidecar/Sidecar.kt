package dev.edgepro.sidecar

import dev.edgepro.SidecarException
import dev.edgepro.SidecarFormatException
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.InputStream

/**
 * The bytes of a sidecar and its name for sentences.
 *
 * Nothing is judged but its size; [openSidecar] does the rest.
 *
 * @property name the file's name; empty for bytes without one.
 */
class Sidecar private constructor(
    internal val data: ByteArray,
    val name: String,
) {
    internal fun task(verb: String): String = taskOf(verb, name)

    /**
     * Keeps it in a file, whole or not at all; one of that name is replaced.
     *
     * @throws SidecarException the system refused.
     */
    fun write(file: File) {
        val partial = File(file.path + ".partial")
        try {
            partial.outputStream().use {
                it.write(data)
                it.fd.sync()
            }
            if (partial.renameTo(file)) return
        } catch (_: IOException) {
            // Told below.
        }
        partial.delete()
        throw SidecarException(
            "cannot write sidecar ${file.name}: the system refused.",
            "Check that the folder exists and has room: ${file.parent}",
        )
    }

    companion object {
        internal const val MAX_BYTES = 64 shl 20

        /** Takes bytes that are in memory; they are not copied. */
        @JvmStatic
        @JvmOverloads
        fun of(
            data: ByteArray,
            name: String = "",
        ): Sidecar {
            checkSize(data.size.toLong(), name)
            return Sidecar(data, name)
        }

        /**
         * Reads a file.
         *
         * @throws SidecarFormatException it is too large to be a sidecar.
         * @throws SidecarException it cannot be read.
         */
        @JvmStatic
        fun read(file: File): Sidecar {
            try {
                checkSize(file.length(), file.name)
                return file.inputStream().use { read(it, file.name) }
            } catch (error: IOException) {
                throw unreadable(file.name, error, "Check the path: $file")
            }
        }

        /**
         * Reads a stream to its end, such as an asset or what another app shares; the
         * caller closes it.
         *
         * @throws SidecarFormatException it is too large to be a sidecar.
         * @throws SidecarException it cannot be read.
         */
        @JvmStatic
        @JvmOverloads
        fun read(
            stream: InputStream,
            name: String = "",
        ): Sidecar {
            val out = ByteArrayOutputStream()
            val chunk = ByteArray(1 shl 14)
            try {
                while (out.size() <= MAX_BYTES) {
                    val count = stream.read(chunk)
                    if (count < 0) break
                    out.write(chunk, 0, count)
                }
            } catch (error: IOException) {
                throw unreadable(name, error, "")
            }
            return of(out.toByteArray(), name)
        }

        private fun checkSize(
            sizeBytes: Long,
            name: String,
        ) {
            if (sizeBytes <= MAX_BYTES) return
            throw SidecarFormatException(
                "${taskOf("open", name)}: expected at most ${count(MAX_BYTES)} bytes, got " +
                    "${count(sizeBytes)}.",
                "Name the sidecar, not the model.",
            )
        }

        private fun unreadable(
            name: String,
            error: IOException,
            hint: String,
        ): SidecarException {
            val reason = error.message?.substringAfterLast('(')?.trimEnd(')')
            return SidecarException(
                "${taskOf("open", name)}: ${reason ?: "the system refused"}.",
                hint,
            )
        }

        private fun taskOf(
            verb: String,
            name: String,
        ): String = if (name.isEmpty()) "cannot $verb sidecar" else "cannot $verb sidecar $name"
    }
}
