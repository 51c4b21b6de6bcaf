/* Walks payload bytes and refuses to step past their end. */
#ifndef EDGEPRO_READER_H
#define EDGEPRO_READER_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  const uint8_t* next;
  const uint8_t* end;
  const char* broken_rule; /* the first one; NULL while all is well */
} reader;

/* Each returns 0 or NULL once a rule is broken. */
const uint8_t* read_bytes(reader* from, uint64_t size);
uint8_t read_byte(reader* from);
uint32_t read_u32(reader* from);
uint32_t read_varint(reader* from);

/* Notes the rule unless one was broken before; returns whether it holds. */
int require(reader* from, int holds, const char* rule);

#endif /* EDGEPRO_READER_H */
