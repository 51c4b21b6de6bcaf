package dev.edgepro.runtime

import dev.edgepro.GoldenPair
import dev.edgepro.NativeException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.tensorflow.lite.Delegate
import java.io.File
import java.lang.reflect.InvocationTargetException
import java.net.URLClassLoader

class NativeCoreTest {
    /** A library serves the classes of one loader; those of another find none. */
    @Test
    fun `a missing library is told, and told again`() {
        nativeCore.version()
        val places =
            listOf(EdgeProDelegate::class, Delegate::class, Lazy::class)
                .map { it.java.protectionDomain.codeSource.location }
        val platform = ClassLoader.getPlatformClassLoader()
        URLClassLoader(places.toTypedArray(), platform).use { other ->
            val create =
                other
                    .loadClass(EdgeProDelegate::class.java.name)
                    .getConstructor(ByteArray::class.java)
            repeat(2) {
                val error =
                    assertThrows<InvocationTargetException> { create.newInstance(ByteArray(1)) }
                val cause = checkNotNull(error.cause)
                assertEquals(NativeException::class.java.name, cause.javaClass.name)
                assertTrue("found none" in cause.message.orEmpty(), cause.message)
            }
        }
    }

    @Test
    fun `models opened and closed in turn take the same addresses`() {
        val model = GoldenPair.first.model
        val before = addressedBytes()
        repeat(TURNS) {
            nativeCore.closeMapping(nativeCore.mapPath(model.path, 0, -1))
        }
        val added = addressedBytes() - before
        assertTrue(added < TURNS * model.length() / 2, "$added bytes for $TURNS turns")
    }

    private fun addressedBytes(): Long =
        File("/proc/self/statm").readText().substringBefore(' ').toLong() * PAGE_BYTES

    private companion object {
        const val TURNS = 10_000
        const val PAGE_BYTES = 4096
    }
}
