#include "tests/store/sample.h"

#include "common/protocol/hop.h"
#include "common/protocol/result.h"

#include <stdio.h>

void sample_trace(msgpack_sbuffer *out, const char *target, bool fanout) {
    msgpack_packer pk;
    msgpack_sbuffer_clear(out);
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    msgpack_pack_map(&pk, fanout ? 3 : 2);
    wire_put_key_text(&pk, "target", target);
    wire_put_key_text(&pk, "stream", "daily");
    if (fanout)
        wire_put_key_text(&pk, "fanout", "all");
}

static void put_body(msgpack_sbuffer *out) {
    struct hop_probe probes[SAMPLE_HOPS] = {{.ttl = 0}};
    struct result_body body = {.flow = -1,
        .target = "192.0.2.1",
        .dst = "192.0.2.1",
        .src = "198.51.100.2",
        .first_ttl = 1,
        .max_ttl = 30,
        .started_us = SAMPLE_ACCEPTED_US + 500,
        .finished_us = SAMPLE_ACCEPTED_US + 40500,
        .prober = "mtr-packet 0.95",
        .probes_sent = SAMPLE_HOPS};
    msgpack_packer pk;
    for (int i = 0; i < SAMPLE_HOPS; i++) {
        char addr[32];
        probes[i] = (struct hop_probe){.ttl = (uint8_t)(i + 1),
            .attempt = 1,
            .rtt_us = i == 2 ? -1 : 3000 * (i + 1),
            .sent_us = 1000 * i,
            .verdict = i == 2                ? HOP_NO_REPLY
                       : i < SAMPLE_HOPS - 1 ? HOP_TTL_EXPIRED
                                             : HOP_REPLY};
        (void)snprintf(addr, sizeof addr, "10.123.45.%d", i + 1);
        if (i != 2)
            (void)addr_parse(&probes[i].addr, i < SAMPLE_HOPS - 1 ? addr : "192.0.2.1");
    }
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    result_put_body(&pk, &body, probes, SAMPLE_HOPS);
}

void sample_result(msgpack_sbuffer *out, const struct record_result *result) {
    struct result_head head = {.seq = result->seq,
        .stream_seq = result->stream_seq,
        .accepted_us = SAMPLE_ACCEPTED_US,
        .run = 1,
        .worker = "ams1"};
    static msgpack_sbuffer body;
    msgpack_packer pk;
    if (body.size == 0)
        put_body(&body);
    (void)snprintf(head.id, sizeof head.id, "%s", result->id);
    (void)snprintf(head.stream, sizeof head.stream, "%s", result->stream);
    msgpack_sbuffer_clear(out);
    msgpack_packer_init(&pk, out, msgpack_sbuffer_write);
    result_merge(&pk, &head, body.data, body.size);
}
