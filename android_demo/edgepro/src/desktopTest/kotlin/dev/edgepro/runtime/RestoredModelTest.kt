package dev.edgepro.runtime

import dev.edgepro.GoldenPair
import dev.edgepro.ModelException
import dev.edgepro.NativeException
import dev.edgepro.PayloadException
import dev.edgepro.WrongModelException
import dev.edgepro.assertTells
import dev.edgepro.sidecar.openSidecar
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource
import org.junit.jupiter.params.provider.ValueSource
import java.io.File
import java.io.FileDescriptor
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ReadOnlyBufferException

class RestoredModelTest {
    @TempDir
    lateinit var folder: File

    @ParameterizedTest
    @MethodSource("dev.edgepro.GoldenPair#all")
    fun `a restored file is the authorized one, and the file stays as it is`(pair: GoldenPair) {
        val before = pair.model.readBytes()
        restored(pair, ModelFile.of(pair.model)).use { model ->
            assertArrayEquals(pair.authorized.readBytes(), bytesOf(model))
            assertEquals(before.size, model.sizeBytes)
        }
        assertArrayEquals(before, pair.model.readBytes())
    }

    @ParameterizedTest
    @ValueSource(ints = [0, 4, 4095, 4096, 70000])
    fun `a region of a file is restored, wherever it begins`(offset: Int) {
        val pair = GoldenPair.first
        val archive = File(folder, "app.apk")
        val before = ByteArray(offset) { 1 } + pair.model.readBytes() + ByteArray(333) { 2 }
        archive.writeBytes(before)
        val size = pair.model.length()
        val expected = pair.authorized.readBytes()
        restored(pair, ModelFile.of(archive, offset.toLong(), size)).use {
            assertArrayEquals(expected, bytesOf(it))
        }
        FileInputStream(archive).use { stream ->
            val model = ModelFile.of(numberOf(stream.fd), offset.toLong(), size, "asset")
            restored(pair, model).use { assertArrayEquals(expected, bytesOf(it)) }
            assertEquals(before[0], stream.read().toByte()) // It is still open.
        }
        assertArrayEquals(before, archive.readBytes())
    }

    @ParameterizedTest
    @MethodSource("dev.edgepro.GoldenPair#all")
    fun `an interpreter runs over the restored buffer`(pair: GoldenPair) {
        val samples = pair.samples
        restored(pair, ModelFile.of(pair.model)).use { model ->
            val answers = DesktopInterpreter(model.buffer).use { it.run(samples.x, samples.count) }
            val authorized =
                DesktopInterpreter(mapped(pair.authorized)).use {
                    it.run(samples.x, samples.count)
                }
            assertArrayEquals(authorized, answers)
        }
    }

    @Test
    fun `its buffer cannot be written to`() {
        restored().use { model ->
            assertTrue(model.buffer.isDirect && model.buffer.isReadOnly)
            assertThrows<ReadOnlyBufferException> { model.buffer.put(0, 1) }
        }
    }

    @Test
    fun `a closed model says so, and a buffer kept from it reads as zeros`() {
        val model = restored()
        val kept = model.buffer
        repeat(3) { model.close() }
        assertTells<NativeException>("got one that is closed") { model.buffer }
        assertTrue((0 until kept.capacity()).all { kept[it] == 0.toByte() })
    }

    @Test
    fun `another model is told`() {
        val pair = GoldenPair.first
        val told =
            assertTells<WrongModelException>(
                "this file is",
            ) { restored(pair, ModelFile.of(pair.authorized)) }
        assertTrue(
            "cannot restore authorized.tflite: sidecar model.edgepro belongs" in told.problem,
            told.problem,
        )
        val cut =
            File(
                folder,
                "cut.tflite",
            ).apply { writeBytes(pair.model.readBytes().copyOf(5000)) }
        assertTells<WrongModelException>("(5,000 bytes)") { restored(pair, ModelFile.of(cut)) }
    }

    @Test
    fun `what cannot be mapped is told`() {
        val pair = GoldenPair.first
        val size = pair.model.length()
        val empty = File(folder, "empty.tflite").apply { createNewFile() }
        mapOf(
            ModelFile.of(File(folder, "none.tflite")) to
                "cannot read model none.tflite: No such file or directory",
            ModelFile.of(empty) to "got an empty file",
            ModelFile.of(folder) to "cannot read model ${folder.name}",
            ModelFile.of(pair.model, 1, size) to "expected a region of the file's",
            ModelFile.of(pair.model, -1, 5) to "expected a region of the file's",
            ModelFile.of(pair.model, Long.MAX_VALUE, Long.MAX_VALUE) to
                "expected a region of the file's",
            ModelFile.of(pair.model, 0, -5) to "expected its size in bytes, got -5",
            ModelFile.of(-1, 0, size) to "Bad file descriptor",
            ModelFile.of(pair.model, size, 0) to "got an empty file",
        ).forEach { (model, words) -> assertTells<ModelException>(words) { restored(pair, model) } }
    }

