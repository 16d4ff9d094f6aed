/* hop: the outcome of the probes with one ttl; docs/protocol.md, section 7. Pure. */
#ifndef HOPMQ_HOP_H
#define HOPMQ_HOP_H

#include "common/addr.h"
#include "common/protocol/wire.h"

#define HOP_MPLS_MAX 8    /* as many as mtr-packet prints (its deconstruct_unix.c) */
#define HOP_WORD_BYTES 32 /* longest word of the prober that is kept */

enum hop_verdict {
    HOP_REPLY,       /* the target answered */
    HOP_TTL_EXPIRED, /* a router answered */
    HOP_UNREACHABLE, /* a router or the target says that the target cannot be reached */
    HOP_NO_REPLY,
    HOP_OTHER, /* the prober's own word, in `word` */
};

/* Bits of hop_probe.flags; docs/protocol.md says what each means. */
enum hop_flag {
    HOP_OTHER_ADDRESS = 1 << 0,
    HOP_LATE = 1 << 1,
    HOP_SYN_RETRANSMIT = 1 << 2,
    HOP_PROBER_LAG = 1 << 3,
    HOP_CLOCK_STEP = 1 << 4,
};

/* One label stack entry as quoted in an ICMP extension (RFC 4950). */
struct mpls_label {
    uint32_t label;
    uint8_t tc, s, ttl;
};

struct hop_probe {
    uint8_t ttl;
    uint8_t attempt; /* from 1 */
    uint8_t flags;
    uint8_t mpls_count;
    struct addr addr; /* af 0: no answer */
    int32_t rtt_us;   /* -1: no answer, or one whose time cannot be trusted */
    int64_t sent_us;  /* since the trace was started */
    enum hop_verdict verdict;
    char word[HOP_WORD_BYTES + 1];
    struct mpls_label *mpls;
};

/* Packs `count` probes of one ttl as an array. */
void hop_put_probes(msgpack_packer *pk, const struct hop_probe *probes, size_t count);

/* Packs the array `hops` of a result from probes ordered by ttl and attempt. */
void hop_put_hops(msgpack_packer *pk, const struct hop_probe *probes, size_t count);

/* Reads {ttl, probes} and leaves the array in *probes. */
bool hop_get(const msgpack_object *map, int64_t *ttl, const msgpack_object **probes,
    const char *path, struct wire_error *err);

/* Reads one probe; its labels go to mpls, to which probe->mpls then points. ttl is not set. */
bool hop_get_probe(const msgpack_object *map, struct hop_probe *probe,
    struct mpls_label mpls[HOP_MPLS_MAX], const char *path, struct wire_error *err);

/* Checks an array of probes, the field `probes` under path. */
bool hop_check_probes(const msgpack_object *probes, const char *path, struct wire_error *err);

/* Checks the array `hops` of a result: contiguous ttls from first_ttl on, every probe well-formed.
 * Adds to *unknown the pairs whose content it did not look at. */
bool hop_check_hops(
    const msgpack_object *hops, int64_t first_ttl, uint32_t *unknown, struct wire_error *err);

/* True for a verdict of section 7. A word of the prober's own must not equal one of them. */
bool hop_is_verdict(const char *word);

/* The word that stands for the probe's verdict on the wire. */
const char *hop_verdict_name(const struct hop_probe *probe);

#endif
