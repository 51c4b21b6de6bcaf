package dev.edgepro.demo

import android.graphics.Color
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.TextView
import dev.edgepro.WrongKeyException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** The screen, laid out by Android's own code; no model runs here. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
class ScreenTest {
    private val activity = Robolectric.buildActivity(android.app.Activity::class.java).setup().get()
    private val screen = Screen(activity)
    private val samples =
        Samples.parse(
            """{"greys":16,"side":2,"labels":[7,9],"images":[[0,16,16,0],[16,0,0,16]]}""",
        )

    @Test
    fun `a refusal is shown in the library's words`() {
        val view = screen.build({}, {})
        screen.showRefusal(WrongKeyException("cannot open.", "Ask for a grant."), "edgepro grant")
        val shown = textsOf(view)
        assertTrue(shown.containsAll(listOf("cannot open.", "Ask for a grant.", "edgepro grant")))
    }

    @Test
    fun `a pixel is as dark as its ink`() {
        val bitmap = samples.bitmapOf(0)
        assertEquals(listOf(Color.WHITE, Color.BLACK), listOf(0, 1).map { bitmap.getPixel(it, 0) })
        assertEquals(listOf(0f, 1f, 1f, 0f), samples.pixelsOf(0).toList())
    }

    @Test
    fun `buttons do what they say`() {
        val pressed = ArrayList<String>()
        val view = screen.build({ pressed += "share" }, { pressed += "import" })
        viewsOf(view).filterIsInstance<Button>().forEach { it.performClick() }
        assertEquals(listOf("share", "import"), pressed)
    }

    @Test
    fun `both answers stand beside each sample`() {
        val view = screen.build({}, {})
        activity.setContentView(view)
        val wrong = samples.labels.map { (it + 3) % 10 }
        val comparison =
            Comparison(Outcome(wrong, 1.25, 30.0), Outcome(samples.labels, 2.5, 31.0), 1.0)
        screen.showComparison(comparison, samples)
        val shown = textsOf(view)
        assertTrue(shown.any { "Restored: 2 of 2 right, loaded in 2.5 ms, 31 µs" in it })
        assertEquals(samples.labels.size, shown.count { it.endsWith("✓") })
        assertEquals(samples.labels.size, shown.count { it.endsWith("✗") })
    }

    private fun textsOf(view: View): List<String> =
        viewsOf(view).filterIsInstance<TextView>().map { it.text.toString() }

    private fun viewsOf(view: View): List<View> = if (view is ViewGroup) {
        listOf(view) + (0 until view.childCount).flatMap { viewsOf(view.getChildAt(it)) }
    } else {
        listOf(view)
    }
}
