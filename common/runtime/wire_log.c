#include "common/runtime/wire_log.h"

#include "common/protocol/wire_text.h"
#include "common/runtime/log.h"

#include <stdio.h>

/* Room for the message in a line that also has the event, the peer and the size. */
#define MESSAGE_BYTES (LOG_PAIRS_BYTES - 600)

static void line(const char *event, const char *whom, const void *bytes, size_t size) {
    char text[MESSAGE_BYTES];
    (void)wire_text_message(text, sizeof text, bytes, size);
    log_event(LOG_LEVEL_DEBUG, event, "peer=%s bytes=%zu message=\"%s\"", whom, size, text);
}

void wire_log(const char *event, const char *whom, const void *bytes, size_t size) {
    if (log_enabled(LOG_LEVEL_DEBUG))
        line(event, whom, bytes, size);
}

void wire_log_peer(
    const char *event, const void *id, size_t id_size, const void *bytes, size_t size) {
    char whom[2 * 255 + 1];
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    whom[0] = '\0';
    for (size_t i = 0; i < id_size && 2 * i + 2 < sizeof whom; i++)
        (void)snprintf(whom + 2 * i, 3, "%02x", ((const unsigned char *)id)[i]);
    line(event, whom, bytes, size);
}
