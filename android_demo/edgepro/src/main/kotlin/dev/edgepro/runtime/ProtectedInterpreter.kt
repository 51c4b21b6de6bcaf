package dev.edgepro.runtime

import dev.edgepro.InterpreterException
import dev.edgepro.sidecar.IssuerKey
import dev.edgepro.sidecar.ModelCheck
import dev.edgepro.sidecar.Opener
import dev.edgepro.sidecar.Sidecar
import org.tensorflow.lite.Interpreter
import java.nio.ByteBuffer

/**
 * TFLite's own interpreter over a restored model, and the delegate that it lives on.
 *
 * @property interpreter ready to run; this object closes it.
 */
class ProtectedInterpreter private constructor(
    val interpreter: Interpreter,
    private val delegate: EdgeProDelegate,
) : AutoCloseable {
    /** Ends the interpreter, then wipes the restored constants. */
    override fun close() {
        interpreter.close()
        delegate.close()
    }

    internal companion object {
        fun open(
            model: ByteBuffer,
            delegate: EdgeProDelegate,
            configure: Interpreter.Options.() -> Unit,
        ): ProtectedInterpreter {
            var interpreter: Interpreter? = null
            try {
                val options = Interpreter.Options().apply { addDelegate(delegate) }
                interpreter = Interpreter(model, options.apply(configure))
                interpreter.allocateTensors()
                delegate.requireComplete()
                return ProtectedInterpreter(interpreter, delegate)
            } catch (error: Throwable) {
                interpreter?.close()
                delegate.close()
                throw if (error is RuntimeException) inOurWords(error) else error
            }
        }

        private fun inOurWords(error: RuntimeException): Exception {
            EdgeProDelegate.explain(error)?.let { return it }
            val words = error.message?.substringBefore('\n')?.trimEnd('.') ?: error.javaClass.name
            return InterpreterException("cannot open model: $words.")
        }
    }
}

/**
 * Opens a public model with its sidecar: one call, ready to run.
 *
 * ```
 * openInterpreter(assets.mapModel("digits.tflite"), sidecar, key.identity, issuer).use {
 *     it.interpreter.run(input, output)
 * }
 * ```
 *
 * Cost: SHA-256 of the model (about 1 ms for each megabyte), the sidecar's opening, and
 * one pass over the protected constants; none later.
 *
 * @param model the public model, mapped; all of the buffer.
 * @param opener the private key (or passphrase) that opens the sidecar.
 * @param issuer the public key of who must have signed it.
 * @param audience the application id it must be for; null if it names none.
 * @param configure sets further options: threads, further delegates (a GPU's), which see
 *   the model restored. Leave out caches on disk: they would hold restored weights.
 * @throws dev.edgepro.SidecarException the sidecar does not open; its subclasses say why.
 * @throws dev.edgepro.WrongModelException it belongs to another model.
 * @throws InterpreterException TFLite refused.
 */
@JvmOverloads
fun openInterpreter(
    model: ByteBuffer,
    sidecar: Sidecar,
    opener: Opener,
    issuer: IssuerKey,
    audience: String? = null,
    configure: Interpreter.Options.() -> Unit = {},
): ProtectedInterpreter {
    val delegate = loadDelegate(sidecar, opener, issuer, audience, model, ModelCheck.FULL)
    return ProtectedInterpreter.open(model, delegate, configure)
}
