package dev.edgepro.sidecar

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.CsvSource
import org.junit.jupiter.params.provider.ValueSource
import java.math.BigInteger

class JsonTest {
    @Test
    fun `all kinds of values are read`() {
        val numbers = "[1,-20,0.5,1e3,true,false,null]"
        val letters = """ "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00" """
        val text = """ {"a":$numbers,"b":{},"c":$letters} """
        val value = parseJsonObject(text)
        assertEquals(
            listOf(BigInteger.ONE, BigInteger.valueOf(-20), 0.5, 1000.0, true, false, null),
            value["a"],
        )
        assertEquals(emptyMap<String, Any?>(), value["b"])
        assertEquals("\"\\/\b\u000c\n\r\té😀", value["c"])
    }

    @ParameterizedTest
    @CsvSource(
        delimiter = '|',
        quoteCharacter = '`',
        value = [
            "{\"a\" \"b\"}|5",
            "{'a':1}|1",
            "{\"a\":01}|6",
            "{\"a\":1,}|7",
            "{\"a\":+1}|5",
            "{\"a\":.5}|5",
            "{\"a\":1.}|6",
            "{\"a\":NaN}|5",
            "{\"a\":Infinity}|5",
            "{\"a\":1} x|8",
            "{\"a\":[1,]}|8",
            "{\"a\":\"\\x\"}|6",
            "{\"a\":\"\\u12g4\"}|8",
            "{\"a\":tru e}|5",
        ],
    )
    fun `what is no JSON is told with its place`(
        text: String,
        position: Int,
    ) {
        val error = assertThrows<JsonException> { parseJsonObject(text) }
        assertEquals(position, error.position)
        assertTrue(!error.isCut)
        assertNull(error.refusal)
    }

    @ParameterizedTest
    @ValueSource(ints = [1, 3, 4, 5, 6, 7, 8, 11, 12, 13])
    fun `what is cut short is told as such`(size: Int) {
        val text = "{\"a\":[\"\\u00e9\"]}".take(size)
        assertTrue(assertThrows<JsonException> { parseJsonObject(text) }.isCut)
    }

    @Test
    fun `JSON that means several things is refused`() {
        mapOf(
            "{\"a\":1,\"a\":1}" to "a member stands twice",
            "{\"a\":{\"b\":1,\"\\u0062\":1}}" to "a member stands twice",
            "{\"a\":${"9".repeat(65)}}" to "a number has too many digits",
            "{\"a\":${"[".repeat(100_000)}" to "nested too deeply",
            "[]" to "no JSON object",
        ).forEach { (text, reason) ->
            assertEquals(reason, assertThrows<JsonException> { parseJsonObject(text) }.refusal)
        }
    }

    @ParameterizedTest
    @ValueSource(strings = ["=", "AA==", "A", "AB", "AAB", "A-_/", "AA AA", "ÄAAA"])
    fun `only one base64url text stands for bytes`(text: String) {
        assertThrows<BadValueException> { decodeBase64Url(text) }
    }

    @Test
    fun `inflating stops at its limit`() {
        val deflater = java.util.zip.Deflater(9, true)
        deflater.setInput(ByteArray(5000))
        deflater.finish()
        val packed = ByteArray(500).let { it.copyOf(deflater.deflate(it)) }
        assertEquals(5000, inflate(packed, 5000)?.size)
        assertEquals(5000, inflate(packed, 50_000)?.size)
        assertNull(inflate(packed, 4999))
        assertNull(inflate(packed + 0, 5000))
        assertNull(inflate(packed.copyOf(packed.size - 1), 5000))
        assertNull(inflate(ByteArray(0), 5000))
        assertNull(inflate("no deflate".toByteArray(), 5000))
    }
}
