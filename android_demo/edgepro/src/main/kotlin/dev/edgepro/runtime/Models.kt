package dev.edgepro.runtime

import dev.edgepro.sidecar.IssuerKey
import dev.edgepro.sidecar.ModelCheck
import dev.edgepro.sidecar.Opener
import dev.edgepro.sidecar.Sidecar
import dev.edgepro.sidecar.checkModel
import dev.edgepro.sidecar.openSidecar
import java.nio.ByteBuffer

/*
 * Public model + sidecar -> something that runs.
 */

/**
 * Opens a sidecar and makes the delegate for an interpreter of your own.
 *
 * The delegate must be the first of the interpreter's and serves that one; close it after
 * the interpreter. The lock is wiped here and lives on in the delegate alone.
 *
 * Cost: a few milliseconds; FULL hashes the model (about 1 ms for each megabyte).
 *
 * @param opener the private key (or passphrase) that opens the sidecar.
 * @param issuer the public key of who must have signed it.
 * @param audience the application id it must be for; null if it names none.
 * @param model the public model (a `MappedByteBuffer`), to check that it belongs: all of
 *   the buffer, as the interpreter takes it, wherever its position and its limit stand;
 *   null leaves that to the core's fingerprints.
 * @param modelCheck FULL by default, since TFLite follows a file's offsets unverified.
 * @throws dev.edgepro.SidecarException the sidecar does not open; its subclasses say why.
 * @throws dev.edgepro.WrongModelException it belongs to another model.
 */
@JvmOverloads
fun loadDelegate(
    sidecar: Sidecar,
    opener: Opener,
    issuer: IssuerKey,
    audience: String? = null,
    model: ByteBuffer? = null,
    modelCheck: ModelCheck = ModelCheck.FULL,
): EdgeProDelegate = openSidecar(sidecar, opener, issuer, audience).use { opened ->
    model?.let { checkModel(opened.model, whole(it), modelCheck, sidecarName = sidecar.name) }
    EdgeProDelegate(opened.payload)
}

/** A buffer as TFLite's interpreter takes it, which asks for no position and no limit. */
private fun whole(buffer: ByteBuffer): ByteBuffer = buffer.duplicate().apply { clear() }

/**
 * Restores a public model into private memory, for what takes a buffer and no delegate.
 *
 * The whole file is compared first (SHA-256): what takes a buffer often follows its
 * offsets unverified.
 *
 * Cost: about 1 ms for each megabyte hashed, and one pass over the protected constants;
 * memory for the pages rewritten.
 *
 * @param model where the public `.tflite` lies.
 * @param opener the private key (or passphrase) that opens the sidecar.
 * @param issuer the public key of who must have signed it.
 * @param audience the application id it must be for; null if it names none.
 * @param threads CPU threads that restore; 0 chooses by the size of what is restored.
 * @return the authorized model; to be closed after what uses its buffer.
 * @throws dev.edgepro.SidecarException the sidecar does not open; its subclasses say why.
 * @throws dev.edgepro.WrongModelException it belongs to another model.
 * @throws dev.edgepro.ModelException the file cannot be read, or is no model.
 */
@JvmOverloads
fun restoreModel(
    model: ModelFile,
    sidecar: Sidecar,
    opener: Opener,
    issuer: IssuerKey,
    audience: String? = null,
    threads: Int = 0,
): RestoredModel = openSidecar(sidecar, opener, issuer, audience).use { opened ->
    RestoredModel.restore(model, opened.payload, opened.model, threads, sidecar.name)
}
