/* The design that restoring avoids: a delegate that claims explicit multiplications and
 * executes them itself, here for its cost. The factors, which a sidecar would bring,
 * are copied from the graph when the interpreter is made; nothing else differs. Runs on
 * the calling thread: MobileNetV2's 17 take 0.20 ms in all, waking a second thread for
 * each 0.14 ms, so that sharing them would lose. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tflite_abi.h"

#define EXPORT __attribute__((visibility("default")))
enum { FLOAT32 = 1, INT8 = 9, BUILTIN_MUL = 18 };

typedef struct {
  TfLiteDelegate* delegate;
  TfLiteIntArray *nodes, *inputs, *outputs;
} claimed_nodes;

typedef struct {
  int input, output, channels;
  float* factors; /* of int8: input scale * factor / output scale */
} multiplication;

typedef struct {
  int count;
  multiplication of[];
} kernel;

static int claimed_count;

static TfLiteNode* find_node(TfLiteContext* context, int index, TfLiteRegistration** is) {
  TfLiteNode* node = NULL;
  TfLiteStatus got = context->GetNodeAndRegistration(context, index, &node, is);
  return got == kTfLiteOk ? node : NULL;
}

/* Whether `factors` is a constant with an element for each of `input`'s channels. */
static int is_by_channel(const TfLiteTensor* input, const TfLiteTensor* factors) {
  if (factors->allocation_type != kTfLiteMmapRo || factors->dims->size != 1) return 0;
  return input->allocation_type != kTfLiteMmapRo && input->dims->size > 1 &&
         input->dims->data[input->dims->size - 1] == factors->dims->data[0];
}

static int is_claimable(TfLiteContext* context, int index) {
  TfLiteRegistration* is = NULL;
  const TfLiteNode* node = find_node(context, index, &is);
  if (node == NULL || is->builtin_code != BUILTIN_MUL) return 0;
  const TfLiteTensor* input = &context->tensors[node->inputs->data[0]];
  const TfLiteTensor* factors = &context->tensors[node->inputs->data[1]];
  const int* activation = node->builtin_data;
  return (input->type == FLOAT32 || input->type == INT8) && *activation == 0 &&
         is_by_channel(input, factors);
}

static void read_factors(const TfLiteContext* context, const TfLiteNode* node,
                         multiplication* of) {
  const TfLiteTensor* factors = &context->tensors[node->inputs->data[1]];
  of->input = node->inputs->data[0];
  of->output = node->outputs->data[0];
  of->channels = factors->dims->data[0];
  of->factors = malloc((size_t)of->channels * sizeof *of->factors);
  if (factors->type == FLOAT32) {
    memcpy(of->factors, factors->data, factors->bytes);
    return;
  }
  float in = context->tensors[of->input].params.scale;
  float out = context->tensors[of->output].params.scale;
  for (int c = 0; c < of->channels; c++) {
    int level = ((const int8_t*)factors->data)[c] - factors->params.zero_point;
    of->factors[c] = in * factors->params.scale * (float)level / out;
  }
}

static void* kernel_init(TfLiteContext* context, const char* buffer, size_t size) {
  const claimed_nodes* claimed = (const claimed_nodes*)buffer;
  (void)size;
  int count = claimed->nodes->size;
  kernel* self = malloc(sizeof *self + (size_t)count * sizeof *self->of);
  self->count = count;
  for (int i = 0; i < count; i++) {
    TfLiteRegistration* is = NULL;
    const TfLiteNode* node = find_node(context, claimed->nodes->data[i], &is);
    read_factors(context, node, &self->of[i]);
  }
  return self;
}

static void kernel_free(TfLiteContext* context, void* data) {
  kernel* self = data;
  (void)context;
  for (int i = 0; i < self->count; i++) free(self->of[i].factors);
  free(self);
}

