package dev.edgepro.sidecar

import com.nimbusds.jose.jwk.RSAKey
import com.nimbusds.jose.util.Base64URL
import com.nimbusds.jose.util.JSONObjectUtils
import dev.edgepro.GoldenPair
import dev.edgepro.KeyException
import dev.edgepro.TESTS
import dev.edgepro.WrongKeyException
import dev.edgepro.assertTells
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.io.File
import java.security.Key
import java.security.KeyPairGenerator
import java.security.PrivateKey
import java.security.Provider
import java.security.SecureRandom
import java.security.Security
import java.security.interfaces.ECPublicKey
import java.security.interfaces.RSAPublicKey
import java.security.spec.AlgorithmParameterSpec
import java.security.spec.ECGenParameterSpec
import javax.crypto.KeyAgreement
import javax.crypto.KeyAgreementSpi
import javax.crypto.SecretKey

class KeysTest {
    private val pair = GoldenPair.first
    private val folder = pair.model.parentFile
    private val jwk =
        com.nimbusds.jose.jwk.ECKey
            .parse(File(folder, "identity.jwk").readText())

    @AfterEach
    fun removeProvider() = Security.removeProvider(Vault.NAME)

    @Test
    fun `a key that never leaves its provider opens`() {
        Security.addProvider(Vault())
        val sealedKey = OpaqueKey(jwk.toECPrivateKey())
        val identity = Identity.of(sealedKey, jwk.toECPublicKey())
        assertEquals(pair.identity.keyId, identity.keyId)
        val opened = openSidecar(pair.sidecar, identity, pair.issuer, GoldenPair.AUDIENCE)
        val expected = openSidecar(pair.sidecar, pair.identity, pair.issuer, GoldenPair.AUDIENCE)
        assertArrayEquals(expected.payload, opened.payload)
        assertTrue(sealedKey.uses == 1)
    }

    @Test
    fun `a provider that fails is told as any failure to decrypt`() {
        val identity = Identity.of(OpaqueKey(jwk.toECPrivateKey()), jwk.toECPublicKey())
        assertTells<WrongKeyException>("decryption failed") {
            openSidecar(pair.sidecar, identity, pair.issuer, GoldenPair.AUDIENCE)
        }
    }

    @Test
    fun `a recipient's JWK is what the command line reads`() {
        val recipient = Recipient.of(jwk.toECPublicKey())
        val parsed =
            com.nimbusds.jose.jwk.ECKey
                .parse(recipient.toJwk())
        assertEquals(jwk.toPublicJWK().toECPublicKey(), parsed.toECPublicKey())
        assertEquals(pair.identity.keyId, parsed.keyID)
        assertEquals("enc", parsed.keyUse.value)
        assertEquals("ECDH-ES+A256KW", parsed.algorithm.name)
        assertEquals(false, parsed.isPrivate)
    }

    @Test
    fun `a key of another curve is told`() {
        val generator =
            KeyPairGenerator.getInstance("EC").apply {
                initialize(ECGenParameterSpec("secp384r1"))
            }
        val other = generator.generateKeyPair()
        assertTells<KeyException>("expected a P-256 key") {
            Identity.of(other.private, other.public as ECPublicKey)
        }
    }

    @Test
    fun `what is no key of its role is told, and never quoted`() {
        val identity = File(folder, "identity.jwk").readText()
        val issuerKey = File(folder, "issuer_key.jwk").readText()
        val recipient = Recipient.of(jwk.toECPublicKey()).toJwk()
        val secret = jwk.d.toString()
        mapOf(
            "" to "expected a JWK file",
            "-----BEGIN PRIVATE KEY-----" to "expected a JWK file",
            "{}" to "it is damaged",
            identity.dropLast(20) to "it is damaged",
            identity.replace(secret, secret.dropLast(1) + "=") to "it is damaged",
            identity.replace("\"x\"", "\"d\"") to "it is damaged",
            identity.replace("P-256", "P-384") to "it is damaged",
            issuerKey to "expected a key made to encrypt, got one made to sign",
            recipient to "expected a private key, got its public half alone",
            "{\"kty\":\"oct\",\"k\":\"AAAA\"}" to "expected a symmetric key of 256 bits, got 24",
            "{${" ".repeat(70_000)}}" to "far larger",
        ).forEach { (text, words) ->
            val told = assertTells<KeyException>(words) { Identity.load(text.toByteArray()) }
            assertTrue(secret !in "$told")
        }
        assertTells<KeyException>(
            "expected a key made to sign",
        ) { IssuerKey.load(identity.toByteArray()) }
        val private = identity.replace("\"enc\"", "\"sig\"")
        assertTells<KeyException>(
            "which stays with its owner",
        ) { IssuerKey.load(private.toByteArray()) }
    }

