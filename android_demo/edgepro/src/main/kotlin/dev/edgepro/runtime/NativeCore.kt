package dev.edgepro.runtime

import dev.edgepro.NativeException
import java.nio.ByteBuffer

private const val LIBRARY = "edgepro_jni"

/**
 * The native core, loaded at the first call.
 *
 * Not by its own initialiser, whose failure would be an Error, and a class that is not
 * found from the second call on.
 *
 * @throws NativeException there is no library for this device's processor.
 */
internal val nativeCore: NativeCore by lazy {
    try {
        System.loadLibrary(LIBRARY)
    } catch (error: UnsatisfiedLinkError) {
        throw NativeException(
            "cannot load the native core: expected a library for this device's " +
                "processor, found none (${error.message}).",
            "Build the app for its ABI (ndk.abiFilters).",
        )
    }
    NativeCore
}

/**
 * The calls of `src/main/cpp/edgepro_jni.c`, the only door to native code; to be made
 * through [nativeCore].
 *
 * Delegates and mappings are numbers, each given back once; 0 stands for none. Payloads
 * are read where they lie and not kept.
 */
internal object NativeCore {
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

    /** Gives the memory back; its addresses read as zero until another model takes them. */
    @JvmStatic external fun closeMapping(mapping: Long)

    /** `major.minor.patch` of the native core. */
    @JvmStatic external fun version(): String
}
