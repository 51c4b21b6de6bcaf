package dev.edgepro.demo

import dev.edgepro.runtime.openInterpreter
import dev.edgepro.sidecar.IssuerKey
import dev.edgepro.sidecar.Opener
import dev.edgepro.sidecar.Sidecar
import dev.edgepro.sidecar.openSidecar
import org.tensorflow.lite.Interpreter
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * What one variant of the model answers, and what it costs.
 *
 * @property answers the class of the highest score, for each sample.
 * @property loadMs milliseconds until the interpreter is ready.
 * @property latencyUs median microseconds of one inference.
 */
class Outcome(
    val answers: List<Int>,
    val loadMs: Double,
    val latencyUs: Double,
)

/**
 * The public file alone and the restored model, side by side.
 *
 * @property restored null where the sidecar did not open.
 * @property sidecarMs milliseconds that opening the sidecar took, which are part of
 *   [restored]'s load: most of them the hardware's.
 */
class Comparison(
    val public: Outcome,
    val restored: Outcome?,
    val sidecarMs: Double,
)

/** Runs the public file as a thief would. */
fun runPublic(
    model: ByteBuffer,
    samples: Samples,
): Comparison {
    val (interpreter, loadMs) = timed { Interpreter(model) }
    interpreter.use {
        val public = Outcome(answer(it, samples), loadMs, medianLatencyUs(listOf(it), samples)[0])
        return Comparison(public, null, 0.0)
    }
}

/**
 * Runs both in turn, so that the device's clock rate meets both alike.
 *
 * @throws dev.edgepro.EdgeProException the pair does not open.
 */
fun runBoth(
    model: ByteBuffer,
    sidecar: Sidecar,
    opener: Opener,
    issuer: IssuerKey,
    samples: Samples,
): Comparison {
    val (_, sidecarMs) = timed { openSidecar(sidecar, opener, issuer, AUDIENCE).close() }
    val (public, publicMs) = timed { Interpreter(model) }
    public.use {
        val (pair, pairMs) = timed { openInterpreter(model, sidecar, opener, issuer, AUDIENCE) }
        pair.use {
            val both = listOf(public, pair.interpreter)
            val (answers, restoredAnswers) = both.map { answer(it, samples) }
            val (publicUs, restoredUs) = medianLatencyUs(both, samples)
            return Comparison(
                Outcome(answers, publicMs, publicUs),
                Outcome(restoredAnswers, pairMs, restoredUs),
                sidecarMs,
            )
        }
    }
}

private const val ROUNDS = 300
private const val WARMUP_ROUNDS = 50

private fun answer(
    interpreter: Interpreter,
    samples: Samples,
): List<Int> {
    val input = bufferFor(interpreter.getInputTensor(0).numBytes())
    val output = bufferFor(interpreter.getOutputTensor(0).numBytes())
    return samples.labels.indices.map { sample ->
        input.rewind()
        input.asFloatBuffer().put(samples.pixelsOf(sample))
        output.rewind()
        interpreter.run(input, output)
        output.rewind()
        val scores = output.asFloatBuffer()
        (0 until scores.remaining()).maxByOrNull { scores[it] } ?: -1
    }
}

/** Of each interpreter; they take turns. */
private fun medianLatencyUs(
    interpreters: List<Interpreter>,
    samples: Samples,
): List<Double> {
    val input = bufferFor(interpreters[0].getInputTensor(0).numBytes())
    val output = bufferFor(interpreters[0].getOutputTensor(0).numBytes())
    input.asFloatBuffer().put(samples.pixelsOf(0))
    val times = interpreters.map { ArrayList<Double>() }
    repeat(WARMUP_ROUNDS + ROUNDS) { round ->
        for ((number, interpreter) in interpreters.withIndex()) {
            input.rewind()
            output.rewind()
            val (_, milliseconds) = timed { interpreter.run(input, output) }
            if (round >= WARMUP_ROUNDS) times[number] += milliseconds * 1000
        }
    }
    return times.map { it.sorted()[it.size / 2] }
}

private fun bufferFor(sizeBytes: Int): ByteBuffer =
    ByteBuffer.allocateDirect(sizeBytes).order(ByteOrder.nativeOrder())

private inline fun <T> timed(call: () -> T): Pair<T, Double> {
    val started = System.nanoTime()
    val result = call()
    return result to (System.nanoTime() - started) / 1e6
}
