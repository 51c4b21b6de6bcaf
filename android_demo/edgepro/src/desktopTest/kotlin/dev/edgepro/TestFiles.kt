package dev.edgepro

import dev.edgepro.sidecar.Identity
import dev.edgepro.sidecar.IssuerKey
import dev.edgepro.sidecar.Sidecar
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.assertThrows
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.ZipFile

/** The repository's `tests` folder: vectors and golden pairs that all languages read. */
val TESTS = File(System.getProperty("edgepro.tests")).canonicalFile

/** One pair that a conversion wrote, and what it must give. */
class GoldenPair(
    private val folder: File,
) {
    val model = File(folder, "model.tflite")
    val authorized = File(folder, "authorized.tflite")
    val sidecar get() = Sidecar.read(File(folder, "model.edgepro"))
    val identity get() = Identity.load(File(folder, "identity.jwk").readBytes())
    val issuer get() = IssuerKey.load(File(folder, "issuer_key.jwk").readBytes())
    val samples by lazy { Samples(File(folder, "samples.npz")) }

    override fun toString(): String = folder.name

    companion object {
        const val AUDIENCE = "com.example.golden"

        @JvmStatic
        fun all(): List<GoldenPair> = File(TESTS, "golden")
            .listFiles { file -> file.isDirectory && file.name.startsWith("v") }!!
            .sorted()
            .map(::GoldenPair)

        val first get() = all().first()
    }
}

/** Inputs, labels and scores that numpy saved (`samples.npz`). */
class Samples(
    file: File,
) {
    private val arrays =
        ZipFile(file).use { zip ->
            listOf("x", "y", "scores").associateWith { read(zip, it) }
        }

    /** float32 [count, ...]. */
    val x = floats("x")
    val labels = ints("y")

    /** What the authorized model answers: float32 [count, classes]. */
    val scores = floats("scores")
    val count get() = labels.size

    private fun floats(name: String): FloatArray {
        val (dtype, data) = arrays.getValue(name)
        assertEquals("<f4", dtype)
        return FloatArray(data.remaining() / Float.SIZE_BYTES).also { data.asFloatBuffer().get(it) }
    }

    private fun ints(name: String): IntArray {
        val (dtype, data) = arrays.getValue(name)
        assertEquals("<i4", dtype)
        return IntArray(data.remaining() / Int.SIZE_BYTES).also { data.asIntBuffer().get(it) }
    }

    /** dtype and bytes of an array (numpy's format 1.0). */
    private fun read(
        zip: ZipFile,
        name: String,
    ): Pair<String, ByteBuffer> {
        val data = zip.getInputStream(zip.getEntry("$name.npy")).readBytes()
        val buffer = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN)
        val start = 10 + buffer.getShort(8)
        val header = String(data, 10, start - 10)
        val dtype = Regex("'descr': '([^']+)'").find(header)!!.groupValues[1]
        return dtype to buffer.position(start).slice().order(ByteOrder.LITTLE_ENDIAN)
    }
}

/** Fails unless the call throws this very class, with these words in its problem. */
inline fun <reified E : EdgeProException> assertTells(
    words: String,
    call: () -> Unit,
): E {
    val error = assertThrows<E> { call() }
    assertEquals(E::class, error::class)
    check(words in error.problem) { "expected '$words' in: ${error.problem}" }
    check(error.problem.endsWith(".")) { error.problem }
    return error
}
