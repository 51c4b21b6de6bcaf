/* The external delegate: claims no node, and in Prepare points constants at restored
 * copies. TFLite calls Prepare once for each subgraph, in their order, without saying
 * which; and may call it again. One delegate serves one interpreter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "delegate.h"
#include "message.h"
#include "restored.h"

static const char kNotFirst[] =
    "cannot restore this model: expected EdgePro's delegate to be the first, got "
    "another one before it. Put it first in the list of delegates, and leave out "
    "experimental_default_delegate_latest_features, which applies XNNPACK before any.";
static const char kUnknownRuntime[] =
    "cannot restore this model: expected the TfLiteContext of TensorFlow 2.14 to 2.21 "
    "or LiteRT 2, got another layout. Restore the file in memory instead, with "
    "restore_model.";
static const char kOtherInterpreter[] =
    "cannot restore this model: expected one delegate for each interpreter, got one "
    "that serves another. Make a delegate for this interpreter.";

typedef struct {
  TfLiteContext* context;
  const void* subgraph_object; /* impl_ */
  int64_t subgraph;            /* of the lock's records; -1 for none of them */
} seen_context;

typedef struct {
  TfLiteDelegate base; /* what TFLite holds */
  restored all;
  seen_context* seen;
  size_t seen_count;
  const void* allocation; /* of the model file: TFLite has one for each interpreter */
  int is_spent; /* refused before it was complete: contexts seen may have ended */
} edgepro_delegate;

static int is_bound(const edgepro_delegate* self, uint32_t subgraph) {
  for (size_t i = 0; i < self->seen_count; i++) {
    if (self->seen[i].subgraph == (int64_t)subgraph) return 1;
  }
  return 0;
}

/* The lowest subgraph with records, from `first` on, that is (not) bound; else -1. */
static int64_t next_subgraph(const edgepro_delegate* self, int64_t first, int bound) {
  const edgepro_lock* lock = self->all.lock;
  int64_t lowest = -1;
  for (uint32_t i = 0; i < lock->count; i++) {
    int64_t subgraph = lock->records[i].subgraph;
    if (subgraph < first || (lowest >= 0 && subgraph >= lowest)) continue;
    if (is_bound(self, (uint32_t)subgraph) == bound) lowest = subgraph;
  }
  return lowest;
}

static int64_t find_fitting(const edgepro_delegate* self, const TfLiteContext* context,
                            int bound) {
  int64_t subgraph = next_subgraph(self, 0, bound);
  while (subgraph >= 0 && !subgraph_fits(&self->all, context, (uint32_t)subgraph)) {
    subgraph = next_subgraph(self, subgraph + 1, bound);
  }
  return subgraph;
}

/* A subgraph that fits restored records is another interpreter's, unless it is a second
 * signature over the same constants: then its bytes stand where the first one's do, and
 * it has scales of its own, which the records do not fit. */
static int is_second_signature(const edgepro_delegate* self,
                               const TfLiteContext* context, uint32_t subgraph) {
  const edgepro_lock* lock = self->all.lock;
  for (uint32_t i = 0; i < lock->count; i++) {
    const record* r = &lock->records[i];
    if (r->subgraph != subgraph) continue;
    if (r->target == TARGET_SCALES) return 0;
    if (find_target(context, r) != self->all.of_record[i].original) return 0;
  }
  return 1;
}

static int is_other_interpreter(const edgepro_delegate* self,
                                const TfLiteContext* context, int64_t subgraph) {
  if (self->allocation == NULL) return 0;
  if (is_of_other_model(context, self->allocation)) return 1;
  if (self->all.count == 0 || subgraph >= 0) return 0;
  int64_t restored_before = find_fitting(self, context, 1);
  return restored_before >= 0 &&
         !is_second_signature(self, context, (uint32_t)restored_before);
}

static const seen_context* find_seen(const edgepro_delegate* self,
                                     const TfLiteContext* context) {
  for (size_t i = 0; i < self->seen_count; i++) {
    const seen_context* seen = &self->seen[i];
    if (seen->context == context && seen->subgraph_object == context->impl_) {
      return seen;
    }
  }
  return NULL;
}

static int shares_constants(const edgepro_delegate* self,
                            const TfLiteContext* context) {
  for (size_t i = 0; i < context->tensors_size; i++) {
    const TfLiteTensor* tensor = &context->tensors[i];
    if (tensor->allocation_type == kTfLiteMmapRo &&
        find_by_original(&self->all, tensor->data) != NULL) {
      return 1;
    }
  }
  return 0;
}

/* Memory of an ended interpreter may come back as another one's. */
static int is_still_restored(const edgepro_delegate* self, const seen_context* seen) {
  const edgepro_lock* lock = self->all.lock;
  const TfLiteContext* context = seen->context;
  for (uint32_t i = 0; i < lock->count; i++) {
    const record* r = &lock->records[i];
    if ((int64_t)r->subgraph != seen->subgraph) continue;
    const restored_constant* constant = &self->all.of_record[i];
    const void* bytes = find_target(context, r);
    if (bytes == NULL) return 0;
    if (r->target == TARGET_DATA && bytes != constant->copy) return 0;
    if (r->target == TARGET_SCALES &&
        memcmp(bytes, constant->copy, constant->size) != 0) {
      return 0;
    }
  }
  return !shares_constants(self, context);
}

/* Further tensors over the bytes of a restored constant follow it: those of the
 * contexts from number `first` on. */