static TfLiteStatus kernel_prepare(TfLiteContext* context, TfLiteNode* node) {
  const kernel* self = node->user_data;
  for (int i = 0; i < self->count; i++) {
    const TfLiteIntArray* dims = context->tensors[self->of[i].input].dims;
    size_t size = sizeof *dims + (size_t)dims->size * sizeof *dims->data;
    TfLiteIntArray* copy = memcpy(malloc(size), dims, size); /* TFLite frees it */
    TfLiteTensor* output = &context->tensors[self->of[i].output];
    if (context->ResizeTensor(context, output, copy) != kTfLiteOk) return kTfLiteError;
  }
  return kTfLiteOk;
}

static void multiply_float32(const multiplication* of, const TfLiteTensor* input,
                             TfLiteTensor* output) {
  const float *restrict x = input->data, *restrict factors = of->factors;
  float* restrict y = output->data;
  size_t channels = (size_t)of->channels, rows = input->bytes / sizeof *x / channels;
  for (size_t row = 0; row < rows; row++, x += channels, y += channels) {
    for (size_t c = 0; c < channels; c++) y[c] = x[c] * factors[c];
  }
}

static void multiply_int8(const multiplication* of, const TfLiteTensor* input,
                          TfLiteTensor* output) {
  const int8_t* restrict x = input->data;
  const float* restrict factors = of->factors;
  int8_t* restrict y = output->data;
  int zero_in = input->params.zero_point;
  float zero_out = (float)output->params.zero_point;
  size_t channels = (size_t)of->channels, rows = input->bytes / channels;
  for (size_t row = 0; row < rows; row++, x += channels, y += channels) {
    for (size_t c = 0; c < channels; c++) {
      float value = rintf((float)(x[c] - zero_in) * factors[c] + zero_out);
      value = value < -128 ? -128 : value;
      y[c] = (int8_t)(int)(value > 127 ? 127 : value);
    }
  }
}

static TfLiteStatus kernel_invoke(TfLiteContext* context, TfLiteNode* node) {
  const kernel* self = node->user_data;
  for (int i = 0; i < self->count; i++) {
    const TfLiteTensor* input = &context->tensors[self->of[i].input];
    TfLiteTensor* output = &context->tensors[self->of[i].output];
    (input->type == FLOAT32 ? multiply_float32 : multiply_int8)(&self->of[i], input,
                                                                 output);
  }
  return kTfLiteOk;
}

static TfLiteStatus prepare(TfLiteContext* context, TfLiteDelegate* delegate) {
  TfLiteIntArray* plan = NULL;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  TfLiteIntArray* nodes =
      malloc(sizeof *nodes + (size_t)plan->size * sizeof *nodes->data);
  nodes->size = 0;
  for (int i = 0; i < plan->size; i++) {
    if (is_claimable(context, plan->data[i])) {
      nodes->data[nodes->size++] = plan->data[i];
    }
  }
  claimed_count = nodes->size;
  TfLiteRegistration claims = {.init = kernel_init,
                               .free = kernel_free,
                               .prepare = kernel_prepare,
                               .invoke = kernel_invoke,
                               .custom_name = "ClaimedMultiplications",
                               .version = 1};
  TfLiteStatus status = context->ReplaceNodeSubsetsWithDelegateKernels(
      context, claims, nodes, delegate);
  free(nodes);
  return status;
}

/* Nodes that the last interpreter gave to a delegate of this library. */
EXPORT int claiming_count(void) { return claimed_count; }

EXPORT TfLiteDelegate* tflite_plugin_create_delegate(const char* const* keys,
                                                     const char* const* values,
                                                     size_t count,
                                                     void (*report)(const char*)) {
  (void)keys, (void)values, (void)count, (void)report;
  TfLiteDelegate* delegate = calloc(1, sizeof *delegate);
  if (delegate == NULL) return NULL;
  delegate->Prepare = prepare;
  delegate->flags = kTfLiteDelegateFlagsAllowDynamicTensors;
  return delegate;
}

EXPORT void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) { free(delegate); }
