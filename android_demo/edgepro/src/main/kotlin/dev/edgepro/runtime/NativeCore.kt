package dev.edgepro.runtime

import dev.edgepro.NativeException
import java.nio.ByteBuffer

/**
 * The calls of `src/main/cpp/edgepro_jni.c`, the only door to native code.
 *
 * Delegates and mappings are numbers, each given back once; 0 stands for none. Payloads
 * are read where they lie and not kept.
 */
internal object NativeCore {
    private const val LIBRARY = "edgepro_jni"

    init {
        try {
            System.loadLibrary(LIBRARY)
        } catch (error: UnsatisfiedLinkError) {
            throw NativeException(
                "cannot load the native core: expected a library for this device's " +
                    "processor, found none (${error.message}).",
                "Build the app for its ABI (ndk.abiFilters).",
            )
        }
    }

    /** Makes the delegate that restores one interpreter: a `TfLiteDelegate*`. */
    @JvmStatic external fun createDelegate(payload: ByteArray): Long

    /** Whether every record of the delegate's lock is restored. */
    @JvmStatic external fun isComplete(delegate: Long): Boolean

    /** Wipes and frees a delegate and the constants that it restored. */
    @JvmStatic external fun destroyDelegate(delegate: Long)

    /**
     * Maps a region of a file privately, copy-on-write.
     *
     * @param length in bytes; below 0 for what is left of the file.
     * @throws java.io.IOException with the system's reason.
     */
    @JvmStatic external fun mapPath(
        path: String,
        offset: Long,
        length: Long,
    ): Long

    /** [mapPath] of an open descriptor, which stays the caller's. */
    @JvmStatic external fun mapDescriptor(
        descriptor: Int,
        offset: Long,
        length: Long,
    ): Long

    /** The mapping's bytes, where they lie. */
    @JvmStatic external fun bufferOf(mapping: Long): ByteBuffer

    /**
     * Restores a mapping in place, once; it can no longer be written to then.
     *
     * @param threads 0 chooses by size.
     */
    @JvmStatic external fun restore(
        mapping: Long,
        payload: ByteArray,
        threads: Int,
    )

    /** Gives the memory back; its addresses stay reserved and read as zero. */
    @JvmStatic external fun closeMapping(mapping: Long)

    /** `major.minor.patch` of the native core. */
    @JvmStatic external fun version(): String
}