static void point_sharing_tensors(edgepro_delegate* self, size_t first) {
  for (size_t s = first; s < self->seen_count; s++) {
    TfLiteContext* context = self->seen[s].context;
    for (size_t i = 0; i < context->tensors_size; i++) {
      TfLiteTensor* tensor = &context->tensors[i];
      if (tensor->allocation_type != kTfLiteMmapRo) continue;
      const restored_constant* constant = find_by_original(&self->all, tensor->data);
      if (constant != NULL && constant->size == tensor->bytes) {
        tensor->data = constant->copy;
      }
    }
  }
}

static const void* find_allocation(const TfLiteContext* context) {
  for (size_t i = 0; i < context->tensors_size; i++) {
    const TfLiteTensor* tensor = &context->tensors[i];
    if (tensor->allocation_type == kTfLiteMmapRo && tensor->data != NULL) {
      return tensor->allocation;
    }
  }
  return NULL;
}

static edgepro_status remember(edgepro_delegate* self, TfLiteContext* context,
                               int64_t subgraph, message* out) {
  size_t bytes = (self->seen_count + 1) * sizeof *self->seen;
  seen_context* seen = realloc(self->seen, bytes);
  if (seen == NULL) return fail_out_of_memory(out, "restore", bytes);
  seen_context added = {context, context->impl_, subgraph};
  self->seen = seen;
  self->seen[self->seen_count++] = added;
  return EDGEPRO_OK;
}

static edgepro_status restore_context(edgepro_delegate* self, TfLiteContext* context,
                                      message* out) {
  int64_t subgraph = find_fitting(self, context, 0);
  if (is_other_interpreter(self, context, subgraph)) {
    return fail(out, EDGEPRO_WRONG_MODEL, "%s", kOtherInterpreter);
  }
  /* Context number n is subgraph n or a later one: what it passed by never comes. */
  int64_t missing = next_subgraph(self, 0, 0);
  int64_t reached = subgraph >= 0 ? subgraph : (int64_t)self->seen_count;
  if (missing >= 0 && missing != subgraph && missing <= reached) {
    return fail(out, EDGEPRO_WRONG_MODEL, "%s", kWrongModel);
  }
  if (subgraph >= 0 || shares_constants(self, context)) {
    int delegated = has_delegated_nodes(context);
    if (delegated != 0) {
      return fail(out, EDGEPRO_BAD_MODEL, "%s",
                  delegated > 0 ? kNotFirst : kUnknownRuntime);
    }
  }
  edgepro_status status = remember(self, context, subgraph, out);
  if (status != EDGEPRO_OK) return status;
  if (self->allocation == NULL) self->allocation = find_allocation(context);
  if (subgraph >= 0) {
    status = restore_subgraph(&self->all, context, (uint32_t)subgraph, out);
    if (status != EDGEPRO_OK) return status;
  }
  /* Earlier contexts need a look only where more was restored than they have met: what
   * is complete never looks at them again, and they may have ended. */
  point_sharing_tensors(self, subgraph >= 0 ? 0 : self->seen_count - 1);
  return EDGEPRO_OK;
}

static TfLiteStatus prepare(TfLiteContext* context, TfLiteDelegate* delegate) {
  edgepro_delegate* self = delegate->data_;
  char text[MESSAGE_SIZE];
  message out = {text, sizeof text};
  edgepro_status status = EDGEPRO_OK;
  if (!has_known_layout(context)) {
    fprintf(stderr, "%s\n", kUnknownRuntime); /* ReportError may be another function */
    return kTfLiteError;
  }
  if (self->is_spent) {
    status = fail(&out, EDGEPRO_WRONG_MODEL, "%s", kOtherInterpreter);
  } else {
    const seen_context* seen = find_seen(self, context);
    if (seen == NULL) {
      status = restore_context(self, context, &out);
    } else if (!is_still_restored(self, seen)) {
      status = fail(&out, EDGEPRO_WRONG_MODEL, "%s", kOtherInterpreter);
    }
  }
  if (status == EDGEPRO_OK) return kTfLiteOk;
  if (!restored_is_complete(&self->all)) self->is_spent = 1;
  context->ReportError(context, "%s ", text);
  return kTfLiteError;
}

struct TfLiteDelegate* delegate_create(edgepro_lock* lock, message* out) {
  edgepro_delegate* self = calloc(1, sizeof *self);
  if (self == NULL) {
    edgepro_lock_free(lock);
    fail_out_of_memory(out, "restore", sizeof *self);
    return NULL;
  }
  if (restored_begin(&self->all, lock, out) != EDGEPRO_OK) {
    free(self);
    return NULL;
  }
  self->base.data_ = self;
  self->base.Prepare = prepare;
  self->base.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
  return &self->base;
}

edgepro_status edgepro_delegate_create(const void* payload, size_t size,
                                       struct TfLiteDelegate** delegate, char* error,
                                       size_t error_size) {
  message out = {error, error_size};
  edgepro_lock* lock;
  if (delegate == NULL) {
    return fail(&out, EDGEPRO_BAD_ARGUMENT,
                "cannot create EdgePro's delegate: expected a place for it, got none. "
                "Pass one.");
  }
  *delegate = NULL;
  edgepro_status status = edgepro_lock_parse(payload, size, &lock, error, error_size);
  if (status != EDGEPRO_OK) return status;
  *delegate = delegate_create(lock, &out);
  return *delegate == NULL ? EDGEPRO_OUT_OF_MEMORY : EDGEPRO_OK;
}

void tflite_plugin_destroy_delegate(struct TfLiteDelegate* delegate) {
  if (delegate == NULL) return;
  edgepro_delegate* self = delegate->data_;
  restored_end(&self->all);
  free(self->seen);
  free(self);
}

int edgepro_delegate_is_complete(const struct TfLiteDelegate* delegate) {
  if (delegate == NULL) return 0;
  const edgepro_delegate* self = delegate->data_;
  return restored_is_complete(&self->all);
}
