// What `vedette deadletter show` reads of a message that was refused: any bytes, as far as they go.
#include "cli/wire.h"
#include "tests/fuzz/input.h"
#include "vedette/v1/telemetry.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const ProtobufCMessageDescriptor *const types[] = {&vedette__v1__report__descriptor, &vedette__v1__connectivity__descriptor};
  for (size_t i = 0; i < 2; i++) {
    size_t end = 0;
    json_t *fields = wire_read(types[i], data, size, &end);
    CHECK(fields != NULL && end <= size);
    ProtobufCMessage *message = protobuf_c_message_unpack(types[i], NULL, size, data);
    CHECK(message == NULL || end == size); // what decodes is read to its end
    if (message != NULL) {
      protobuf_c_message_free_unpacked(message, NULL);
    }
    char *text = json_dumps(fields, 0);
    CHECK(text != NULL);
    free(text);
    json_decref(fields);
  }
  return 0;
}
