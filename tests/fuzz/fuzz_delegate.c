/* libFuzzer: the delegate in interpreters that begin, allocate again and end in any
 * order, with any constants.
 *
 * Input: u16 size of the payload, the payload, then commands, a byte each and what they
 * read. An interpreter is what TFLite makes of one model: contexts (subgraphs) whose
 * tensors point into its constants; it ends with all of its memory. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "delegate.h"

enum { INTERPRETERS = 3, CONTEXTS = 4, TENSORS = 6, CONSTANTS = 16, COMMANDS = 48 };

typedef struct {
  const uint8_t* next;
  size_t left;
} input;

typedef struct {
  TfLiteContext base;
  TfLiteNode node;
  struct {
    int size, data[1];
  } plan;
} context;

typedef struct {
  context* contexts[CONTEXTS];
  void* allocation; /* one for each interpreter, as in TFLite */
  void* constants[CONSTANTS];
  size_t sizes[CONSTANTS];
  int context_count, constant_count;
} interpreter;

static uint8_t take(input* from) {
  if (from->left == 0) return 0;
  from->left--;
  return *from->next++;
}

static void* allocate(size_t size) {
  void* made = calloc(1, size > 0 ? size : 1);
  if (made == NULL) abort();
  return made;
}

static void* take_block(input* from, size_t size) {
  uint8_t* made = allocate(size);
  for (size_t i = 0; i < size; i++) made[i] = take(from);
  return made;
}

static TfLiteStatus get_plan(TfLiteContext* of, TfLiteIntArray** plan) {
  *plan = (TfLiteIntArray*)&((context*)of)->plan;
  return kTfLiteOk;
}

static TfLiteStatus get_node(TfLiteContext* of, int index, TfLiteNode** node,
                             TfLiteRegistration** registration) {
  (void)index;
  *node = &((context*)of)->node;
  *registration = NULL;
  return kTfLiteOk;
}

static void report(TfLiteContext* of, const char* format, ...) {
  va_list arguments;
  (void)of;
  va_start(arguments, format);
  const char* text = va_arg(arguments, const char*);
  if (strncmp(text, "cannot restore this model: ", 27) != 0) abort();
  va_end(arguments);
}

/* As TFLite does: one scale or one a channel, as many zero points or only one. */
static void quantize(input* from, TfLiteTensor* tensor) {
  int count = take(from) % 20, kind = take(from), is_pointed = kind & 1;
  if (count == 0) return;
  tensor->dims = allocate(2 * sizeof(int));
  tensor->dims->size = 1;
  tensor->dims->data[0] = count;
  size_t bytes = (size_t)count * sizeof(float);
  TfLiteAffineQuantizationParams* params = allocate(sizeof *params);
  params->zero_point = allocate(sizeof(int) + (size_t)count * sizeof(int));
  params->zero_point->size = kind & 2 ? 1 : count;
  if (is_pointed) {
    TfLitePointerFloatArray* scales = allocate(sizeof *scales);
    scales->size = count;
    scales->data = take_block(from, bytes);
    params->scale = scales;
  } else {
    TfLiteInlineFloatArray* scales = allocate(sizeof *scales + bytes);
    scales->size = count;
    for (size_t i = 0; i < bytes; i++) ((uint8_t*)scales->data)[i] = take(from);
    params->scale = scales;
  }
  tensor->quantization.type = kTfLiteAffineQuantization;
  tensor->quantization.params = params;
}

static void end_quantization(TfLiteTensor* tensor) {
  TfLiteAffineQuantizationParams* params = tensor->quantization.params;
  if (params == NULL) return;
  TfLiteInlineFloatArray* scales = params->scale;
  if (scales->size != tensor->dims->data[0]) {
    free(((TfLitePointerFloatArray*)params->scale)->data);
  }
  free(params->scale);
  free(params->zero_point);
  free(params);
  free(tensor->dims);
}

