package dev.edgepro.device

import android.content.res.AssetFileDescriptor
import android.content.res.AssetManager
import dev.edgepro.ModelException
import dev.edgepro.runtime.ModelFile
import java.io.FileInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

/*
 * Models that ship as assets. They must be stored uncompressed, so that they can be mapped
 * where they lie in the APK: `androidResources { noCompress += "tflite" }`.
 */

/**
 * Maps an asset for reading, for [openInterpreter][dev.edgepro.runtime.openInterpreter],
 * or an interpreter of your own.
 *
 * @throws ModelException there is no such asset, or it is compressed.
 */
fun AssetManager.mapModel(name: String): ByteBuffer = openModel(name) { asset ->
    FileInputStream(asset.fileDescriptor).channel.use {
        it.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
    }
}

/**
 * Lends an asset to [restoreModel][dev.edgepro.runtime.restoreModel]; what it returns may
 * outlive the call.
 *
 * @throws ModelException there is no such asset, or it is compressed.
 */
fun <T> AssetManager.withModelFile(
    name: String,
    block: (ModelFile) -> T,
): T = openModel(name) { asset ->
    val descriptor = asset.parcelFileDescriptor.fd
    block(ModelFile.of(descriptor, asset.startOffset, asset.declaredLength, name))
}

private fun <T> AssetManager.openModel(
    name: String,
    block: (AssetFileDescriptor) -> T,
): T = try {
    openFd(name).use(block)
} catch (_: IOException) {
    throw ModelException(
        "cannot read model $name: expected an asset that is stored uncompressed, got none.",
        "Add noCompress += \"tflite\" to androidResources, and look at the asset's name.",
    )
}
