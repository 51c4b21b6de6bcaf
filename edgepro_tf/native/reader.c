#include "reader.h"

#include <string.h>

int require(reader* from, int holds, const char* rule) {
  if (!holds && from->broken_rule == NULL) from->broken_rule = rule;
  return from->broken_rule == NULL;
}

const uint8_t* read_bytes(reader* from, uint64_t size) {
  uint64_t left = (uint64_t)(from->end - from->next);
  if (!require(from, size <= left, "expected more bytes, got its end")) return NULL;
  const uint8_t* bytes = from->next;
  from->next += size;
  return bytes;
}

uint8_t read_byte(reader* from) {
  const uint8_t* byte = read_bytes(from, 1);
  return byte == NULL ? 0 : *byte;
}

uint32_t read_u32(reader* from) {
  const uint8_t* bytes = read_bytes(from, 4);
  uint32_t value = 0;
  if (bytes != NULL) memcpy(&value, bytes, sizeof value);
  return value;
}

uint32_t read_varint(reader* from) {
  uint64_t value = 0;
  uint8_t byte;
  int shift = 0;
  do {
    byte = read_byte(from);
    value |= (uint64_t)(byte & 0x7f) << shift;
    shift += 7;
  } while (byte >= 0x80 && shift < 35);
  int is_below = byte < 0x80 && value <= UINT32_MAX;
  require(from, is_below, "expected an integer below 2^32, got a longer one");
  require(from, byte != 0 || shift == 7,
          "expected the shortest form of an integer, got another");
  return from->broken_rule == NULL ? (uint32_t)value : 0;
}
