package dev.edgepro.runtime

import dev.edgepro.NativeException
import dev.edgepro.sidecar.ModelBinding
import dev.edgepro.sidecar.ModelCheck
import dev.edgepro.sidecar.checkModel
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A restored model in private memory of this process, for what takes a buffer and no
 * delegate: `Interpreter(ByteBuffer)`, LiteRT's `CompiledModel`, MediaPipe Tasks.
 *
 * The file is mapped copy-on-write: pages that restoring does not touch stay shared with
 * the page cache, and nothing is ever written to the file. [restoreModel] makes it.
 *
 * Close it after what uses its buffer has ended. A buffer kept longer reads as zeros, or as
 * a model of the same size that was restored later: the addresses (no memory) stay reserved
 * until the process ends.
 */
class RestoredModel private constructor(
    private var handle: Long,
) : AutoCloseable {
    /** Size of the model in bytes. */
    val sizeBytes: Int = nativeCore.bufferOf(handle).capacity()

    /**
     * The authorized model's bytes: direct, in native order, read-only.
     *
     * @throws NativeException the model is closed.
     */
    val buffer: ByteBuffer
        @Synchronized get() = bufferOf(handle)

    /** Wipes the restored model; its memory is given back. */
    @Synchronized
    override fun close() {
        nativeCore.closeMapping(handle)
        handle = 0
    }

    internal companion object {
        private const val MOST_THREADS = 256

        /**
         * Maps, compares and restores.
         *
         * @param binding the model that the payload is for.
         * @throws dev.edgepro.WrongModelException the file is another.
         * @throws dev.edgepro.ModelException it cannot be read, or is no model.
         */
        fun restore(
            model: ModelFile,
            payload: ByteArray,
            binding: ModelBinding,
            threads: Int,
            sidecarName: String,
        ): RestoredModel {
            if (threads !in 0..MOST_THREADS) {
                throw NativeException(
                    "cannot restore model: expected 0 to $MOST_THREADS threads, got $threads.",
                    "0 chooses by the size of the model.",
                )
            }
            val mapping = model.map()
            try {
                checkModel(binding, bufferOf(mapping), ModelCheck.FULL, model.name, sidecarName)
                nativeCore.restore(mapping, payload, threads)
                return RestoredModel(mapping)
            } catch (error: Throwable) {
                nativeCore.closeMapping(mapping)
                throw error
            }
        }

        private fun bufferOf(mapping: Long): ByteBuffer =
            nativeCore.bufferOf(mapping).asReadOnlyBuffer().order(ByteOrder.nativeOrder())
    }
}
