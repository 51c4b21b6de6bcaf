package dev.edgepro.runtime

import dev.edgepro.EdgeProException
import dev.edgepro.InterpreterException
import dev.edgepro.NativeException
import dev.edgepro.WrongModelException
import org.tensorflow.lite.Delegate

/**
 * The TFLite delegate that restores one interpreter.
 *
 * It must be the first of the interpreter's delegates, serves one interpreter, and is
 * closed after it: with the delegate end the restored constants. It claims no operator,
 * so the interpreter runs the very graph it would have run without protection.
 *
 * ```
 * val delegate = loadDelegate(sidecar, identity, issuer, model = model)
 * val interpreter = Interpreter(model, Interpreter.Options().addDelegate(delegate))
 * delegate.requireComplete()
 * ```
 *
 * Cost: one pass over the protected constants when the interpreter is created, and memory
 * for them; none later.
 *
 * @param payload lock bytes from an opened sidecar, which the caller wipes.
 * @throws dev.edgepro.PayloadException the payload is damaged.
 * @throws NativeException the native core is missing, or memory ran out.
 */
class EdgeProDelegate(
    payload: ByteArray,
) : Delegate {
    private var handle = nativeCore.createDelegate(payload)

    /** Whether every constant of the lock is restored; false once closed. */
    val isComplete: Boolean
        @Synchronized get() = nativeCore.isComplete(handle)

    /**
     * Checks that the interpreter has restored the whole lock.
     *
     * To be called once its tensors are allocated: a model that lacks a protected subgraph
     * is told only by this.
     *
     * @throws InterpreterException it has not.
     */
    fun requireComplete() {
        if (isComplete) return
        throw InterpreterException(
            "cannot restore this model: the runtime did not show all of its subgraphs to " +
                "the delegate.",
            "Update the runtime, or restore the file with restoreModel.",
        )
    }

    /**
     * What the interpreter takes: the address of a `TfLiteDelegate`.
     *
     * @throws NativeException the delegate is closed.
     */
    @Synchronized
    override fun getNativeHandle(): Long {
        if (handle != 0L) return handle
        throw NativeException(
            "cannot use EdgePro's delegate: expected an open one, got one that is closed.",
            "Make a delegate for each interpreter, and close it after the interpreter.",
        )
    }

    /** Wipes the lock and frees the restored constants; the interpreter must have ended. */
    @Synchronized
    override fun close() {
        nativeCore.destroyDelegate(handle)
        handle = 0
    }

    companion object {
        private const val CORE_SENTENCE = "cannot restore this model:"
        private const val WRONG_MODEL = "$CORE_SENTENCE the sidecar belongs to another model"

        /**
         * Finds the native core's own sentence in what an interpreter threw.
         *
         * @return the error it tells of, or null where the core had no part in it.
         */
        @JvmStatic
        fun explain(error: Throwable): EdgeProException? {
            val text = error.message.orEmpty().substringAfter(CORE_SENTENCE, "")
            if (text.isEmpty()) return null
            // Two sentences, what failed and a hint; the runtime's own words follow them.
            val sentences = text.split(". ").map { "${it.trim().trimEnd('.')}." }
            val problem = CORE_SENTENCE + " " + sentences[0]
            val hint = sentences.getOrElse(1) { "" }
            if (!problem.startsWith(WRONG_MODEL)) return InterpreterException(problem, hint)
            return WrongModelException(problem, hint)
        }
    }
}
