/* The ChaCha20 block function, several blocks at a time. */
#ifndef EDGEPRO_CHACHA20_H
#define EDGEPRO_CHACHA20_H

#include <stdint.h>

enum { CHACHA20_WORDS = 16, CHACHA20_BATCH = 8 };

/* Writes blocks counter .. counter + 7 of the keystream, as words of the host. */
void chacha20_blocks(const uint32_t key[8], const uint32_t nonce[3], uint32_t counter,
                     uint32_t out[CHACHA20_BATCH * CHACHA20_WORDS]);

#endif /* EDGEPRO_CHACHA20_H */
