package dev.edgepro.sidecar

import dev.edgepro.EdgeProException
import dev.edgepro.ExpiredException
import dev.edgepro.SidecarFormatException
import dev.edgepro.TESTS
import dev.edgepro.UntrustedSidecarException
import dev.edgepro.WrongKeyException
import dev.edgepro.WrongModelException
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.MethodSource
import java.io.File
import java.security.MessageDigest
import java.time.Instant
import kotlin.reflect.KClass

/** The vectors of tests/vectors/sidecar; the Python tests read the same files. */
class VectorsTest {
    @ParameterizedTest
    @MethodSource("vectors")
    fun `a vector has its outcome`(vector: Vector) {
        if (vector.fields["expect"] == "success") {
            val digest =
                vector.open().use {
                    MessageDigest
                        .getInstance(
                            "SHA-256",
                        ).digest(it.payload)
                }
            assertEquals(vector.fields["payload-sha256"], digest.toHex())
            return
        }
        val (kind, words) = OUTCOMES.getValue(vector.fields.getValue("expect"))
        val error = assertThrows<EdgeProException> { vector.open().close() }
        assertEquals(kind, error::class)
        assertTrue(Regex(words).containsMatchIn(error.problem), error.problem)
    }

    @Test
    fun `every outcome has a vector`() {
        assertEquals(OUTCOMES.keys + "success", vectors().map { it.fields["expect"] }.toSet())
    }

    @Test
    fun `the example of the format is a vector`() {
        val page = File(TESTS, "../edgepro_tf/sidecar/FORMAT.md").readText()
        val example = vectors().first { it.toString() == "p256" }
        assertTrue("```json\n${String(example.body)}\n```" in page)
    }

    @Test
    fun `a vector's sentence quotes no secret`() {
        for (vector in vectors().filter { it.fields["expect"] != "success" }) {
            val text = assertThrows<EdgeProException> { vector.open().close() }.toString()
            val key = vector.fields["passphrase"] ?: vector.fields.getValue("identity")
            for (secret in Regex("\"[dkpq]\":\\s*\"([^\"]+)\"").findAll(key)) {
                assertTrue(secret.groupValues[1] !in text)
            }
            assertTrue("passphrase" !in vector.fields || key !in text)
        }
    }

    /** A scenario: lines `name: value`, an empty line, the sidecar's bytes. */
    class Vector(
        private val file: File,
    ) {
        val fields: Map<String, String>
        val body: ByteArray

        init {
            val data = file.readBytes()
            val end = String(data, Charsets.ISO_8859_1).indexOf("\n\n")
            fields =
                String(data, 0, end).lines().associate {
                    it.substringBefore(": ") to
                        it.substringAfter(": ")
                }
            body = data.copyOfRange(end + 2, data.size)
        }

        fun open(): OpenedSidecar {
            val model =
                ModelBinding(fields.getValue("model-id"), fields.getValue("model-size").toLong())
            val opener =
                fields["passphrase"]?.let(::Passphrase)
                    ?: Identity.load(fields.getValue("identity").toByteArray())
            val opened =
                openSidecar(
                    Sidecar.of(body),
                    opener,
                    IssuerKey.load(fields.getValue("issuer").toByteArray()),
                    fields["audience"],
                    now = Instant.parse(fields.getValue("now")),
                )
            checkModel(opened.model, model)
            return opened
        }

        override fun toString(): String = file.nameWithoutExtension
    }

    companion object {
        private val OUTCOMES: Map<String, Pair<KClass<out EdgeProException>, String>> =
            mapOf(
                "empty" to (SidecarFormatException::class to "the file is empty"),
                "not-a-sidecar" to (SidecarFormatException::class to "it is no sidecar"),
                "truncated" to (SidecarFormatException::class to "the file ends at byte"),
                "damaged" to (SidecarFormatException::class to "it is damaged"),
                "newer-version" to
                    (SidecarFormatException::class to "expected format version 1, got version=2"),
                "no-recipient" to (WrongKeyException::class to "it is sealed to"),
                "decryption-failed" to (WrongKeyException::class to "decryption failed"),
                "not-signed" to (SidecarFormatException::class to "no signed lock"),
                "bad-claims" to
                    (SidecarFormatException::class to "its signed claims are not of this format"),
                "other-issuer" to (UntrustedSidecarException::class to "expected issuer"),
                "bad-signature" to (UntrustedSidecarException::class to "does not hold"),
                "header-differs" to (UntrustedSidecarException::class to "its header names model"),
                "audience" to (UntrustedSidecarException::class to "audience|application"),
                "not-yet-valid" to (ExpiredException::class to "it is valid from"),
                "expired" to (ExpiredException::class to "it expired"),
                "wrong-model" to (WrongModelException::class to "belongs to model"),
            )

        @JvmStatic
        fun vectors(): List<Vector> =
            File(TESTS, "vectors/sidecar").listFiles()!!.sorted().map(::Vector)
    }
}
