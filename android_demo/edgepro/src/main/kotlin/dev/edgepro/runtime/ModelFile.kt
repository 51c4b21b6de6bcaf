package dev.edgepro.runtime

import dev.edgepro.ModelException
import java.io.File
import java.io.IOException

/**
 * Where a public model lies: a file, or a region of one (an asset inside an APK).
 *
 * @property name for sentences.
 */
class ModelFile private constructor(
    val name: String,
    private val mapNow: () -> Long,
) {
    /** Maps the region privately; the number is given back to [NativeCore.closeMapping]. */
    internal fun map(): Long = try {
        mapNow()
    } catch (error: IOException) {
        throw ModelException(
            "cannot read model $name: ${error.message}.",
            "Name the .tflite file; an asset must be stored uncompressed (noCompress).",
        )
    }

    companion object {
        private const val TO_THE_END = -1L

        /** A whole file; it is read by [restoreModel], not here. */
        @JvmStatic
        fun of(file: File): ModelFile =
            ModelFile(file.name) { nativeCore.mapPath(file.path, 0, TO_THE_END) }

        /**
         * A region of a file.
         *
         * @param offset of its first byte.
         * @param sizeBytes its length in bytes.
         */
        @JvmStatic
        fun of(
            file: File,
            offset: Long,
            sizeBytes: Long,
        ): ModelFile =
            ModelFile(file.name) { nativeCore.mapPath(file.path, offset, checked(sizeBytes)) }

        /**
         * A region behind an open file descriptor, as `AssetFileDescriptor` names one; it
         * stays the caller's and must be open when the model is restored.
         *
         * @param descriptor its number (`parcelFileDescriptor.fd`).
         * @param offset of its first byte.
         * @param sizeBytes its length in bytes.
         */
        @JvmStatic
        @JvmOverloads
        fun of(
            descriptor: Int,
            offset: Long,
            sizeBytes: Long,
            name: String = "the model",
        ): ModelFile =
            ModelFile(name) { nativeCore.mapDescriptor(descriptor, offset, checked(sizeBytes)) }

        private fun checked(sizeBytes: Long): Long {
            if (sizeBytes >= 0) return sizeBytes
            throw IOException("expected its size in bytes, got $sizeBytes")
        }
    }
}
