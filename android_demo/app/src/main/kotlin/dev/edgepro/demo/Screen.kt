package dev.edgepro.demo

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Color
import android.graphics.Typeface
import android.graphics.drawable.BitmapDrawable
import android.view.Gravity
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TableLayout
import android.widget.TableRow
import android.widget.TextView
import dev.edgepro.EdgeProException
import dev.edgepro.device.DeviceKey

/** What the one screen shows; knows widgets and no cryptography. */
class Screen(
    private val activity: Activity,
) {
    private val key = text(selectable = true)
    private val status = text(bold = true)
    private val hint = text()
    private val command = text(selectable = true, monospace = true)
    private val figures = text()
    private val samples = TableLayout(activity).apply { isStretchAllColumns = true }
    private val column = LinearLayout(activity)

    /** Puts the screen together. */
    fun build(
        onShare: () -> Unit,
        onImport: () -> Unit,
    ): View {
        val space = (16 * activity.resources.displayMetrics.density).toInt()
        column.orientation = LinearLayout.VERTICAL
        column.setPadding(space, space, space, space)
        val views =
            listOf(
                status,
                hint,
                button("Share this device's public key", onShare),
                button("Import a sidecar", onImport),
                key,
                command,
                figures,
                samples,
            )
        views.forEach(column::addView)
        show(status, "Loading …")
        listOf(hint, key, command, figures).forEach { show(it, "") }
        return ScrollView(activity).apply {
            fitsSystemWindows = true
            addView(column)
        }
    }

    fun showKey(deviceKey: DeviceKey) {
        val id = deviceKey.recipient.shortId
        show(key, "This device's key is $id, in ${deviceKey.storage}.")
    }

    /** A refusal in the library's own words, and how this device gets its sidecar. */
    fun showRefusal(
        error: EdgeProException,
        howTo: String,
    ) {
        show(status, error.problem)
        show(hint, error.hint)
        show(command, howTo)
    }

    fun showComparison(
        comparison: Comparison,
        data: Samples,
    ) {
        val restored = comparison.restored
        if (restored != null) {
            show(status, "The sidecar opened: the model is restored.")
            show(hint, "")
            show(command, "")
        }
        val lines =
            listOfNotNull(
                describe("Public file alone", comparison.public, data),
                restored?.let { describe("Restored", it, data) },
                restored?.let { "Of its load, the sidecar: %.1f ms".format(comparison.sidecarMs) },
            )
        show(figures, lines.joinToString("\n"))
        samples.removeAllViews()
        samples.addView(
            row(listOf("", "shows", "public", "restored").map { cell(it, bold = true) }),
        )
        for (sample in data.labels.indices) {
            val label = data.labels[sample]
            val cells =
                listOf(
                    picture(data.bitmapOf(sample), label),
                    cell("$label"),
                    answer(comparison.public.answers[sample], label),
                    restored?.let { answer(it.answers[sample], label) } ?: cell("–"),
                )
            samples.addView(row(cells))
        }
    }

    private fun describe(
        name: String,
        outcome: Outcome,
        data: Samples,
    ): String {
        val right = outcome.answers.indices.count { outcome.answers[it] == data.labels[it] }
        return "%s: %d of %d right, loaded in %.1f ms, %.0f µs an image".format(
            name,
            right,
            data.labels.size,
            outcome.loadMs,
            outcome.latencyUs,
        )
    }

    private fun show(
        view: TextView,
        content: String,
    ) {
        view.text = content
        view.visibility = if (content.isEmpty()) View.GONE else View.VISIBLE
    }

    private fun row(cells: List<View>) = TableRow(activity).apply {
        gravity = Gravity.CENTER_VERTICAL
        cells.forEach(::addView)
    }

    private fun answer(
        given: Int,
        label: Int,
    ): View = cell(if (given == label) "$given ✓" else "$given ✗").apply {
        setTextColor(if (given == label) RIGHT else WRONG)
    }

    private fun picture(
        bitmap: Bitmap,
        label: Int,
    ) = ImageView(activity).apply {
        val size = (40 * resources.displayMetrics.density).toInt()
        val drawable = BitmapDrawable(resources, bitmap).apply { isFilterBitmap = false }
        setImageDrawable(drawable)
        contentDescription = "an image of a $label"
        layoutParams = TableRow.LayoutParams(size, size).apply { setMargins(0, size / 8, 0, 0) }
    }

    private fun cell(
        content: String,
        bold: Boolean = false,
    ) = text(bold = bold).apply { text = content }

    private fun button(
        label: String,
        onClick: () -> Unit,
    ) = Button(activity).apply {
        text = label
        setOnClickListener { onClick() }
    }

    private fun text(
        bold: Boolean = false,
        selectable: Boolean = false,
        monospace: Boolean = false,
    ) = TextView(activity).apply {
        setPadding(0, 0, 0, (8 * resources.displayMetrics.density).toInt())
        if (bold) setTypeface(typeface, Typeface.BOLD)
        if (monospace) typeface = Typeface.MONOSPACE
        setTextIsSelectable(selectable)
    }

    private companion object {
        val RIGHT = Color.rgb(0x2e, 0x7d, 0x32)
        val WRONG = Color.rgb(0xc6, 0x28, 0x28)
    }
}
