package dev.edgepro.demo

import android.content.Context
import android.net.Uri
import dev.edgepro.SidecarException
import dev.edgepro.sidecar.IssuerKey
import dev.edgepro.sidecar.Opener
import dev.edgepro.sidecar.Sidecar
import dev.edgepro.sidecar.openSidecar
import java.io.File
import java.io.IOException

/**
 * The sidecar in use: the one that was imported for this device, else the one that ships
 * with the app, which opens for its developer alone until it is granted.
 */
class SidecarStore(
    private val context: Context,
) {
    // Not among what is backed up: a phone that it is copied to has another key.
    private val imported = File(context.noBackupFilesDir, NAME)

    fun read(): Sidecar {
        if (imported.exists()) return Sidecar.read(imported)
        return context.assets.open(NAME).use { Sidecar.read(it, NAME) }
    }

    /**
     * Keeps a sidecar that another app hands over; one that does not open changes nothing.
     *
     * @throws SidecarException it cannot be read, or does not open.
     */
    fun import(
        uri: Uri,
        opener: Opener,
        issuer: IssuerKey,
    ) {
        val name = uri.lastPathSegment?.substringAfterLast('/') ?: NAME
        val sidecar =
            try {
                context.contentResolver.openInputStream(uri)?.use { Sidecar.read(it, name) }
            } catch (_: IOException) {
                null
            } ?: throw SidecarException("cannot open sidecar $name: it cannot be read.")
        openSidecar(sidecar, opener, issuer, AUDIENCE).close()
        sidecar.write(imported)
    }

    private companion object {
        const val NAME = "digits.edgepro"
    }
}
