#include "worker/probing/mtr_features.h"

#include "common/protocol/trace.h"

#include <assert.h>
#include <string.h>

static const char *const features[] = {"version", "ip-4", "ip-6", "icmp", "udp", "tcp", "sctp"};

#define FEATURES ((int)(sizeof features / sizeof features[0]))
static_assert(MTR_TOKEN_RIGHTS == FEATURES + 1, "the rights are asked for last");

size_t mtr_features_ask(char out[MTR_FEATURES_BYTES]) {
    size_t size = 0;
    for (int i = 0; i < FEATURES; i++)
        size += mtr_line_feature(out + size, i + 1, features[i]);
    struct mtr_probe probe = {
        .token = MTR_TOKEN_RIGHTS, .protocol = TRACE_UDP, .ttl = 64, .timeout_s = 1, .size = 64};
    (void)addr_parse(&probe.target, "127.0.0.1");
    probe.local = probe.target;
    return size + mtr_line_probe(out + size, &probe);
}

bool mtr_features_take(struct mtr_features *said, const struct mtr_reply *reply) {
    int which = reply->token - 1;
    bool ok = strcmp(reply->support, "ok") == 0;
    if (which < 0 || which >= FEATURES)
        return false;
    if (which == 0)
        memcpy(said->version, reply->support, sizeof said->version);
    else if (which <= 2)
        said->families |= ok ? 1U << (which == 1 ? 4 : 6) : 0;
    else
        said->protocols |= ok ? 1U << (which - 3) : 0;
    return true;
}
