package dev.edgepro.runtime

import dev.edgepro.GoldenPair
import dev.edgepro.InterpreterException
import dev.edgepro.NativeException
import dev.edgepro.PayloadException
import dev.edgepro.WrongModelException
import dev.edgepro.assertTells
import dev.edgepro.sidecar.ModelCheck
import dev.edgepro.sidecar.openSidecar
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource
import java.io.File
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

class DelegateTest {
    @ParameterizedTest
    @MethodSource("dev.edgepro.GoldenPair#all")
    fun `restored answers are the authorized model's to the bit`(pair: GoldenPair) {
        val samples = pair.samples
        val model = mapped(pair.model)
        delegateOf(pair, model).use { delegate ->
            assertFalse(delegate.isComplete)
            val restored =
                DesktopInterpreter(
                    model,
                    listOf(delegate),
                ).use { it.run(samples.x, samples.count) }
            delegate.requireComplete()
            val authorized =
                DesktopInterpreter(mapped(pair.authorized)).use {
                    it.run(samples.x, samples.count)
                }
            assertArrayEquals(authorized, restored)
            // Another version's kernels sum in another order: 1e-4 of a score is ample.
            assertArrayEquals(samples.scores, restored, 1e-4f)
            assertTrue(accuracy(restored, samples.labels) > 0.9)
        }
    }

    @ParameterizedTest
    @MethodSource("dev.edgepro.GoldenPair#all")
    fun `the public file alone opens and is worthless`(pair: GoldenPair) {
        val samples = pair.samples
        val answers =
            DesktopInterpreter(
                mapped(pair.model),
            ).use { it.run(samples.x, samples.count) }
        assertTrue(accuracy(answers, samples.labels) < 0.5)
    }

    @Test
    fun `another model is told before an interpreter sees it`() {
        val pair = GoldenPair.first
        val authorized = mapped(pair.authorized)
        val told =
            assertTells<WrongModelException>("belongs to model") { delegateOf(pair, authorized) }
        assertTrue("this file is" in told.problem && "model.edgepro" in told.problem)
        assertTells<WrongModelException>(
            "this file is empty",
        ) { delegateOf(pair, ByteBuffer.allocate(0)) }
    }

    @Test
    fun `what is compared is what TFLite takes, all of the buffer`() {
        val pair = GoldenPair.first
        val model = mapped(pair.model)
        model.position(model.limit())
        delegateOf(pair, model).close()
        assertEquals(0, model.remaining())
        val bytes = pair.model.readBytes()
        val behindOthers = ByteBuffer.allocateDirect(64 + bytes.size)
        behindOthers.position(64)
        behindOthers.put(bytes).position(64)
        assertTells<WrongModelException>("this file is") { delegateOf(pair, behindOthers) }
    }

    @Test
    fun `another model of the same size is refused by the interpreter`() {
        val pair = GoldenPair.first
        delegateOf(pair, mapped(pair.authorized), ModelCheck.SIZE).use { delegate ->
            assertThrows<IllegalArgumentException> {
                DesktopInterpreter(mapped(pair.authorized), listOf(delegate))
            }
            assertFalse(delegate.isComplete)
            assertTells<InterpreterException>("did not show all of its subgraphs") {
                delegate.requireComplete()
            }
        }
    }

    @Test
    fun `a delegate serves one interpreter`() {
        val pair = GoldenPair.first
        val model = mapped(pair.model)
        delegateOf(pair, model).use { delegate ->
            DesktopInterpreter(model, listOf(delegate)).use {
                assertThrows<IllegalArgumentException> {
                    DesktopInterpreter(
                        model,
                        listOf(delegate),
                    )
                }
            }
        }
    }

    @Test
    fun `a closed delegate says so, as often as it is closed`() {
        val delegate = delegateOf(GoldenPair.first, null)
        repeat(3) { delegate.close() }
        assertFalse(delegate.isComplete)
        assertTells<NativeException>("got one that is closed") { delegate.nativeHandle }
    }

    @Test
    fun `the payload may be wiped as soon as the delegate is made`() {
        val pair = GoldenPair.first
        val opened = openSidecar(pair.sidecar, pair.identity, pair.issuer, GoldenPair.AUDIENCE)
        val delegate = EdgeProDelegate(opened.payload)
        opened.close()
        assertTrue(opened.payload.all { it == 0.toByte() })
        delegate.use { DesktopInterpreter(mapped(pair.model), listOf(it)).close() }
        assertTells<PayloadException>("cannot read lock") { EdgeProDelegate(opened.payload) }
    }

    @Test
    fun `a damaged payload has a sentence at every length`() {
        val pair = GoldenPair.first
        openSidecar(pair.sidecar, pair.identity, pair.issuer, GoldenPair.AUDIENCE).use { opened ->
            for (size in 0 until opened.payload.size) {
                assertThrows<PayloadException> { EdgeProDelegate(opened.payload.copyOf(size)) }
            }
        }
    }

    @Test
    fun `the core's sentence is found in what an interpreter threw`() {
        val told =
            EdgeProDelegate.explain(
                IllegalArgumentException(
                    "Internal error: Failed to apply delegate: cannot restore this model: the " +
                        "sidecar belongs to another model file: expected the constants that its " +
                        "lock was made for, got others. Ship the pair that one conversion wrote. ",
                ),
            )
        assertEquals(WrongModelException::class, told!!::class)
        assertTrue(told.problem.endsWith("got others."))
        assertEquals("Ship the pair that one conversion wrote.", told.hint)
        val other =
            EdgeProDelegate.explain(
                RuntimeException("x: cannot restore this model: expected one.\n"),
            ) as InterpreterException
        assertEquals("cannot restore this model: expected one.", other.problem)
        assertEquals("", other.hint)
        assertNull(EdgeProDelegate.explain(RuntimeException("out of memory")))
        assertNull(EdgeProDelegate.explain(RuntimeException()))
    }

    private fun delegateOf(
        pair: GoldenPair,
        model: ByteBuffer?,
        check: ModelCheck = ModelCheck.FULL,
    ) = loadDelegate(pair.sidecar, pair.identity, pair.issuer, GoldenPair.AUDIENCE, model, check)
}

internal fun mapped(file: File): ByteBuffer =
    FileChannel.open(file.toPath()).use { it.map(FileChannel.MapMode.READ_ONLY, 0, it.size()) }

internal fun accuracy(
    scores: FloatArray,
    labels: IntArray,
): Double {
    val classes = scores.size / labels.size
    val right =
        labels.indices.count { sample ->
            (0 until classes).maxByOrNull { scores[sample * classes + it] } == labels[sample]
        }
    return right.toDouble() / labels.size
}
