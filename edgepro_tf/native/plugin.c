/* TFLite's plugin entry point: the option "handle", and nothing else. */
#include <stdlib.h>
#include <string.h>

#include "delegate.h"
#include "handles.h"

/* A decimal number of 1 to 19 digits, or 0. */
static uint64_t parse_handle(const char* text) {
  uint64_t handle = 0;
  size_t digits = strspn(text, "0123456789");
  if (text[digits] != '\0' || digits > 19) return 0;
  for (; *text != '\0'; text++) handle = handle * 10 + (uint64_t)(*text - '0');
  return handle;
}

/* How many of its first bytes to show: whole letters of UTF-8, 40 bytes at most. */
static int shown_bytes(const char* text) {
  int size = 0;
  while (size < 40 && text[size] != '\0') size++;
  while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80) size--;
  return size;
}

static struct TfLiteDelegate* create(const char* const* keys, const char* const* values,
                                     size_t count, message* out) {
  const char* text = NULL;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(keys[i], "handle") == 0) {
      text = values[i];
      continue;
    }
    fail(out, EDGEPRO_BAD_ARGUMENT,
         "cannot create EdgePro's delegate: expected the option 'handle' alone, got "
         "'%.*s'. Use edgepro_tf.runtime.load_delegate. ",
         shown_bytes(keys[i]), keys[i]);
    return NULL;
  }
  edgepro_lock* lock = text == NULL ? NULL : take_over(parse_handle(text));
  if (lock != NULL) return delegate_create(lock, out);
  if (text == NULL) text = "none";
  fail(out, EDGEPRO_BAD_ARGUMENT,
       "cannot create EdgePro's delegate: expected a handle that was handed out and "
       "not used yet, got %.*s. Hand the lock over again for each interpreter. ",
       shown_bytes(text), text);
  return NULL;
}

struct TfLiteDelegate* tflite_plugin_create_delegate(
    const char* const* keys, const char* const* values, size_t count,
    void (*report_error)(const char*)) {
  char text[MESSAGE_SIZE];
  message out = {text, sizeof text};
  struct TfLiteDelegate* delegate = create(keys, values, count, &out);
  if (delegate == NULL && report_error != NULL) report_error(text);
  return delegate;
}
