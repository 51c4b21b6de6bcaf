package dev.edgepro.sidecar

import dev.edgepro.EdgeProException
import dev.edgepro.ExpiredException
import dev.edgepro.GoldenPair
import dev.edgepro.SidecarException
import dev.edgepro.SidecarFormatException
import dev.edgepro.TESTS
import dev.edgepro.WrongKeyException
import dev.edgepro.assertTells
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir
import java.io.ByteArrayInputStream
import java.io.File
import java.time.Duration
import java.time.Instant

/** What the vectors do not reach: names, streams, leeway, every cut, every flipped byte. */
class OpeningTest {
    private val vector = VectorsTest.Vector(File(TESTS, "vectors/sidecar/p256.txt"))
    private val identity = Identity.load(vector.fields.getValue("identity").toByteArray())
    private val issuer = IssuerKey.load(vector.fields.getValue("issuer").toByteArray())
    private val now = Instant.parse(vector.fields.getValue("now"))

    private fun open(
        data: ByteArray,
        now: Instant = this.now,
        leeway: Duration = Duration.ZERO,
    ) = openSidecar(
        Sidecar.of(data, "m.edgepro"),
        identity,
        issuer,
        "com.example.demo",
        now,
        leeway,
    )

    @Test
    fun `every cut is told as one`() {
        for (size in 1 until vector.body.size) {
            assertTells<SidecarFormatException>(
                "cannot open sidecar m.edgepro: the file ends at byte",
            ) {
                open(vector.body.copyOf(size))
            }
        }
    }

    @Test
    fun `no flipped bit goes unnoticed`() {
        for (place in vector.body.indices) {
            for (bit in listOf(1, 32)) {
                val altered =
                    vector.body.clone().also {
                        it[place] =
                            (it[place].toInt() xor bit).toByte()
                    }
                assertThrows<SidecarException>("byte $place") { open(altered).close() }
            }
        }
    }

    @Test
    fun `noise of any kind is told`() {
        val random = java.util.Random(1)
        repeat(2000) {
            val noise = vector.body.clone()
            repeat(1 + random.nextInt(8)) {
                noise[random.nextInt(noise.size)] =
                    random.nextInt(256).toByte()
            }
            if (!noise.contentEquals(
                    vector.body,
                )
            ) {
                assertThrows<EdgeProException> { open(noise).close() }
            }
        }
    }

    @Test
    fun `leeway moves both ends`() {
        val opened = open(vector.body)
        val minute = Duration.ofMinutes(1)
        val (start, end) = opened.notBefore!! to opened.expires!!
        open(vector.body, end, leeway = minute).close()
        open(vector.body, start - minute, leeway = minute).close()
        assertTells<ExpiredException>("it expired") { open(vector.body, end + minute, minute) }
        val early = start - minute
        val told = assertTells<ExpiredException>("it is valid from") { open(vector.body, early) }
        assertEquals(
            "cannot open sidecar m.edgepro: it is valid from 2026-05-31 12:00:00 UTC, it is now " +
                "2026-05-31 11:59:00 UTC.",
            told.problem,
        )
    }

    @Test
    fun `an opened sidecar tells what it is, not what it holds, and is wiped`() {
        val opened = open(vector.body)
        assertEquals(
            "sidecar of model cbb658b7… (27 bytes), signed by Example on " +
                "2026-05-31 12:00:00 UTC, for application com.example.demo, expires " +
                "2026-06-02 12:00:00 UTC",
            opened.toString(),
        )
        assertTrue(opened.payload.any { it != 0.toByte() })
        opened.close()
        assertTrue(opened.payload.all { it == 0.toByte() })
    }

    @Test
    fun `a stream and a file are read alike`() {
        val pair = GoldenPair.first
        val bytes = File(pair.model.parentFile, "model.edgepro").readBytes()
        val stream = Sidecar.read(ByteArrayInputStream(bytes), "shared")
        val payloads =
            listOf(stream, pair.sidecar).map {
                openSidecar(it, pair.identity, pair.issuer, GoldenPair.AUDIENCE).payload.toList()
            }
        assertEquals(payloads[0], payloads[1])
    }

    @Test
    fun `a sidecar is kept whole, or not at all`(
        @TempDir folder: File,
    ) {
        val kept = File(folder, "kept.edgepro").apply { writeText("an older one") }
        Sidecar.of(vector.body).write(kept)
        assertArrayEquals(vector.body, kept.readBytes())
        assertTells<SidecarException>("cannot write sidecar x.edgepro") {
            Sidecar.of(vector.body).write(File(folder, "none/x.edgepro"))
        }
        assertTells<SidecarException>("cannot write sidecar") {
            Sidecar.of(vector.body).write(folder.apply { File(this, "full").createNewFile() })
        }
        assertEquals(setOf("full", "kept.edgepro"), folder.list()!!.toSet())
        assertEquals(false, File("${folder.path}.partial").exists())
    }

    @Test
    fun `what is no file of this size is told`() {
        assertTells<SidecarException>(
            "cannot open sidecar none.edgepro: No such file or directory",
        ) {
            Sidecar.read(File("none.edgepro"))
        }
        val endless =
            object : java.io.InputStream() {
                override fun read() = '{'.code

                override fun read(
                    b: ByteArray,
                    off: Int,
                    len: Int,
                ) = len
            }
        assertTells<SidecarFormatException>(
            "expected at most 67,108,864 bytes",
        ) { Sidecar.read(endless) }
    }

    @Test
    fun `a passphrase opens what is sealed to it`() {
        val pair = GoldenPair.first
        val phrase = Passphrase("golden pair, not a secret")
        openSidecar(pair.sidecar, phrase, pair.issuer, GoldenPair.AUDIENCE).close()
        assertTells<WrongKeyException>("decryption failed") {
            openSidecar(
                pair.sidecar,
                Passphrase("another phrase"),
                pair.issuer,
                GoldenPair.AUDIENCE,
            )
        }
    }
}
