/* What Kotlin's NativeCore calls: the core's delegate, and a private copy-on-write
 * mapping of a model that the core restores in place.
 *
 * Kotlin holds delegates and mappings as numbers and gives each back once; 0 stands for
 * none. Every failure is a pending Java exception: an EdgeProException with the core's
 * sentence, or an IOException with the system's reason. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include <errno.h>
#include <fcntl.h>
#include <jni.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edgepro.h"

#define NATIVE(type, name) \
  JNIEXPORT type JNICALL Java_dev_edgepro_runtime_NativeCore_##name

enum { ERROR_SIZE = 320 };

static const char kIOException[] = "java/io/IOException";

static const char* class_of(edgepro_status status) {
  switch (status) {
    case EDGEPRO_BAD_PAYLOAD:
      return "dev/edgepro/PayloadException";
    case EDGEPRO_BAD_MODEL:
      return "dev/edgepro/ModelException";
    case EDGEPRO_WRONG_MODEL:
      return "dev/edgepro/WrongModelException";
    default:
      return "dev/edgepro/NativeException";
  }
}

static void throw_plain(JNIEnv* env, const char* name, const char* text) {
  jclass class = (*env)->FindClass(env, name);
  if (class != NULL) (*env)->ThrowNew(env, class, text);
}

/* The core's sentence: what could not be done, to its first full stop; then a hint. */
static void throw_sentence(JNIEnv* env, edgepro_status status, char* sentence) {
  jclass class = (*env)->FindClass(env, class_of(status));
  if (class == NULL) return;
  jmethodID constructor = (*env)->GetMethodID(
      env, class, "<init>", "(Ljava/lang/String;Ljava/lang/String;)V");
  if (constructor == NULL) return;
  char* stop = strstr(sentence, ". ");
  jstring hint = (*env)->NewStringUTF(env, stop == NULL ? "" : stop + 2);
  if (stop != NULL) stop[1] = '\0';
  jstring problem = (*env)->NewStringUTF(env, sentence);
  if (hint == NULL || problem == NULL) return;
  jobject error = (*env)->NewObject(env, class, constructor, problem, hint);
  if (error != NULL) (*env)->Throw(env, error);
}

static void throw_bad_argument(JNIEnv* env, const char* sentence) {
  char text[ERROR_SIZE];
  snprintf(text, sizeof text, "%s", sentence);
  throw_sentence(env, EDGEPRO_BAD_ARGUMENT, text);
}

/* ---- Payloads: read where they lie, so that no further copy is left to wipe. ---- */

typedef struct {
  jbyteArray array;
  void* bytes;
  size_t size;
} payload_view;

static int hold_payload(JNIEnv* env, jbyteArray array, payload_view* out) {
  if (array == NULL) {
    throw_bad_argument(env,
                       "cannot read lock payload: expected the bytes of an opened "
                       "sidecar, got none. Open the sidecar first.");
    return 0;
  }
  out->array = array;
  out->size = (size_t)(*env)->GetArrayLength(env, array);
  out->bytes = (*env)->GetPrimitiveArrayCritical(env, array, NULL);
  return out->bytes != NULL; /* else OutOfMemoryError is pending */
}

static void release_payload(JNIEnv* env, const payload_view* payload) {
  (*env)->ReleasePrimitiveArrayCritical(env, payload->array, payload->bytes, JNI_ABORT);
}

/* ---- The delegate. ---- */

NATIVE(jlong, createDelegate)(JNIEnv* env, jclass self, jbyteArray array) {
  (void)self;
  payload_view payload;
  struct TfLiteDelegate* delegate = NULL;
  char error[ERROR_SIZE] = "";
  if (!hold_payload(env, array, &payload)) return 0;
  edgepro_status status = edgepro_delegate_create(payload.bytes, payload.size,
                                                  &delegate, error, sizeof error);
  release_payload(env, &payload);
  if (status != EDGEPRO_OK) throw_sentence(env, status, error);
  return (jlong)(intptr_t)delegate;
}

NATIVE(jboolean, isComplete)(JNIEnv* env, jclass self, jlong delegate) {
  (void)env, (void)self;
  const struct TfLiteDelegate* pointer = (void*)(intptr_t)delegate;
  return edgepro_delegate_is_complete(pointer) ? JNI_TRUE : JNI_FALSE;
}

NATIVE(void, destroyDelegate)(JNIEnv* env, jclass self, jlong delegate) {
  (void)env, (void)self;
  tflite_plugin_destroy_delegate((void*)(intptr_t)delegate);
}

/* ---- The mapping. ---- */

typedef struct mapping {
  uint8_t* base;
  size_t mapped_size; /* of whole pages */
  size_t skipped;     /* bytes of the first page that stand before the model */
  size_t size;
  int is_restored;
  struct mapping* next; /* closed one */
} mapping;

/* Closed mappings keep their addresses, which read as zero: a buffer that is still held
 * somewhere then shows nothing, instead of ending the process. The next model of as many
 * pages takes them over: else a process that opens and closes models would run out. */
static mapping* closed;
static pthread_mutex_t closed_mutex = PTHREAD_MUTEX_INITIALIZER;

static void keep_closed(mapping* model) {
  pthread_mutex_lock(&closed_mutex);
  model->next = closed;
  closed = model;
  pthread_mutex_unlock(&closed_mutex);
}

/* A closed mapping of this size, or a new one without addresses; NULL without memory. */
static mapping* take_closed(size_t mapped_size) {
  pthread_mutex_lock(&closed_mutex);
  mapping** link = &closed;
  while (*link != NULL && (*link)->mapped_size != mapped_size) link = &(*link)->next;
  mapping* found = *link;
  if (found != NULL) *link = found->next;
  pthread_mutex_unlock(&closed_mutex);
  return found != NULL ? found : calloc(1, sizeof *found);
}

