#include "cli/wire.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 }; // wire types; groups (3, 4) are none of ours

struct reader {
  const uint8_t *at;
  const uint8_t *end;  // of the message that is being read
  const uint8_t *stop; // where reading broke off; NULL: it did not
};

static json_t *read_message(struct reader *reader, const ProtobufCMessageDescriptor *type);

static bool read_varint(struct reader *reader, uint64_t *out) {
  *out = 0;
  for (unsigned shift = 0; shift < 64 && reader->at + shift / 7 < reader->end; shift += 7) {
    uint8_t byte = reader->at[shift / 7];
    *out |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      reader->at += shift / 7 + 1;
      return true;
    }
  }
  return false;
}

static bool read_fixed(struct reader *reader, size_t size, uint64_t *out) {
  *out = 0;
  if ((size_t)(reader->end - reader->at) < size) {
    return false;
  }
  for (size_t i = 0; i < size; i++) {
    *out |= (uint64_t)reader->at[i] << 8 * i;
  }
  reader->at += size;
  return true;
}

static bool read_number(struct reader *reader, unsigned wire, uint64_t *out) {
  switch (wire) {
  case VARINT: return read_varint(reader, out);
  case FIXED64: return read_fixed(reader, 8, out);
  case FIXED32: return read_fixed(reader, 4, out);
  default: return false;
  }
}

static unsigned wire_of(ProtobufCType type) {
  switch (type) {
  case PROTOBUF_C_TYPE_FIXED64:
  case PROTOBUF_C_TYPE_SFIXED64:
  case PROTOBUF_C_TYPE_DOUBLE: return FIXED64;
  case PROTOBUF_C_TYPE_FIXED32:
  case PROTOBUF_C_TYPE_SFIXED32:
  case PROTOBUF_C_TYPE_FLOAT: return FIXED32;
  case PROTOBUF_C_TYPE_STRING:
  case PROTOBUF_C_TYPE_BYTES:
  case PROTOBUF_C_TYPE_MESSAGE: return LENGTH;
  default: return VARINT;
  }
}

static json_t *unsigned_json(uint64_t value) {
  char text[24];
  if (value <= INT64_MAX) {
    return json_integer((json_int_t)value);
  }
  (void)snprintf(text, sizeof text, "%" PRIu64, value); // JSON readers keep no more than 63 bits
  return json_string(text);
}

static json_t *real_json(double value) {
  return isfinite(value) ? json_real(value) : json_string(isnan(value) ? "not a number" : value > 0 ? "infinite" : "-infinite");
}

static json_t *enum_json(const ProtobufCEnumDescriptor *type, uint64_t raw) {
  const ProtobufCEnumValue *value = raw <= INT32_MAX ? protobuf_c_enum_descriptor_get_value(type, (int)raw) : NULL;
  return value != NULL ? json_string(value->name) : unsigned_json(raw);
}

static json_t *number_json(const ProtobufCFieldDescriptor *field, uint64_t raw) {
  double real;
  float small;
  uint32_t half = (uint32_t)raw;
  switch (field->type) {
  case PROTOBUF_C_TYPE_SINT32:
  case PROTOBUF_C_TYPE_SINT64: return json_integer((json_int_t)(raw >> 1 ^ (~(raw & 1) + 1)));
  case PROTOBUF_C_TYPE_INT32:
  case PROTOBUF_C_TYPE_INT64:
  case PROTOBUF_C_TYPE_SFIXED64: return json_integer((json_int_t)raw);
  case PROTOBUF_C_TYPE_SFIXED32: return json_integer((int32_t)half);
  case PROTOBUF_C_TYPE_BOOL: return json_boolean(raw != 0);
  case PROTOBUF_C_TYPE_ENUM: return enum_json(field->descriptor, raw);
  case PROTOBUF_C_TYPE_DOUBLE: memcpy(&real, &raw, sizeof real); return real_json(real);
  case PROTOBUF_C_TYPE_FLOAT: memcpy(&small, &half, sizeof small); return real_json(small);
  default: return unsigned_json(raw);
  }
}

