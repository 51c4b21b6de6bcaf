package dev.edgepro

/**
 * Base of all errors of this library: every way it says no.
 *
 * A message has two parts, so that an app may show them apart. No secret ever stands in
 * either, and no cause is kept that might hold one.
 *
 * @property problem what could not be done, to what, and which rule was broken; ends with
 *   a full stop.
 * @property hint the next step; may be empty.
 */
sealed class EdgeProException(
    val problem: String,
    val hint: String = "",
) : Exception("$problem $hint".trim())

/** A sidecar cannot be opened; subclasses say why, this one that it cannot be read. */
open class SidecarException(
    problem: String,
    hint: String = "",
) : EdgeProException(problem, hint)

/** The file is not a sidecar, is damaged or cut short, or is of a newer format. */
class SidecarFormatException(
    problem: String,
    hint: String = "",
) : SidecarException(problem, hint)

/** No recipient of the sidecar matches the identity, or decryption failed. */
class WrongKeyException(
    problem: String,
    hint: String = "",
) : SidecarException(problem, hint)

/** The issuer's signature or the audience is not the expected one. */
class UntrustedSidecarException(
    problem: String,
    hint: String = "",
) : SidecarException(problem, hint)

/** The sidecar is not valid yet, or no longer. */
class ExpiredException(
    problem: String,
    hint: String = "",
) : SidecarException(problem, hint)

/** The sidecar belongs to another model file. */
class WrongModelException(
    problem: String,
    hint: String = "",
) : EdgeProException(problem, hint)

/** A key cannot be used: unreadable, of the wrong kind, or not to be had on this device. */
class KeyException(
    problem: String,
    hint: String = "",
) : EdgeProException(problem, hint)

/** Bytes are not a payload, or a payload of a version this library lacks. */
class PayloadException(
    problem: String,
    hint: String = "",
) : EdgeProException(problem, hint)

/** The file is no TFLite model, is damaged, or cannot be read. */
class ModelException(
    problem: String,
    hint: String = "",
) : EdgeProException(problem, hint)

/** The TFLite runtime refused the model or the delegate. */
class InterpreterException(
    problem: String,
    hint: String = "",
) : EdgeProException(problem, hint)

/** The native core is missing, was used after it was closed, or reported a failure. */
class NativeException(
    problem: String,
    hint: String = "",
) : EdgeProException(problem, hint)
