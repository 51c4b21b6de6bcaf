package dev.edgepro.demo

import android.graphics.Bitmap
import android.graphics.Color
import org.json.JSONArray
import org.json.JSONObject

/**
 * Test images of hand-written digits (`samples.json`, made by `make_assets.py`).
 *
 * @property side of an image, in pixels.
 * @property labels what each image shows.
 */
class Samples private constructor(
    val side: Int,
    val labels: List<Int>,
    private val images: List<FloatArray>,
) {
    /** An image's pixels as the model takes them: 0 to 1, row by row. */
    fun pixelsOf(sample: Int): FloatArray = images[sample]

    /** An image to look at, dark on light. */
    fun bitmapOf(sample: Int): Bitmap {
        val colors =
            images[sample].map { ink -> ((1 - ink) * 255).toInt().let { Color.rgb(it, it, it) } }
        return Bitmap.createBitmap(colors.toIntArray(), side, side, Bitmap.Config.ARGB_8888)
    }

    companion object {
        fun parse(text: String): Samples {
            val json = JSONObject(text)
            val greys = json.getInt("greys").toFloat()
            val images = json.getJSONArray("images")
            return Samples(
                json.getInt("side"),
                intsOf(json.getJSONArray("labels")),
                (0 until images.length()).map { image ->
                    intsOf(images.getJSONArray(image)).map { it / greys }.toFloatArray()
                },
            )
        }

        private fun intsOf(array: JSONArray): List<Int> =
            (0 until array.length()).map(array::getInt)
    }
}