static json_t *bytes_json(const uint8_t *data, size_t size) {
  static const char digits[] = "0123456789abcdef";
  char *hex = malloc(2 * size + 1);
  if (hex == NULL) {
    return NULL;
  }
  for (size_t i = 0; i < size; i++) {
    hex[2 * i] = digits[data[i] >> 4];
    hex[2 * i + 1] = digits[data[i] & 0xf];
  }
  json_t *value = json_stringn(hex, 2 * size);
  free(hex);
  return value;
}

static bool is_repeated(const ProtobufCFieldDescriptor *field) {
  return field != NULL && field->label == PROTOBUF_C_LABEL_REPEATED;
}

// Puts a value (taken over) under its name; repeated ones gather in an array.
static void put(json_t *object, const ProtobufCFieldDescriptor *field, uint64_t number, json_t *value) {
  char unknown[32];
  (void)snprintf(unknown, sizeof unknown, "field %" PRIu64, number);
  const char *name = field != NULL ? field->name : unknown;
  if (!is_repeated(field)) {
    json_object_set_new(object, name, value);
    return;
  }
  json_t *list = json_object_get(object, name);
  if (list == NULL) {
    list = json_array();
    json_object_set_new(object, name, list);
  }
  json_array_append_new(list, value);
}

// The body of a field that says its length: text, bytes, a message, or packed numbers.
static void read_body(struct reader *reader, json_t *object, const ProtobufCFieldDescriptor *field, uint64_t number) {
  const uint8_t *begin = reader->at;
  uint64_t length = 0;
  if (!read_varint(reader, &length) || length > (size_t)(reader->end - reader->at)) {
    reader->stop = begin;
    return;
  }
  struct reader inner = {.at = reader->at, .end = reader->at + length};
  reader->at = inner.end;
  if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE) {
    put(object, field, number, read_message(&inner, field->descriptor));
  } else if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING && text_is_utf8((const char *)inner.at, length)) {
    put(object, field, number, json_stringn((const char *)inner.at, length));
  } else if (field != NULL && is_repeated(field) && wire_of(field->type) != LENGTH) {
    uint64_t raw = 0;
    while (inner.at < inner.end && read_number(&inner, wire_of(field->type), &raw)) {
      put(object, field, number, number_json(field, raw));
    }
    inner.stop = inner.at < inner.end ? inner.at : NULL;
  } else {
    put(object, field, number, bytes_json(inner.at, length));
  }
  reader->stop = inner.stop;
}

static json_t *read_message(struct reader *reader, const ProtobufCMessageDescriptor *type) {
  json_t *object = json_object();
  while (reader->at < reader->end && reader->stop == NULL) {
    const uint8_t *at = reader->at;
    uint64_t tag = 0;
    uint64_t raw = 0;
    // As protobuf-c has it: at most five bytes, of which 32 bits count.
    if (!read_varint(reader, &tag) || reader->at - at > 5) {
      reader->stop = at;
      break;
    }
    tag &= UINT32_MAX;
    const unsigned wire = tag & 7;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
    if (wire == LENGTH) {
      // Numbers may come packed; anything else that says its length and should not is shown as what it is.
      bool fits = field != NULL && (wire_of(field->type) == LENGTH || is_repeated(field));
      read_body(reader, object, fits ? field : NULL, tag >> 3);
    } else if (!read_number(reader, wire, &raw)) {
      reader->stop = at;
    } else if (field != NULL && wire_of(field->type) == wire) {
      put(object, field, tag >> 3, number_json(field, raw));
    } else {
      put(object, NULL, tag >> 3, unsigned_json(raw));
    }
  }
  return object;
}

json_t *wire_read(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size, size_t *end) {
  struct reader reader = {.at = data, .end = data + size};
  json_t *object = read_message(&reader, type);
  *end = reader.stop != NULL ? (size_t)(reader.stop - data) : size;
  return object;
}
