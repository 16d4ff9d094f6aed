/* labels: what a worker has and what a trace asks of its worker, such as {site: "ams"}. Pure. */
#ifndef HOPMQ_LABELS_H
#define HOPMQ_LABELS_H

#include "common/protocol/wire.h"

#define LABELS_MAX 16
#define LABEL_BYTES 64

struct labels {
    unsigned count;
    struct label {
        char name[LABEL_BYTES + 1];
        char value[LABEL_BYTES + 1];
    } at[LABELS_MAX];
};

/* Checks a map of at most LABELS_MAX labels, strings of 1..LABEL_BYTES of WIRE_ID_CHARS. */
bool labels_check(const msgpack_object *map, const char *field, struct wire_error *err);

/* Copies a map that labels_check() accepted. */
void labels_get(struct labels *labels, const msgpack_object *map);

void labels_put(msgpack_packer *pk, const struct labels *labels);

/* Reads NAME=VALUE from a command line; false if it is malformed or there are too many. */
bool labels_add(struct labels *labels, const char *text);

/* True if `have` holds every label of `want`, a checked map; NULL wants nothing. */
bool labels_fit(const struct labels *have, const msgpack_object *want);

#endif
