package dev.edgepro.device

import android.annotation.TargetApi
import android.os.Build
import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyInfo
import android.security.keystore.KeyProperties
import dev.edgepro.KeyException
import dev.edgepro.sidecar.Identity
import dev.edgepro.sidecar.Recipient
import java.security.GeneralSecurityException
import java.security.KeyFactory
import java.security.KeyPairGenerator
import java.security.KeyStore
import java.security.KeyStoreException
import java.security.PrivateKey
import java.security.ProviderException
import java.security.interfaces.ECPublicKey
import java.security.spec.ECGenParameterSpec

/**
 * This device's identity: a P-256 key whose private half never leaves AndroidKeyStore,
 * in StrongBox where the device has one that agrees on keys.
 *
 * The app shows or sends [recipient] to whoever seals; `edgepro grant --to` reads its JWK.
 * The key belongs to the app: uninstalling it, or clearing its data, ends the key, and
 * the device needs a new grant. Backups do not carry it.
 *
 * ```
 * val key = DeviceKey.getOrCreate()
 * share(key.recipient.toJwk())
 * openSidecar(sidecar, key.identity, issuer, audience).use { ... }
 * ```
 *
 * @property identity opens sidecars.
 * @property recipient what sidecars are sealed to; holds nothing secret.
 * @property storage where the private half lies.
 */
class DeviceKey private constructor(
    val identity: Identity,
    val recipient: Recipient,
    val storage: Storage,
) {
    /** Where a private key lies, and so what it takes to steal it. */
    enum class Storage(
        private val text: String,
    ) {
        STRONGBOX("a secure chip of its own (StrongBox)"),
        TRUSTED_ENVIRONMENT("the processor's trusted environment"),
        SOFTWARE("software alone"),
        ;

        override fun toString(): String = text
    }

    companion object {
        /** The name in AndroidKeyStore, unless an app chooses another. */
        const val ALIAS = "edgepro"
        private const val PROVIDER = "AndroidKeyStore"
        private const val CURVE = "secp256r1"

        /**
         * Returns this app's key, which is made at the first call.
         *
         * Cost: making one takes up to some seconds in StrongBox; later calls
         * milliseconds. Call it off the main thread.
         *
         * @throws KeyException before Android 12, which cannot agree on keys in hardware,
         *   or where the key store fails.
         */
        @JvmStatic
        @JvmOverloads
        @Synchronized // So that two threads do not make two keys, of which one stays.
        fun getOrCreate(alias: String = ALIAS): DeviceKey {
            if (Build.VERSION.SDK_INT < Build.VERSION_CODES.S) {
                throw KeyException(
                    "cannot make a device key: expected Android 12 (API 31) or later, got API " +
                        "${Build.VERSION.SDK_INT}.",
                    "Use an identity from a file on older devices.",
                )
            }
            return try {
                val store = KeyStore.getInstance(PROVIDER).apply { load(null) }
                // A key store that fails says that it has no such alias; asked for the key it
                // throws. A key made then would take the place of the one that is there.
                if (!store.containsAlias(alias) && store.getKey(alias, null) == null) {
                    generate(alias)
                }
                read(store, alias)
            } catch (error: GeneralSecurityException) {
                throw broken(error)
            } catch (error: ProviderException) {
                throw broken(error)
            }
        }

        /**
         * Ends this app's key; what was sealed to it opens no longer on this device.
         *
         * @throws KeyException the key store fails.
         */
        @JvmStatic
        @JvmOverloads
        fun delete(alias: String = ALIAS) {
            try {
                KeyStore.getInstance(PROVIDER).apply { load(null) }.deleteEntry(alias)
            } catch (error: GeneralSecurityException) {
                throw broken(error)
            }
        }

        @TargetApi(Build.VERSION_CODES.S)
        private fun generate(alias: String) {
            try {
                generate(alias, inStrongBox = true)
            } catch (_: ProviderException) {
                // There is none, or it does not agree on keys.
                generate(alias, inStrongBox = false)
            } catch (_: GeneralSecurityException) {
                // Told so by some.
                generate(alias, inStrongBox = false)
            }
        }

        @TargetApi(Build.VERSION_CODES.S)
        private fun generate(
            alias: String,
            inStrongBox: Boolean,
        ) {
            val spec =
                KeyGenParameterSpec
                    .Builder(alias, KeyProperties.PURPOSE_AGREE_KEY)
                    .setAlgorithmParameterSpec(ECGenParameterSpec(CURVE))
                    .setIsStrongBoxBacked(inStrongBox)
                    .build()
            KeyPairGenerator
                .getInstance(KeyProperties.KEY_ALGORITHM_EC, PROVIDER)
                .apply { initialize(spec) }
                .generateKeyPair()
        }

        @TargetApi(Build.VERSION_CODES.S)
        private fun read(
            store: KeyStore,
            alias: String,
        ): DeviceKey {
            val privateKey = store.getKey(alias, null) as? PrivateKey
            val certificate = store.getCertificate(alias)
            // Every key of this kind has one; it is null where the key store fails.
            if (privateKey != null && certificate == null) throw KeyStoreException()
            val publicKey = certificate?.publicKey as? ECPublicKey
            if (privateKey == null || publicKey == null) {
                throw KeyException(
                    "cannot use device key $alias: expected an EC key, got another entry.",
                    "Choose another alias, or delete it.",
                )
            }
            val info =
                KeyFactory
                    .getInstance(privateKey.algorithm, PROVIDER)
                    .getKeySpec(privateKey, KeyInfo::class.java)
            return DeviceKey(
                Identity.of(privateKey, publicKey),
                Recipient.of(publicKey),
                storageOf(info.securityLevel),
            )
        }

        private fun storageOf(level: Int): Storage = when (level) {
            KeyProperties.SECURITY_LEVEL_STRONGBOX -> Storage.STRONGBOX
            KeyProperties.SECURITY_LEVEL_TRUSTED_ENVIRONMENT,
            KeyProperties.SECURITY_LEVEL_UNKNOWN_SECURE,
            -> Storage.TRUSTED_ENVIRONMENT
            else -> Storage.SOFTWARE
        }

        private fun broken(error: Exception) = KeyException(
            "cannot use this device's key: the key store failed (${error.javaClass.simpleName}).",
            "Try again; if it stays so, delete the key and ask for a new grant.",
        )
    }
}
