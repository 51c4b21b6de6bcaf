package dev.edgepro.device

import dev.edgepro.KeyException
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import java.io.InputStream
import java.io.OutputStream
import java.security.Key
import java.security.KeyPair
import java.security.KeyPairGeneratorSpi
import java.security.KeyStoreSpi
import java.security.PrivateKey
import java.security.Provider
import java.security.SecureRandom
import java.security.Security
import java.security.UnrecoverableKeyException
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration

/** Over a stand-in for AndroidKeyStore, which Robolectric lacks. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
class DeviceKeyTest {
    @Before
    fun addProvider() {
        Security.addProvider(Failing())
    }

    @After
    fun removeProvider() {
        Security.removeProvider(NAME)
        Store.key = null
    }

    @Test
    fun `a key store that fails for a moment keeps its key`() {
        assertFails()
        assertEquals(0, Generator.uses)
    }

    @Test
    fun `one that gives a key and no certificate is asked again`() {
        Store.key = OpaqueKey()
        assertFails()
    }

    private fun assertFails() {
        val error = assertThrows(KeyException::class.java) { DeviceKey.getOrCreate() }
        assertTrue("the key store failed" in error.problem)
        assertTrue(error.hint.startsWith("Try again"))
    }

    class Failing : Provider(NAME, "1", "a key store that does not answer") {
        init {
            put("KeyStore.$NAME", Store::class.java.name)
            put("KeyPairGenerator.EC", Generator::class.java.name)
        }
    }

    class Generator : KeyPairGeneratorSpi() {
        override fun initialize(
            size: Int,
            random: SecureRandom?,
        ) = Unit

        override fun initialize(
            params: AlgorithmParameterSpec?,
            random: SecureRandom?,
        ) = Unit

        override fun generateKeyPair() = KeyPair(null, null).also { uses++ }

        companion object {
            var uses = 0
        }
    }

    /** As Android 12 and later answer where the service behind the key store does not. */
    class Store : KeyStoreSpi() {
        override fun engineContainsAlias(alias: String) = key != null

        override fun engineGetKey(
            alias: String,
            password: CharArray?,
        ): Key = key ?: throw UnrecoverableKeyException()

        override fun engineGetCertificate(alias: String): Certificate? = null

        override fun engineGetCertificateChain(alias: String): Array<Certificate>? = null

        override fun engineGetCertificateAlias(cert: Certificate): String? = null

        override fun engineGetCreationDate(alias: String): Date? = null

        override fun engineAliases(): Enumeration<String> = Collections.emptyEnumeration()

        override fun engineSize() = 0

        override fun engineIsKeyEntry(alias: String) = false

        override fun engineIsCertificateEntry(alias: String) = false

        override fun engineSetKeyEntry(
            alias: String,
            key: Key?,
            password: CharArray?,
            chain: Array<Certificate>?,
        ) = Unit

        override fun engineSetKeyEntry(
            alias: String,
            key: ByteArray?,
            chain: Array<Certificate>?,
        ) = Unit

        override fun engineSetCertificateEntry(
            alias: String,
            cert: Certificate?,
        ) = Unit

        override fun engineDeleteEntry(alias: String) = Unit

        override fun engineLoad(
            stream: InputStream?,
            password: CharArray?,
        ) = Unit

        override fun engineStore(
            stream: OutputStream?,
            password: CharArray?,
        ) = Unit

        companion object {
            var key: Key? = null
        }
    }

    class OpaqueKey : PrivateKey {
        override fun getAlgorithm() = "EC"

        override fun getFormat(): String? = null

        override fun getEncoded(): ByteArray? = null
    }

    private companion object {
        const val NAME = "AndroidKeyStore"
    }
}
