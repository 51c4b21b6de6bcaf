/* The part of TFLite's C ABI that an external delegate meets, declared by ourselves: no
 * header of TFLite is shipped in its wheels.
 *
 * Source: tensorflow/lite/core/c/common.h and c_api_types.h (Apache-2.0). The layout is
 * the same in TensorFlow 2.14 to 2.21 and LiteRT 2.0.2 to 2.3; tests run in all of
 * them, and context.c looks before it believes. */
#ifndef EDGEPRO_TFLITE_ABI_H
#define EDGEPRO_TFLITE_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
enum { kTfLiteMmapRo = 1 };
enum { kTfLiteAffineQuantization = 1 };
enum { kTfLiteDelegateFlagsAllowDynamicTensors = 1 };
enum { kTfLiteBuiltinDelegate = 51 };

struct TfLiteContext;
struct TfLiteDelegate;

typedef struct {
  int size;
  int data[];
} TfLiteIntArray;

/* TfLiteFloatArray up to TensorFlow 2.21, and as its main branch has it since. */
typedef struct {
  int size;
  float data[];
} TfLiteInlineFloatArray;
typedef struct {
  float* data;
  int size;
} TfLitePointerFloatArray;

typedef struct {
  void* scale; /* a TfLiteFloatArray */
  TfLiteIntArray* zero_point;
  int32_t quantized_dimension;
} TfLiteAffineQuantizationParams;

typedef struct TfLiteTensor {
  int type;
  void* data;
  TfLiteIntArray* dims;
  struct {
    float scale;
    int32_t zero_point;
  } params;
  int allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  struct TfLiteDelegate* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  struct {
    int type;
    void* params;
  } quantization;
  void* sparsity;
  const TfLiteIntArray* dims_signature;
} TfLiteTensor;

typedef struct TfLiteNode {
  TfLiteIntArray *inputs, *outputs, *intermediates, *temporaries;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
  struct TfLiteDelegate* delegate;
} TfLiteNode;

typedef struct TfLiteRegistration {
  void* (*init)(struct TfLiteContext*, const char*, size_t);
  void (*free)(struct TfLiteContext*, void*);
  TfLiteStatus (*prepare)(struct TfLiteContext*, TfLiteNode*);
  TfLiteStatus (*invoke)(struct TfLiteContext*, TfLiteNode*);
  const char* (*profiling_string)(const struct TfLiteContext*, const TfLiteNode*);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  /* Not every version has what follows. */
  void *registration_external, *async_kernel;
  uint64_t inplace_operator;
} TfLiteRegistration;

typedef struct TfLiteContext {
  size_t tensors_size;
  TfLiteStatus (*GetExecutionPlan)(struct TfLiteContext*, TfLiteIntArray**);
  TfLiteTensor* tensors;
  void* impl_;
  TfLiteStatus (*ResizeTensor)(struct TfLiteContext*, TfLiteTensor*, TfLiteIntArray*);
  void (*ReportError)(struct TfLiteContext*, const char*, ...);
  TfLiteStatus (*AddTensors)(struct TfLiteContext*, int, int*);
  TfLiteStatus (*GetNodeAndRegistration)(struct TfLiteContext*, int, TfLiteNode**,
                                         TfLiteRegistration**);
  TfLiteStatus (*ReplaceNodeSubsetsWithDelegateKernels)(struct TfLiteContext*,
                                                        TfLiteRegistration,
                                                        const TfLiteIntArray*,
                                                        struct TfLiteDelegate*);
  /* More fields follow. */
} TfLiteContext;

typedef struct TfLiteDelegate {
  void* data_;
  TfLiteStatus (*Prepare)(TfLiteContext*, struct TfLiteDelegate*);
  TfLiteStatus (*CopyFromBufferHandle)(TfLiteContext*, struct TfLiteDelegate*, int,
                                       TfLiteTensor*);
  TfLiteStatus (*CopyToBufferHandle)(TfLiteContext*, struct TfLiteDelegate*, int,
                                     TfLiteTensor*);
  void (*FreeBufferHandle)(TfLiteContext*, struct TfLiteDelegate*, int*);
  int64_t flags;
  void* opaque_delegate_builder;
  void* unknown[8]; /* fields a later version may add, and would find zero */
} TfLiteDelegate;

#endif /* EDGEPRO_TFLITE_ABI_H */
