/* The masks of mask.c for one target; included once for each, with TARGET (its
 * attribute) and OF_TARGET(name) defined. */

#define WORD uint32_t
#define MASK_FLOATS OF_TARGET(mask_float32)
#define FRACTION_BITS 23
#define EXPONENT_TOP 255
#define WINDOW MASK_WINDOW_32
#define MASKED_FRACTION 11
#define DRAW_BITS 16
#define POWER_AT 11
#include "mask_kernel.h"
#define WORD uint32_t
#define MASK_FLOATS OF_TARGET(mask_whole_float32) /* with STEP_FRACTION */
#define FRACTION_BITS 23
#define EXPONENT_TOP 255
#define WINDOW MASK_WINDOW_32
#define MASKED_FRACTION 23
#define DRAW_BITS 32
#define POWER_AT 23
#include "mask_kernel.h"
#define WORD uint16_t
#define MASK_FLOATS OF_TARGET(mask_float16)
#define FRACTION_BITS 10
#define EXPONENT_TOP 31
#define WINDOW MASK_WINDOW_16
#define MASKED_FRACTION 10
#define DRAW_BITS 16
#define POWER_AT 11
#include "mask_kernel.h"

/* Adds (APPLY) or subtracts the drawn bytes modulo 255, over -127 .. 127. */
TARGET static void OF_TARGET(mask_int8)(uint8_t* restrict data, size_t count,
                                        const uint8_t* restrict drawn, direction way) {
  const uint8_t flip = way == RESTORE ? 255 : 0;
  for (size_t i = 0; i < count; i++) {
    uint8_t added = (uint8_t)(drawn[i] ^ flip);
    uint8_t sum = (uint8_t)((uint8_t)(data[i] + 127) + added);
    sum = (uint8_t)(sum + (sum < added));
    sum = (uint8_t)(sum & (uint8_t)(0 - (sum != 255)));
    data[i] = (uint8_t)(sum - 127);
  }
}

TARGET static void OF_TARGET(mask_bytes)(uint8_t* restrict data, size_t count,
                                         const uint8_t* restrict drawn) {
  for (size_t i = 0; i < count; i++) data[i] ^= drawn[i];
}

#undef TARGET
#undef OF_TARGET