    @ParameterizedTest
    @ValueSource(ints = [-1, 257, Int.MAX_VALUE])
    fun `threads that no device has are told`(threads: Int) {
        val pair = GoldenPair.first
        assertTells<NativeException>("expected 0 to 256 threads, got $threads") {
            restored(pair, threads = threads)
        }
    }

    @ParameterizedTest
    @ValueSource(ints = [0, 1, 4])
    fun `any number of threads restores the same`(threads: Int) {
        val pair = GoldenPair.first
        restored(pair, threads = threads).use {
            assertArrayEquals(pair.authorized.readBytes(), bytesOf(it))
        }
    }

    @Test
    fun `native calls refuse what no caller should pass`() {
        val pair = GoldenPair.first
        val mapping = nativeCore.mapPath(pair.model.path, 0, -1)
        val other = nativeCore.mapPath(pair.authorized.path, 0, -1)
        val sidecar = openSidecar(pair.sidecar, pair.identity, pair.issuer, GoldenPair.AUDIENCE)
        try {
            assertTells<PayloadException>("cannot read lock payload") {
                nativeCore.restore(mapping, ByteArray(0), 1)
            }
            assertTells<PayloadException>("cannot read lock payload") {
                nativeCore.restore(mapping, ByteArray(99), 1)
            }
            assertTells<WrongModelException>("another model file") {
                nativeCore.restore(other, sidecar.payload, 1)
            }
            nativeCore.restore(mapping, sidecar.payload, 1)
            assertTells<NativeException>(
                "restored before",
            ) { nativeCore.restore(mapping, sidecar.payload, 1) }
            assertTells<NativeException>("closed") { nativeCore.restore(0, sidecar.payload, 1) }
            assertTells<NativeException>("closed") { nativeCore.bufferOf(0) }
        } finally {
            nativeCore.closeMapping(mapping)
            nativeCore.closeMapping(other)
        }
        val noise = File(folder, "noise.tflite").apply { writeBytes(ByteArray(5000) { 7 }) }
        val noModel = nativeCore.mapPath(noise.path, 0, -1)
        assertTells<ModelException>("cannot restore this model") {
            openSidecar(pair.sidecar, pair.identity, pair.issuer, GoldenPair.AUDIENCE).use {
                nativeCore.restore(noModel, it.payload, 1)
            }
        }
        nativeCore.closeMapping(noModel)
        nativeCore.closeMapping(0)
        nativeCore.destroyDelegate(0)
        assertEquals(false, nativeCore.isComplete(0))
        assertTrue(Regex("\\d+\\.\\d+\\.\\d+").matches(nativeCore.version()))
    }

    @Test
    fun `null reaches native code as an error, not as a crash`() {
        val natives = nativeCore.javaClass

        fun call(
            name: String,
            vararg arguments: Any?,
        ) = natives.declaredMethods.first { it.name == name }.invoke(null, *arguments)

        for (call in listOf({ call("createDelegate", null) }, { call("mapPath", null, 0L, 1L) })) {
            val cause = assertThrows<java.lang.reflect.InvocationTargetException> { call() }.cause
            assertTrue(cause is NativeException || cause is IOException, "$cause")
        }
    }

    private fun restored(
        pair: GoldenPair = GoldenPair.first,
        model: ModelFile = ModelFile.of(pair.model),
        threads: Int = 0,
    ) = restoreModel(
        model,
        pair.sidecar,
        pair.identity,
        pair.issuer,
        GoldenPair.AUDIENCE,
        threads,
    )

    private fun bytesOf(model: RestoredModel): ByteArray {
        val view: ByteBuffer = model.buffer
        return ByteArray(view.remaining()).also(view::get)
    }

    /** What `ParcelFileDescriptor.getFd` tells on Android. */
    private fun numberOf(descriptor: FileDescriptor): Int = FileDescriptor::class.java
        .getDeclaredField("fd")
        .apply { isAccessible = true }
        .getInt(descriptor)
}