/* A constant of its own, or one that another tensor has as well; or no constant. */
static void fill_tensor(input* from, interpreter* owner, TfLiteTensor* tensor) {
  uint8_t which = take(from);
  if (owner->allocation == NULL) owner->allocation = allocate(1);
  tensor->allocation = owner->allocation;
  if (which >= 240) return;
  if (which % CONSTANTS >= owner->constant_count) {
    if (owner->constant_count == CONSTANTS) return;
    size_t size = take(from);
    if (size >= 250) size = 4096 + size; /* beyond the smallest block shuffle */
    owner->sizes[owner->constant_count] = size;
    owner->constants[owner->constant_count] = take_block(from, size);
    which = (uint8_t)owner->constant_count++;
  }
  tensor->data = owner->constants[which % CONSTANTS];
  tensor->bytes = owner->sizes[which % CONSTANTS];
  tensor->allocation_type = kTfLiteMmapRo;
  quantize(from, tensor);
}

static context* add_context(input* from, interpreter* owner) {
  if (owner->context_count == CONTEXTS) return NULL;
  context* added = allocate(sizeof *added);
  uint8_t count = take(from);
  added->base.tensors_size = 1 + count % TENSORS;
  added->base.tensors = allocate(added->base.tensors_size * sizeof(TfLiteTensor));
  for (size_t i = 0; i < added->base.tensors_size; i++) {
    fill_tensor(from, owner, &added->base.tensors[i]);
  }
  added->base.impl_ = added;
  added->base.GetExecutionPlan = get_plan;
  added->base.GetNodeAndRegistration = get_node;
  added->base.ReportError = report;
  added->plan.size = 1;
  if (count >= 240) added->node.delegate = (struct TfLiteDelegate*)added;
  owner->contexts[owner->context_count++] = added;
  return added;
}

static void end_interpreter(interpreter* ended) {
  for (int c = 0; c < ended->context_count; c++) {
    TfLiteContext* base = &ended->contexts[c]->base;
    for (size_t i = 0; i < base->tensors_size; i++) end_quantization(&base->tensors[i]);
    free(base->tensors);
    free(ended->contexts[c]);
  }
  for (int i = 0; i < ended->constant_count; i++) free(ended->constants[i]);
  free(ended->allocation);
  memset(ended, 0, sizeof *ended);
}

/* The lock's fingerprints become those of this subgraph, as if it had been made for it.
 */
static void bless(edgepro_lock* lock, const TfLiteContext* base, uint32_t subgraph) {
  for (uint32_t i = 0; i < lock->count; i++) {
    record* r = &lock->records[i];
    const void* bytes = r->subgraph == subgraph ? find_target(base, r) : NULL;
    if (bytes != NULL) r->fingerprint = fingerprint_of(r, bytes);
  }
}

static void run_commands(input* from, edgepro_lock* lock, TfLiteDelegate* delegate) {
  interpreter all[INTERPRETERS];
  memset(all, 0, sizeof all);
  for (int i = 0; i < COMMANDS && from->left > 0; i++) {
    uint8_t command = take(from);
    interpreter* chosen = &all[command / 4 % INTERPRETERS];
    context* of = NULL;
    switch (command % 4) {
      case 0:
        of = add_context(from, chosen);
        if (of != NULL && command >= 128) {
          bless(lock, &of->base, (uint32_t)chosen->context_count - 1);
        }
        break;
      case 1:
        if (chosen->context_count > 0) {
          of = chosen->contexts[take(from) % chosen->context_count];
        }
        break;
      case 2:
        if (command >= 128) end_interpreter(chosen);
        break;
      default:
        for (int c = 0; c < chosen->context_count; c++) {
          if (delegate->Prepare(&chosen->contexts[c]->base, delegate) != kTfLiteOk)
            break;
        }
    }
    if (of != NULL) delegate->Prepare(&of->base, delegate);
    edgepro_delegate_is_complete((struct TfLiteDelegate*)delegate);
  }
  tflite_plugin_destroy_delegate((struct TfLiteDelegate*)delegate);
  for (int i = 0; i < INTERPRETERS; i++) end_interpreter(&all[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  size_t payload_size = (size_t)data[0] | (size_t)data[1] << 8;
  if (payload_size > size - 2) return 0;
  edgepro_lock* lock;
  if (edgepro_lock_parse(data + 2, payload_size, &lock, NULL, 0) != EDGEPRO_OK)
    return 0;
  char text[MESSAGE_SIZE];
  message out = {text, sizeof text};
  struct TfLiteDelegate* delegate = delegate_create(lock, &out);
  if (delegate == NULL) return 0;
  input from = {data + 2 + payload_size, size - 2 - payload_size};
  run_commands(&from, lock, (TfLiteDelegate*)delegate);
  return 0;
}
