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
    return sign | (uint32_t)exponent << format->mantissa_bits |
           (mantissa & (leading - 1));
  }
  uint32_t shift = (uint32_t)(1 - exponent);
  if (shift > format->mantissa_bits + 1) return sign;
  return sign | shift_and_round(mantissa, shift);
}

#define WORD uint32_t
#define SHIFT_EXPONENTS shift_exponents_32
#define FORMAT kFloat32
#include "exponent_kernel.h"
#define WORD uint16_t
#define SHIFT_EXPONENTS shift_exponents_16
#define FORMAT kFloat16
#include "exponent_kernel.h"

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
