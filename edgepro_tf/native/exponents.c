#include "exponents.h"

#include <string.h>

typedef struct {
  uint32_t mantissa_bits, exponent_top, sign;
} number_format;

static const number_format kFloat32 = {23, 255, 0x80000000u};
static const number_format kFloat16 = {10, 31, 0x8000u};

static uint32_t shift_and_round(uint32_t mantissa, uint32_t shift) {
  uint32_t rest = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
  uint32_t kept = mantissa >> shift;
  return kept + (rest > half || (rest == half && (kept & 1)));
}

/* Any number, subnormal ones and overflow included. */
static uint32_t scale_number(uint32_t number, int k, const number_format* format) {
  uint32_t sign = number & format->sign, magnitude = number ^ sign;
  uint32_t leading = 1u << format->mantissa_bits, mantissa = magnitude & (leading - 1);
  int exponent = (int)(magnitude >> format->mantissa_bits);
  if (magnitude == 0 || exponent == (int)format->exponent_top) return number;
  if (exponent > 0) {
    mantissa |= leading;
  } else {
    for (exponent = 1; mantissa < leading; exponent--) mantissa <<= 1;
  }
  exponent += k;
  if (exponent >= (int)format->exponent_top) {
    return sign | format->exponent_top << format->mantissa_bits;
  }
  if (exponent >= 1) {
    return sign | (uint32_t)exponent << format->mantissa_bits | (mantissa & (leading - 1));
  }
  uint32_t shift = (uint32_t)(1 - exponent);
  if (shift > format->mantissa_bits + 1) return sign;
  return sign | shift_and_round(mantissa, shift);
}

/* Adds k to the exponents of `count` numbers and returns 0; or returns 1 and changes
 * nothing where one of them is, or would become, no normal number (zeros are fine). */
#define DEFINE_SHIFT_EXPONENTS(name, WORD, FORMAT)                                      \
  static int name(uint8_t* row, size_t count, int k) {                                  \
    int last = (int)FORMAT.exponent_top - 1;                                            \
    WORD low = (WORD)((uint32_t)(k < 0 ? 1 - k : 1) << FORMAT.mantissa_bits);           \
    WORD high = (WORD)(((uint32_t)(k > 0 ? last - k : last) + 1) << FORMAT.mantissa_bits); \
    WORD span = (WORD)(high - low), add = (WORD)((uint32_t)k << FORMAT.mantissa_bits);  \
    WORD outside = 0;                                                                   \
    for (size_t i = 0; i < count; i++) {                                                \
      WORD number, magnitude;                                                           \
      memcpy(&number, row + i * sizeof number, sizeof number);                          \
      magnitude = number & (WORD)(FORMAT.sign - 1);                                     \
      outside |= (WORD)(((WORD)(magnitude - low) >= span) & (magnitude != 0));          \
    }                                                                                   \
    if (outside) return 1;                                                              \
    for (size_t i = 0; i < count; i++) {                                                \
      WORD number;                                                                      \
      memcpy(&number, row + i * sizeof number, sizeof number);                          \
      number += (number & (WORD)(FORMAT.sign - 1)) != 0 ? add : 0;                      \
      memcpy(row + i * sizeof number, &number, sizeof number);                          \
    }                                                                                   \
    return 0;                                                                           \
  }

DEFINE_SHIFT_EXPONENTS(shift_exponents_32, uint32_t, kFloat32)
DEFINE_SHIFT_EXPONENTS(shift_exponents_16, uint16_t, kFloat16)

static uint32_t scale_fast(uint32_t number, int k, const number_format* format) {
  uint32_t exponent = (number & (format->sign - 1)) >> format->mantissa_bits;
  uint32_t scaled = exponent + (uint32_t)k, normal = format->exponent_top - 1;
  if (exponent - 1 >= normal || scaled - 1 >= normal) {
    return scale_number(number, k, format);
  }
  return number + ((uint32_t)k << format->mantissa_bits);
}

void scale_each(size_t element, void* row, size_t count, const int8_t* exponents,
                const uint32_t* drawn) {
  uint8_t* next = row;
  for (size_t i = 0; i < count; i++, next += element) {
    int k = exponents[drawn[i]];
    if (element == 4) {
      uint32_t number;
      memcpy(&number, next, sizeof number);
      number = scale_fast(number, k, &kFloat32);
      memcpy(next, &number, sizeof number);
    } else {
      uint16_t number;
      memcpy(&number, next, sizeof number);
      number = (uint16_t)scale_fast(number, k, &kFloat16);
      memcpy(next, &number, sizeof number);
    }
  }
}

static void scale_slowly(size_t element, uint8_t* row, size_t count, int k) {
  for (size_t i = 0; i < count; i++) {
    uint32_t number = 0;
    memcpy(&number, row + i * element, element);
    number = scale_number(number, k, element == 4 ? &kFloat32 : &kFloat16);
    memcpy(row + i * element, &number, element);
  }
}

void scale_row(size_t element, void* row, size_t count, int k) {
  enum { PIECE = 2048 }; /* elements: stays in the first-level cache */
  uint8_t* next = row;
  while (k != 0 && count > 0) {
    size_t piece = count < PIECE ? count : PIECE;
    int is_odd = element == 4 ? shift_exponents_32(next, piece, k)
                              : shift_exponents_16(next, piece, k);
    if (is_odd) scale_slowly(element, next, piece, k);
    next += piece * element;
    count -= piece;
  }
}
