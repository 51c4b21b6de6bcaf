package dev.edgepro.demo

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import dev.edgepro.EdgeProException
import dev.edgepro.device.DeviceKey
import dev.edgepro.device.mapModel
import dev.edgepro.sidecar.IssuerKey
import java.util.concurrent.Executors

/** The sidecar's audience, and this app's applicationId. */
const val AUDIENCE = "dev.edgepro.demo"

/**
 * Digits under the public file alone and under the restored model, and the way to get a
 * sidecar for this device.
 */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor()
    private val screen by lazy { Screen(this) }
    private val store by lazy { SidecarStore(this) }
    private val issuer by lazy { IssuerKey.load(asset("issuer_key.jwk")) }
    private val samples by lazy { Samples.parse(String(asset("samples.json"))) }

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(screen.build(onShare = ::shareKey, onImport = ::chooseSidecar))
        work { compare() }
    }

    override fun onDestroy() {
        worker.shutdown()
        super.onDestroy()
    }

    override fun onActivityResult(
        request: Int,
        result: Int,
        data: Intent?,
    ) {
        super.onActivityResult(request, result, data)
        val uri = data?.data ?: return
        if (request != CHOOSE_SIDECAR || result != RESULT_OK) return
        work {
            store.import(uri, DeviceKey.getOrCreate().identity, issuer)
            compare()
        }
    }

    private fun compare() {
        val model = assets.mapModel("digits.tflite")
        show(runPublic(model, samples))
        val key = DeviceKey.getOrCreate()
        runOnUiThread { screen.showKey(key) }
        show(runBoth(model, store.read(), key.identity, issuer, samples))
    }

    private fun show(comparison: Comparison) =
        runOnUiThread { screen.showComparison(comparison, samples) }

    /** Off the main thread; what the library refuses is shown in its words. */
    private fun work(task: () -> Unit) = worker.execute {
        try {
            task()
        } catch (error: EdgeProException) {
            runOnUiThread { screen.showRefusal(error, HOW_TO) }
        }
    }

    private fun shareKey() = work {
        val jwk = DeviceKey.getOrCreate().recipient.toJwk()
        val send =
            Intent(Intent.ACTION_SEND)
                .setType("text/plain")
                .putExtra(Intent.EXTRA_SUBJECT, "phone.jwk")
                .putExtra(Intent.EXTRA_TEXT, jwk)
        runOnUiThread { startActivity(Intent.createChooser(send, "Share the public key")) }
    }

    private fun chooseSidecar() {
        val choose =
            Intent(Intent.ACTION_OPEN_DOCUMENT)
                .addCategory(Intent.CATEGORY_OPENABLE)
                .setType("*/*")
        startActivityForResult(choose, CHOOSE_SIDECAR)
    }

    private fun asset(name: String): ByteArray = assets.open(name).use { it.readBytes() }

    private companion object {
        const val CHOOSE_SIDECAR = 1
        val HOW_TO =
            """
            To open the model on this device:
            1. Share its public key to your computer, as phone.jwk.
            2. There, in the repository:
            edgepro grant android_demo/app/src/main/assets/digits.edgepro --keys android_demo/keys --to phone.jwk --out phone.edgepro
            3. adb push phone.edgepro /sdcard/Download/
            4. Import it here.
            """.trimIndent()
    }
}
