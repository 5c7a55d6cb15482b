// Reads what is on the wire of a message, as far as it goes: for people who look at one that was refused. No state.
#ifndef VEDETTE_CLI_WIRE_H
#define VEDETTE_CLI_WIRE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

// The fields of a message of `type` by name; a repeated one as an array, bytes in hexadecimal, one that the type does not have as
// "field N". Takes any input. `*end` is where reading had to stop: `size` if it is a message from end to end. A new reference;
// NULL without memory.
json_t *wire_read(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size, size_t *end);

#endif
