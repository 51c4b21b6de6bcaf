#include "context.h"

#include <limits.h>
#include <string.h>

int has_known_layout(const TfLiteContext* context) {
  return context != NULL && context->impl_ != NULL &&
         /* A subgraph may be empty: an initialiser with nothing to do. */
         (context->tensors != NULL || context->tensors_size == 0) &&
         context->tensors_size <= INT_MAX && context->GetExecutionPlan != NULL &&
         context->GetNodeAndRegistration != NULL && context->ReportError != NULL &&
         (uintptr_t)context->tensors % sizeof(void*) == 0;
}

static int is_aligned(const void* pointer, size_t alignment) {
  return pointer != NULL && (uintptr_t)pointer % alignment == 0;
}

/* TFLite takes a file only where it has one scale, or one for each channel. */
static int is_scale_count(const TfLiteTensor* tensor, int count) {
  const TfLiteAffineQuantizationParams* params = tensor->quantization.params;
  if (count == 1) return 1;
  int channels = params->quantized_dimension;
  return channels >= 0 && channels < tensor->dims->size &&
         count == tensor->dims->data[channels];
}

/* Both layouts of TfLiteFloatArray begin with a number: the size, or half an address,
 * which is no count of scales. The scales' own bytes must not tell the two apart: they
 * come from the file, and one made to harm would have its numbers taken for an address.
 * (Nor do the zero points: some runtimes keep one of them where all are alike.) */
static float* find_scales(const TfLiteTensor* tensor, uint32_t count) {
  if (tensor->quantization.type != kTfLiteAffineQuantization ||
      !is_aligned(tensor->quantization.params, sizeof(void*)) ||
      !is_aligned(tensor->dims, sizeof(int)) || tensor->dims->size == 0) {
    return NULL;
  }
  const TfLiteAffineQuantizationParams* params = tensor->quantization.params;
  if (!is_aligned(params->scale, sizeof(int))) return NULL;
  TfLiteInlineFloatArray* in_line = params->scale;
  if (is_scale_count(tensor, in_line->size)) {
    return (uint32_t)in_line->size == count ? in_line->data : NULL;
  }
  if (!is_aligned(params->scale, sizeof(void*))) return NULL;
  TfLitePointerFloatArray* pointed = params->scale;
  if (pointed->size <= 0 || (uint32_t)pointed->size != count) return NULL;
  return is_aligned(pointed->data, sizeof(float)) ? pointed->data : NULL;
}

static int is_constant(const TfLiteTensor* tensor) {
  return tensor->allocation_type == kTfLiteMmapRo && tensor->data != NULL;
}

void* find_target(const TfLiteContext* context, const record* r) {
  if (r->tensor >= context->tensors_size) return NULL;
  const TfLiteTensor* tensor = &context->tensors[r->tensor];
  if (r->target == TARGET_SCALES) return find_scales(tensor, r->channels);
  return is_constant(tensor) && tensor->bytes == record_bytes(r) ? tensor->data : NULL;
}

/* Where it is linked, the runtime itself applies the delegate of Select TF before any
 * other. It reads constants only when tensors are allocated, after they are restored. */
static int is_select_tf(const TfLiteRegistration* registration) {
  return registration != NULL && registration->builtin_code == kTfLiteBuiltinDelegate &&
         registration->custom_name != NULL &&
         strcmp(registration->custom_name, "TfLiteFlexDelegate") == 0;
}

int has_delegated_nodes(TfLiteContext* context) {
  TfLiteIntArray* plan = NULL;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk || plan == NULL) return -1;
  for (int i = 0; i < plan->size; i++) {
    TfLiteNode* node = NULL;
    TfLiteRegistration* registration = NULL;
    if (context->GetNodeAndRegistration(context, plan->data[i], &node, &registration) !=
            kTfLiteOk ||
        node == NULL) {
      return -1;
    }
    if (node->delegate != NULL && !is_select_tf(registration)) return 1;
  }
  return 0;
}

int is_of_other_model(const TfLiteContext* context, const void* allocation) {
  int has_constants = 0;
  for (size_t i = 0; i < context->tensors_size; i++) {
    const TfLiteTensor* tensor = &context->tensors[i];
    if (!is_constant(tensor)) continue;
    if (tensor->allocation == allocation) return 0;
    has_constants = 1;
  }
  return has_constants;
}
