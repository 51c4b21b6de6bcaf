/* What a processor may lack: asked here, and nowhere else.
 *
 * A library for x86-64 must run without AVX2, but is much faster with it. What gains by
 * it is compiled twice, as name_common and (FOR_AVX2) name_avx2, and called through
 * FASTEST(name). */
#ifndef EDGEPRO_PROCESSOR_H
#define EDGEPRO_PROCESSOR_H

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "EdgePro needs a little-endian processor: it reads models where they lie"
#endif

/* gcc for Windows does not align the stack for vectors of 32 bytes (its bug 54412). */
#if defined(__x86_64__) && (defined(__clang__) || !defined(_WIN32)) && defined(__GNUC__)
#define FOR_AVX2 __attribute__((target("avx2")))
#define HAS_AVX2 __builtin_cpu_supports("avx2")
#define FOR_AVX512 __attribute__((target("avx512f,avx512vl")))
#define HAS_AVX512 __builtin_cpu_supports("avx512vl")
#define FASTEST(name) (HAS_AVX2 ? name##_avx2 : name##_common)
#else
#define FASTEST(name) name##_common
#endif

#endif /* EDGEPRO_PROCESSOR_H */
