package dev.edgepro.sidecar

import java.math.BigInteger

private const val MAX_DEPTH = 64
private const val MAX_DIGITS = 64

/** Text is not the JSON that is accepted here; the text itself is never quoted. */
internal class JsonException(
    /** Where: the index of a letter. */
    val position: Int,
    /** Whether the text ends before the value does. */
    val isCut: Boolean = false,
    /** Why JSON is refused that others would take; null where it is no JSON. */
    val refusal: String? = null,
) : Exception(refusal ?: "no JSON")

/**
 * Reads a JSON object (RFC 8259) strictly: no member twice, no text after it.
 *
 * Platforms' parsers are lenient, each in ways of its own, so that one file would mean
 * different things to different readers.
 *
 * @return members in their order: `Map`, `List`, `String`, `BigInteger`, `Double`,
 *   `Boolean` or null.
 * @throws JsonException it is no such object.
 */
internal fun parseJsonObject(text: String): Map<String, Any?> {
    val value = JsonParser(text).parseDocument()
    @Suppress("UNCHECKED_CAST")
    return value as? Map<String, Any?>
        ?: throw JsonException(0, refusal = "no JSON object")
}

private class JsonParser(
    private val text: String,
) {
    private var at = 0

    fun parseDocument(): Any? {
        val value = parseValue(0)
        skipSpace()
        if (at < text.length) fail(at)
        return value
    }

    private fun parseValue(depth: Int): Any? {
        if (depth > MAX_DEPTH) refuse("nested too deeply")
        skipSpace()
        return when (peek()) {
            '{' -> parseObject(depth)
            '[' -> parseArray(depth)
            '"' -> parseString()
            't' -> parseWord("true", true)
            'f' -> parseWord("false", false)
            'n' -> parseWord("null", null)
            else -> parseNumber()
        }
    }

    private fun parseObject(depth: Int): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        at++
        skipSpace()
        if (takes('}')) return members
        do {
            skipSpace()
            if (peek() != '"') fail(at)
            val name = parseString()
            skipSpace()
            if (!takes(':')) fail(at)
            val value = parseValue(depth + 1)
            if (name in members) refuse("a member stands twice")
            members[name] = value
            skipSpace()
        } while (takes(','))
        if (!takes('}')) fail(at)
        return members
    }

    private fun parseArray(depth: Int): List<Any?> {
        val items = ArrayList<Any?>()
        at++
        skipSpace()
        if (takes(']')) return items
        do {
            items += parseValue(depth + 1)
            skipSpace()
        } while (takes(','))
        if (!takes(']')) fail(at)
        return items
    }

    private fun parseString(): String {
        val start = at++
        val out = StringBuilder()
        while (true) {
            if (at >= text.length) throw JsonException(start, isCut = true)
            when (val letter = text[at++]) {
                '"' -> return out.toString()
                '\\' -> out.append(parseEscape(start))
                else -> if (letter < ' ') fail(at - 1) else out.append(letter)
            }
        }
    }

    private fun parseEscape(start: Int): Char {
        if (at >= text.length) throw JsonException(start, isCut = true)
        return when (val letter = text[at++]) {
            '"', '\\', '/' -> letter
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> parseUnicode()
            else -> fail(at - 2)
        }
    }

    private fun parseUnicode(): Char {
        val end = at + 4
        if (end > text.length) throw JsonException(text.length, isCut = true)
        val digits = text.substring(at, end)
        if (!digits.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }) fail(at)
        at = end
        return digits.toInt(16).toChar()
    }

    private fun <T> parseWord(
        word: String,
        value: T,
    ): T {
        if (!text.startsWith(word, at)) fail(at)
        at += word.length
        return value
    }

    private fun parseNumber(): Number {
        val number = NUMBER.find(text, at)?.takeIf { it.range.first == at } ?: fail(at)
        at = number.range.last + 1
        val isInteger = number.groupValues[1].isEmpty() && number.groupValues[2].isEmpty()
        if (!isInteger) return number.value.toDouble()
        if (number.value.length > MAX_DIGITS) refuse("a number has too many digits")
        return BigInteger(number.value)
    }

    private fun peek(): Char? = text.getOrNull(at)

    private fun takes(letter: Char): Boolean = (peek() == letter).also { if (it) at++ }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun fail(position: Int): Nothing =
        throw JsonException(position, isCut = position >= text.trimEnd().length)

    private fun refuse(reason: String): Nothing = throw JsonException(at, refusal = reason)

    private companion object {
        val NUMBER = Regex("-?(?:0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?")
    }
}
