/* Stands for the delegate of Select TF, which no runtime here links: by its name it takes
 * custom operators, and it reads their constants when tensors are allocated (as
 * tensorflow/lite/delegates/flex/kernel.cc does in Prepare). The operator adds. */
#include <stdlib.h>
#include <string.h>

#include "tflite_abi.h"

#define EXPORT __attribute__((visibility("default")))
enum { BUILTIN_CUSTOM = 32 };
#ifndef DELEGATE_NAME
#define DELEGATE_NAME "TfLiteFlexDelegate"
#endif

typedef struct {
  float addend[8];
} kernel;

static void* kernel_init(TfLiteContext* context, const char* buffer, size_t size) {
  (void)context, (void)buffer, (void)size;
  return calloc(1, sizeof(kernel));
}

static void kernel_free(TfLiteContext* context, void* data) {
  (void)context;
  free(data);
}

static const TfLiteTensor* input_of(const TfLiteContext* context, const TfLiteNode* node,
                                    int is_constant) {
  for (int i = 0; i < node->inputs->size; i++) {
    const TfLiteTensor* tensor = &context->tensors[node->inputs->data[i]];
    if ((tensor->allocation_type == kTfLiteMmapRo) == is_constant) return tensor;
  }
  return NULL;
}

static TfLiteStatus kernel_prepare(TfLiteContext* context, TfLiteNode* node) {
  kernel* self = node->user_data;
  const TfLiteTensor* constant = input_of(context, node, 1);
  if (constant == NULL || constant->bytes != sizeof self->addend) return kTfLiteError;
  memcpy(self->addend, constant->data, constant->bytes);
  return kTfLiteOk;
}

static TfLiteStatus kernel_invoke(TfLiteContext* context, TfLiteNode* node) {
  const kernel* self = node->user_data;
  const float* x = input_of(context, node, 0)->data;
  float* y = context->tensors[node->outputs->data[0]].data;
  for (int i = 0; i < 8; i++) y[i] = x[i] + self->addend[i];
  return kTfLiteOk;
}

static TfLiteStatus prepare(TfLiteContext* context, TfLiteDelegate* delegate) {
  TfLiteIntArray* plan = NULL;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  TfLiteIntArray* taken =
      malloc(sizeof *taken + (size_t)plan->size * sizeof *taken->data);
  taken->size = 0;
  for (int i = 0; i < plan->size; i++) {
    TfLiteNode* node = NULL;
    TfLiteRegistration* is = NULL;
    context->GetNodeAndRegistration(context, plan->data[i], &node, &is);
    if (is->builtin_code == BUILTIN_CUSTOM) taken->data[taken->size++] = plan->data[i];
  }
  TfLiteRegistration adds = {.init = kernel_init,
                             .free = kernel_free,
                             .prepare = kernel_prepare,
                             .invoke = kernel_invoke,
                             .custom_name = DELEGATE_NAME,
                             .version = 1};
  TfLiteStatus status = context->ReplaceNodeSubsetsWithDelegateKernels(
      context, adds, taken, delegate);
  free(taken);
  return status;
}

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