    @Test
    fun `numbers of other sizes are told`() {
        val point = jwk.toPublicJWK().toJSONObject()
        val longer = point + ("x" to "${Base64URL.encode(ByteArray(1) + jwk.x.decode())}")
        assertTells<KeyException>("it is damaged") { IssuerKey.load(textOf(longer)) }
        val ed25519 = """{"kty":"OKP","crv":"Ed25519","x":"${Base64URL.encode(ByteArray(33))}"}"""
        assertTells<KeyException>("it is damaged") { IssuerKey.load(ed25519.toByteArray()) }
    }

    @Test
    fun `an RSA key is counted by its bits, and needs its exponent`() {
        val members = rsaKey(2048)
        assertTrue("RSA-OAEP-256" in "${Identity.load(textOf(members))}")
        assertTells<KeyException>("it is damaged") { Identity.load(textOf(members - "d")) }
        assertTells<KeyException>("RSA of 2048 to 8192 bits") {
            Identity.load(textOf(rsaKey(2047)))
        }
    }

    private fun rsaKey(bits: Int): Map<String, Any> {
        val pair = KeyPairGenerator.getInstance("RSA").apply { initialize(bits) }.generateKeyPair()
        val key = RSAKey.Builder(pair.public as RSAPublicKey).privateKey(pair.private)
        return key.build().toJSONObject()
    }

    private fun textOf(members: Map<String, Any>) =
        JSONObjectUtils.toJSONString(members).toByteArray()

    @Test
    fun `an Ed25519 issuer is refused where the system verifies none`() {
        val vector = VectorsTest.Vector(File(TESTS, "vectors/sidecar/eddsa.txt"))
        val issuer = vector.fields.getValue("issuer").toByteArray()
        val place = Security.getProviders().indexOfFirst { it.name == "SunEC" }
        val provider = Security.getProvider("SunEC")
        Security.removeProvider("SunEC")
        try {
            assertTells<KeyException>(
                "which this system does not verify",
            ) { IssuerKey.load(issuer) }
        } finally {
            Security.insertProviderAt(provider, place + 1)
        }
        IssuerKey.load(issuer)
    }

    @Test
    fun `keys show no more than the first digits of their id`() {
        assertTrue(
            Regex("Identity\\(ECDH-ES\\+A256KW, [0-9a-f]{8}…\\)").matches("${pair.identity}"),
        )
        assertTrue(Regex("IssuerKey\\(ES256, [0-9a-f]{8}…\\)").matches("${pair.issuer}"))
        assertEquals("Passphrase()", "${Passphrase("golden pair, not a secret")}")
        assertTells<KeyException>("at least 8 letters") { Passphrase("  seven 7  ") }
    }

    /** Stands for a key in hardware: it has no bytes to read, and no other provider takes it. */
    class OpaqueKey(
        val inside: PrivateKey,
    ) : PrivateKey {
        var uses = 0

        override fun getAlgorithm() = "EC"

        override fun getFormat(): String? = null

        override fun getEncoded(): ByteArray? = null
    }

    /** Agrees on keys for [OpaqueKey], as AndroidKeyStore's provider does for its own. */
    class Vault : Provider(NAME, "1", "a key store of the test") {
        init {
            put("KeyAgreement.ECDH", Agreement::class.java.name)
            put("KeyAgreement.ECDH SupportedKeyClasses", OpaqueKey::class.java.name)
        }

        companion object {
            const val NAME = "Vault"
        }
    }

    class Agreement : KeyAgreementSpi() {
        private val real = KeyAgreement.getInstance("ECDH", "SunEC")

        override fun engineInit(
            key: Key,
            random: SecureRandom?,
        ) {
            (key as OpaqueKey).uses++
            real.init(key.inside)
        }

        override fun engineInit(
            key: Key,
            params: AlgorithmParameterSpec?,
            random: SecureRandom?,
        ) = engineInit(key, random)

        override fun engineDoPhase(
            key: Key,
            lastPhase: Boolean,
        ): Key? = real.doPhase(key, lastPhase)

        override fun engineGenerateSecret(): ByteArray = real.generateSecret()

        override fun engineGenerateSecret(
            sharedSecret: ByteArray,
            offset: Int,
        ): Int = real.generateSecret(sharedSecret, offset)

        override fun engineGenerateSecret(algorithm: String): SecretKey =
            real.generateSecret(algorithm)
    }
}
