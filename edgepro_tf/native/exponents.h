/* Multiplying IEEE 754 numbers by 2^k with integer instructions only: the same bits on
 * every machine, whatever its rounding or flush-to-zero mode. */
#ifndef EDGEPRO_EXPONENTS_H
#define EDGEPRO_EXPONENTS_H

#include <stddef.h>
#include <stdint.h>

/* Multiplies row[0 .. count) by 2^k in place. element: 4 for float32, 2 for float16.
 * Rounds to nearest even; infinities and NaNs stay as they are. */
void scale_row(size_t element, void* row, size_t count, int k);

/* Multiplies row[i] by 2^exponents[drawn[i]] in place. */
void scale_each(size_t element, void* row, size_t count, const int8_t* exponents,
                const uint32_t* drawn);

#endif /* EDGEPRO_EXPONENTS_H */
