/* The native core of EdgePro: restores a lock into the constants of a .tflite.
 *
 * Three ways in. The host opened the sidecar and holds the payload (docs/payload.md):
 *  - edgepro_restore() restores a writable copy of the file in place (a private
 *    copy-on-write mapping keeps the untouched pages shared);
 *  - edgepro_delegate_create() makes the TFLite delegate that restores one interpreter;
 *  - edgepro_hand_over() returns a handle, and TFLite's own loader of external delegates
 *    makes the same delegate by the option "handle".
 *
 * C99 and libc only. Thread-safe: distinct locks and models may be used concurrently.
 * On failure nothing was changed, and `error` (may be NULL) holds one sentence,
 * NUL-terminated, that names no secret. */
#ifndef EDGEPRO_H
#define EDGEPRO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define EDGEPRO_EXPORT __declspec(dllexport)
#else
#define EDGEPRO_EXPORT __attribute__((visibility("default")))
#endif

typedef enum {
  EDGEPRO_OK = 0,
  EDGEPRO_BAD_ARGUMENT = 1, /* a NULL pointer or a size that cannot be */
  EDGEPRO_BAD_PAYLOAD = 2,  /* the payload breaks a rule of docs/payload.md */
  EDGEPRO_BAD_MODEL = 3,    /* not a TFLite flatbuffer, or a damaged one */
  EDGEPRO_WRONG_MODEL = 4,  /* a sound model, but not the one this lock is for */
  EDGEPRO_OUT_OF_MEMORY = 5
} edgepro_status;

typedef struct edgepro_lock edgepro_lock;

/* Parses `size` bytes of payload. The bytes are copied; the caller wipes his own.
 * *lock is owned by the caller: edgepro_lock_free(). */
EDGEPRO_EXPORT edgepro_status edgepro_lock_parse(const void* payload, size_t size,
                                                 edgepro_lock** lock, char* error,
                                                 size_t error_size);
/* Wipes and frees; NULL is allowed. */
EDGEPRO_EXPORT void edgepro_lock_free(edgepro_lock* lock);
EDGEPRO_EXPORT size_t edgepro_lock_record_count(const edgepro_lock* lock);

/* Restores the public model at `model` (`size` bytes, writable) in place. All addresses
 * and fingerprints are checked before the first byte is written. *bytes_written (may be
 * NULL) receives the number of bytes rewritten. threads: at most as many take part; 0
 * chooses by the size of what is restored, 1 to 4 and no more than processors. */
EDGEPRO_EXPORT edgepro_status edgepro_restore(const edgepro_lock* lock, void* model,
                                              size_t size, int threads,
                                              uint64_t* bytes_written, char* error,
                                              size_t error_size);

/* The inverse, for the converter: applies the lock to a model whose SET channels
 * already hold what shall be published. Ignores the records' fingerprints and writes
 * the public bytes' fingerprints to fingerprints[record_count]. */
EDGEPRO_EXPORT edgepro_status edgepro_apply(const edgepro_lock* lock, void* model,
                                            size_t size, uint32_t* fingerprints,
                                            char* error, size_t error_size);

/* Parses the payload, keeps it, returns a single-use handle (never 0), or 0 on failure.
 * The next delegate created with option handle=<decimal> takes it over; a handle
 * that will not be used is given back with edgepro_discard(). */
EDGEPRO_EXPORT uint64_t edgepro_hand_over(const void* payload, size_t size, char* error,
                                          size_t error_size);
EDGEPRO_EXPORT void edgepro_discard(uint64_t handle);

/* RFC 8439 ChaCha20 keystream, exported for its test vectors. nonce: three words;
 * writes `size` bytes starting at block `counter`. */
EDGEPRO_EXPORT void edgepro_keystream(const uint8_t key[32], const uint32_t nonce[3],
                                      uint32_t counter, uint8_t* out, size_t size);
/* As payloads of version 4 have it. */
EDGEPRO_EXPORT uint32_t edgepro_fingerprint(const void* data, size_t size);
/* Overwrites a secret with zeros; the compiler does not leave it out. */
EDGEPRO_EXPORT void edgepro_wipe(void* data, size_t size);
/* "major.minor.patch" of the core. */
EDGEPRO_EXPORT const char* edgepro_version(void);

/* TFLite's external-delegate plugin interface (external_delegate.h). Option: "handle".
 */
struct TfLiteDelegate;
EDGEPRO_EXPORT struct TfLiteDelegate* tflite_plugin_create_delegate(
    const char* const* keys, const char* const* values, size_t count,
    void (*report_error)(const char*));
EDGEPRO_EXPORT void tflite_plugin_destroy_delegate(struct TfLiteDelegate* delegate);
/* The same delegate from the payload itself; the bytes are copied. *delegate is owned by
 * the caller: tflite_plugin_destroy_delegate(), once its interpreter has ended. */
EDGEPRO_EXPORT edgepro_status edgepro_delegate_create(const void* payload, size_t size,
                                                      struct TfLiteDelegate** delegate,
                                                      char* error, size_t error_size);
/* 1 once every record of the delegate's lock is restored, else 0. To be asked after
 * AllocateTensors: a model that lacks a protected subgraph is told only by this. */
EDGEPRO_EXPORT int edgepro_delegate_is_complete(const struct TfLiteDelegate* delegate);

#ifdef __cplusplus
}
#endif
#endif /* EDGEPRO_H */
