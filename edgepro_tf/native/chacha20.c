/* Source: RFC 8439, section 2.3. One vector holds the same word of LANES blocks. */
#include "chacha20.h"

#include <string.h>

#include "edgepro.h"
#include "processor.h"

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAS_SHUFFLES
#endif
#endif

#if defined(__ARM_NEON) && defined(HAS_SHUFFLES)
#include <arm_neon.h>
/* Shifts right into what was shifted left: two instructions instead of three. */
#define ROTATE(x, n)                                                            \
  ((vector4)vsriq_n_u32(vshlq_n_u32((uint32x4_t)(x), n), (uint32x4_t)(x), 32 - (n)))
#else
#define ROTATE(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#endif
#define QUARTER_ROUND(a, b, c, d) \
  do {                            \
    (a) += (b), (d) ^= (a);       \
    (d) = ROTATE_16(d);           \
    (c) += (d), (b) ^= (c);       \
    (b) = ROTATE(b, 12);          \
    (a) += (b), (d) ^= (a);       \
    (d) = ROTATE_8(d);            \
    (c) += (d), (b) ^= (c);       \
    (b) = ROTATE(b, 7);           \
  } while (0)

static const uint32_t kConstants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
static const uint32_t kLanes[CHACHA20_BATCH] = {0, 1, 2, 3, 4, 5, 6, 7};

#if defined(__GNUC__)
typedef uint32_t vector4 __attribute__((vector_size(16)));
#define VECTOR vector4
#define LANES 4
#else
#define VECTOR uint32_t
#define LANES 1
#endif
enum { COMMON_LANES = LANES };
#if defined(__ARM_NEON) && defined(HAS_SHUFFLES)
/* What moves whole bytes is one instruction. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));
#define ROTATE_16(x) ((vector4)vrev32q_u16((uint16x8_t)(x)))
#define ROTATE_8(x)                                                                   \
  ((vector4)__builtin_shufflevector((bytes16)(x), (bytes16)(x), 3, 0, 1, 2, 7, 4, 5, \
                                    6, 11, 8, 9, 10, 15, 12, 13, 14))
#else
#define ROTATE_16(x) ROTATE(x, 16)
#define ROTATE_8(x) ROTATE(x, 8)
#endif
#define TARGET
#define SOME_BLOCKS some_blocks
#define TRANSPOSE transpose_common
#include "chacha20_kernel.h"
#undef VECTOR
#undef LANES

#if defined(FOR_AVX2)
typedef uint32_t vector8 __attribute__((vector_size(32)));
#define VECTOR vector8
#define LANES 8
#if defined(HAS_SHUFFLES)
/* Whole bytes move in one instruction instead of three. */
typedef uint8_t bytes32 __attribute__((vector_size(32)));
#define MOVE_BYTES(x, a, b, c, d)                                                     \
  ((vector8)__builtin_shufflevector(                                                  \
      (bytes32)(x), (bytes32)(x), a, b, c, d, 4 + a, 4 + b, 4 + c, 4 + d, 8 + a,      \
      8 + b, 8 + c, 8 + d, 12 + a, 12 + b, 12 + c, 12 + d, 16 + a, 16 + b, 16 + c,    \
      16 + d, 20 + a, 20 + b, 20 + c, 20 + d, 24 + a, 24 + b, 24 + c, 24 + d, 28 + a, \
      28 + b, 28 + c, 28 + d))
#undef ROTATE_16
#undef ROTATE_8
#define ROTATE_16(x) MOVE_BYTES(x, 2, 3, 0, 1)
#define ROTATE_8(x) MOVE_BYTES(x, 3, 0, 1, 2)
#endif
#define TARGET FOR_AVX2
#define SOME_BLOCKS eight_blocks_avx2
#define TRANSPOSE transpose_avx2
#include "chacha20_kernel.h"

/* AVX-512 rotates in one instruction. */
#undef ROTATE_16
#undef ROTATE_8
#define ROTATE_16(x) ROTATE(x, 16)
#define ROTATE_8(x) ROTATE(x, 8)
#define TARGET FOR_AVX512
#define SOME_BLOCKS eight_blocks_avx512
#define TRANSPOSE transpose_avx512
#include "chacha20_kernel.h"
#endif

void chacha20_blocks(const uint32_t key[8], const uint32_t nonce[3], uint32_t counter,
                     uint32_t out[CHACHA20_BATCH * CHACHA20_WORDS]) {
#if defined(FOR_AVX2)
  if (HAS_AVX512) {
    eight_blocks_avx512(key, nonce, counter, out);
    return;
  }
  if (HAS_AVX2) {
    eight_blocks_avx2(key, nonce, counter, out);
    return;
  }
#endif
  for (int i = 0; i < CHACHA20_BATCH; i += COMMON_LANES) {
    some_blocks(key, nonce, counter + (uint32_t)i, out + i * CHACHA20_WORDS);
  }
}

void edgepro_keystream(const uint8_t key[32], const uint32_t nonce[3], uint32_t counter,
                       uint8_t* out, size_t size) {
  uint32_t words[8], batch[CHACHA20_BATCH * CHACHA20_WORDS];
  memcpy(words, key, sizeof words);
  while (size > 0) {
    size_t piece = size < sizeof batch ? size : sizeof batch;
    chacha20_blocks(words, nonce, counter, batch);
    memcpy(out, batch, piece);
    out += piece;
    size -= piece;
    counter += CHACHA20_BATCH;
  }
  edgepro_wipe(words, sizeof words);
  edgepro_wipe(batch, sizeof batch);
}