/* The region of a file, or what is left of it where length is below 0. */
static int find_region(JNIEnv* env, int descriptor, jlong offset, jlong* length) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) {
    throw_plain(env, kIOException, strerror(errno));
    return 0;
  }
  /* Below 0 where there is no such offset; of two numbers from 0 on, nothing overflows. */
  jlong left = offset < 0 ? -1 : (jlong)status.st_size - offset;
  if (*length < 0) *length = left;
  if (*length < 0 || *length > left || (jlong)(off_t)offset != offset ||
      *length > INT32_MAX) { /* of a ByteBuffer */
    char text[ERROR_SIZE];
    snprintf(text, sizeof text,
             "expected a region of the file's %lld bytes, got offset=%lld, length=%lld",
             (long long)status.st_size, (long long)offset, (long long)*length);
    throw_plain(env, kIOException, text);
    return 0;
  }
  if (*length == 0) {
    throw_plain(env, kIOException, "expected a TFLite model, got an empty file");
    return 0;
  }
  return 1;
}

static jlong map_region(JNIEnv* env, int descriptor, jlong offset, jlong length) {
  if (!find_region(env, descriptor, offset, &length)) return 0;
  size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (size_t)length;
  size_t skipped = (size_t)(offset % (jlong)page);
  size_t mapped_size = (skipped + size + page - 1) / page * page;
  mapping* out = take_closed(mapped_size);
  if (out == NULL) {
    throw_plain(env, kIOException, strerror(ENOMEM));
    return 0;
  }
  int flags = MAP_PRIVATE | (out->base != NULL ? MAP_FIXED : 0);
  void* base = mmap(out->base, mapped_size, PROT_READ | PROT_WRITE, flags, descriptor,
                    (off_t)(offset - (jlong)skipped));
  if (base == MAP_FAILED) {
    throw_plain(env, kIOException, strerror(errno));
    free(out);
    return 0;
  }
  out->mapped_size = mapped_size;
  out->skipped = skipped;
  out->size = size;
  out->base = base;
  out->is_restored = 0;
  return (jlong)(intptr_t)out;
}

NATIVE(jlong, mapDescriptor)(JNIEnv* env, jclass self, jint descriptor, jlong offset,
                             jlong length) {
  (void)self;
  return map_region(env, descriptor, offset, length);
}

NATIVE(jlong, mapPath)(JNIEnv* env, jclass self, jstring path, jlong offset,
                       jlong length) {
  (void)self;
  if (path == NULL) {
    throw_plain(env, kIOException, strerror(ENOENT));
    return 0;
  }
  const char* name = (*env)->GetStringUTFChars(env, path, NULL);
  if (name == NULL) return 0; /* OutOfMemoryError is pending */
  int descriptor = open(name, O_RDONLY | O_CLOEXEC);
  int reason = errno;
  (*env)->ReleaseStringUTFChars(env, path, name);
  if (descriptor < 0) {
    throw_plain(env, kIOException, strerror(reason));
    return 0;
  }
  jlong mapped = map_region(env, descriptor, offset, length);
  close(descriptor);
  return mapped;
}

static mapping* mapping_of(JNIEnv* env, jlong handle) {
  if (handle == 0) {
    throw_bad_argument(
        env, "cannot use model: expected an open one, got one that is closed.");
  }
  return (mapping*)(intptr_t)handle;
}

NATIVE(jobject, bufferOf)(JNIEnv* env, jclass self, jlong handle) {
  (void)self;
  mapping* model = mapping_of(env, handle);
  if (model == NULL) return NULL;
  return (*env)->NewDirectByteBuffer(env, model->base + model->skipped,
                                     (jlong)model->size);
}

/* Restores in place, once, and takes away the leave to write. */
NATIVE(void, restore)(JNIEnv* env, jclass self, jlong handle, jbyteArray array,
                      jint threads) {
  (void)self;
  mapping* model = mapping_of(env, handle);
  payload_view payload;
  edgepro_lock* lock = NULL;
  char error[ERROR_SIZE] = "";
  if (model == NULL) return;
  if (model->is_restored) {
    throw_bad_argument(env,
                       "cannot restore this model: expected the public file's bytes, "
                       "got a model restored before.");
    return;
  }
  if (!hold_payload(env, array, &payload)) return;
  edgepro_status status =
      edgepro_lock_parse(payload.bytes, payload.size, &lock, error, sizeof error);
  release_payload(env, &payload);
  if (status == EDGEPRO_OK) {
    status = edgepro_restore(lock, model->base + model->skipped, model->size, threads,
                             NULL, error, sizeof error);
    edgepro_lock_free(lock);
  }
  model->is_restored = status == EDGEPRO_OK;
  if (status != EDGEPRO_OK) {
    throw_sentence(env, status, error);
  } else if (mprotect(model->base, model->mapped_size, PROT_READ) != 0) {
    throw_plain(env, kIOException, strerror(errno));
  }
}

/* Gives the memory back, not its addresses. */
NATIVE(void, closeMapping)(JNIEnv* env, jclass self, jlong handle) {
  (void)env, (void)self;
  mapping* model = (mapping*)(intptr_t)handle;
  if (model == NULL) return;
  void* zeros = mmap(model->base, model->mapped_size, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (zeros != MAP_FAILED) {
    keep_closed(model);
  } else {
    munmap(model->base, model->mapped_size);
    free(model);
  }
}

NATIVE(jstring, version)(JNIEnv* env, jclass self) {
  (void)self;
  return (*env)->NewStringUTF(env, edgepro_version());
}
