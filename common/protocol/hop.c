#include "common/protocol/hop.h"

#include <stdio.h>
#include <string.h>

#define LABEL_MAX 0xfffff /* 20 bits, RFC 3032 */
#define NIL ((char)0xc0)

static const char *const verdict_names[] = {
    [HOP_REPLY] = "reply",
    [HOP_TTL_EXPIRED] = "ttl-expired",
    [HOP_UNREACHABLE] = "unreachable",
    [HOP_NO_REPLY] = "no-reply",
};

static const struct flag_name {
    enum hop_flag flag;
    const char *name;
} flag_names[] = {
    {HOP_OTHER_ADDRESS, "other-address"},
    {HOP_LATE, "late"},
    {HOP_SYN_RETRANSMIT, "syn-retransmit"},
    {HOP_PROBER_LAG, "prober-lag"},
    {HOP_CLOCK_STEP, "clock-step"},
};

#define FLAGS (sizeof flag_names / sizeof flag_names[0])

struct wire_probe {
    int64_t attempt, rtt_us, sent_us;
    char addr[ADDR_TEXT];
    char verdict[HOP_WORD_BYTES + 1];
    const msgpack_object *mpls, *flags;
};

static const struct wire_field probe_fields[] = {
    WIRE_FIELD_INT("attempt", struct wire_probe, attempt, 1, 32, WIRE_REQUIRED),
    WIRE_FIELD_TEXT(
        "addr", struct wire_probe, addr, 2, WIRE_PRINTABLE, WIRE_REQUIRED | WIRE_NULLABLE),
    WIRE_FIELD_INT(
        "rtt_us", struct wire_probe, rtt_us, 0, INT32_MAX, WIRE_REQUIRED | WIRE_NULLABLE),
    WIRE_FIELD_INT("sent_us", struct wire_probe, sent_us, 0, INT64_MAX, WIRE_REQUIRED),
    WIRE_FIELD_TEXT("verdict", struct wire_probe, verdict, 1, WIRE_PRINTABLE, WIRE_REQUIRED),
    WIRE_FIELD_VALUE("mpls", struct wire_probe, mpls, WIRE_OPTIONAL),
    WIRE_FIELD_VALUE("flags", struct wire_probe, flags, WIRE_OPTIONAL),
};

#define PROBE_FIELDS (sizeof probe_fields / sizeof probe_fields[0])

const char *hop_verdict_name(const struct hop_probe *probe) {
    return probe->verdict == HOP_OTHER ? probe->word : verdict_names[probe->verdict];
}

static void put_mpls(msgpack_packer *pk, const struct hop_probe *probe) {
    wire_put_text(pk, "mpls");
    msgpack_pack_array(pk, probe->mpls_count);
    for (unsigned i = 0; i < probe->mpls_count; i++) {
        msgpack_pack_array(pk, 4);
        msgpack_pack_uint32(pk, probe->mpls[i].label);
        msgpack_pack_uint8(pk, probe->mpls[i].tc);
        msgpack_pack_uint8(pk, probe->mpls[i].s);
        msgpack_pack_uint8(pk, probe->mpls[i].ttl);
    }
}

static void put_flags(msgpack_packer *pk, const struct hop_probe *probe) {
    wire_put_text(pk, "flags");
    msgpack_pack_array(pk, (size_t)__builtin_popcount(probe->flags));
    for (size_t i = 0; i < FLAGS; i++)
        if ((probe->flags & flag_names[i].flag) != 0)
            wire_put_text(pk, flag_names[i].name);
}

/* Room for a probe without mpls and flags, which takes at most 145 bytes. */
#define PROBE_BYTES 160

static void put_probe(msgpack_packer *pk, const struct hop_probe *probe) {
    char bytes[PROBE_BYTES], text[ADDR_TEXT], *at = bytes;
    const char *verdict = hop_verdict_name(probe);
    *at++ = (char)(0x80 | (5 + (probe->mpls_count > 0) + (probe->flags != 0)));
    at = wire_add_text(at, WIRE_NAME("attempt"));
    at = wire_add_int(at, probe->attempt);
    at = wire_add_text(at, WIRE_NAME("addr"));
    (void)addr_print(&probe->addr, text);
    if (probe->addr.af != 0)
        at = wire_add_text(at, text, strlen(text));
    else
        *at++ = NIL;
    at = wire_add_text(at, WIRE_NAME("rtt_us"));
    if (probe->rtt_us >= 0)
        at = wire_add_int(at, probe->rtt_us);
    else
        *at++ = NIL;
    at = wire_add_text(at, WIRE_NAME("sent_us"));
    at = wire_add_int(at, probe->sent_us);
    at = wire_add_text(at, WIRE_NAME("verdict"));
    at = wire_add_text(at, verdict, strlen(verdict));
    (void)pk->callback(pk->data, bytes, (size_t)(at - bytes));
    if (probe->mpls_count > 0)
        put_mpls(pk, probe);
    if (probe->flags != 0)
        put_flags(pk, probe);
}

void hop_put_probes(msgpack_packer *pk, const struct hop_probe *probes, size_t count) {
    msgpack_pack_array(pk, count);
    for (size_t i = 0; i < count; i++)
        put_probe(pk, &probes[i]);
}

/* Packs a hop up to the value of `probes`. */
static void put_hop_head(msgpack_packer *pk, uint8_t ttl) {
    char bytes[1 + sizeof "ttl" + WIRE_INT_BYTES + sizeof "probes"], *at = bytes;
    *at++ = (char)0x82;
    at = wire_add_text(at, WIRE_NAME("ttl"));
    at = wire_add_int(at, ttl);
    at = wire_add_text(at, WIRE_NAME("probes"));
    (void)pk->callback(pk->data, bytes, (size_t)(at - bytes));
}

void hop_put_hops(msgpack_packer *pk, const struct hop_probe *probes, size_t count) {
    size_t hops = 0;
    for (size_t i = 0; i < count; i++)
        hops += i == 0 || probes[i].ttl != probes[i - 1].ttl;
    msgpack_pack_array(pk, hops);
    for (size_t i = 0; i < count;) {
        size_t n = 1;
        while (i + n < count && probes[i + n].ttl == probes[i].ttl)
            n++;
        put_hop_head(pk, probes[i].ttl);
        hop_put_probes(pk, &probes[i], n);
        i += n;
    }
}

static bool get_hop(const msgpack_object *map, int64_t *ttl, const msgpack_object **probes,
    const char *path, uint32_t *unknown, struct wire_error *err) {
    struct hop {
        int64_t ttl;
        const msgpack_object *probes;
    } hop = {0, NULL};
    static const struct wire_field fields[] = {
        WIRE_FIELD_INT("ttl", struct hop, ttl, 1, 255, WIRE_REQUIRED),
        WIRE_FIELD_VALUE("probes", struct hop, probes, WIRE_REQUIRED),
    };
    if (!wire_get_known(map, fields, 2, &hop, path, unknown, err))
        return false;
    *ttl = hop.ttl;
    *probes = hop.probes;
    if (hop.probes->type == MSGPACK_OBJECT_ARRAY)
        return true;
    char field[64];
    (void)snprintf(field, sizeof field, "%sprobes", path);
    wire_fail(err, "bad-request", field, "must be an array");
    return false;
}

bool hop_get(const msgpack_object *map, int64_t *ttl, const msgpack_object **probes,
    const char *path, struct wire_error *err) {
    uint32_t unknown = 0;
    return get_hop(map, ttl, probes, path, &unknown, err);
}

static bool small(const msgpack_object *o, uint64_t max) {
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= max;
}

static bool get_mpls(
    const msgpack_object *stack, struct hop_probe *probe, struct mpls_label *labels) {
    if (stack->type != MSGPACK_OBJECT_ARRAY || stack->via.array.size > HOP_MPLS_MAX)
        return false;
    for (uint32_t i = 0; i < stack->via.array.size; i++) {
        const msgpack_object *entry = &stack->via.array.ptr[i];
        if (entry->type != MSGPACK_OBJECT_ARRAY || entry->via.array.size != 4)
            return false;
        const msgpack_object *v = entry->via.array.ptr;
        if (!small(&v[0], LABEL_MAX) || !small(&v[1], 7) || !small(&v[2], 1) || !small(&v[3], 255))
            return false;
        labels[i] = (struct mpls_label){(uint32_t)v[0].via.u64, (uint8_t)v[1].via.u64,
            (uint8_t)v[2].via.u64, (uint8_t)v[3].via.u64};
    }
    probe->mpls = labels;
    probe->mpls_count = (uint8_t)stack->via.array.size;
    return true;
}

static bool get_flags(const msgpack_object *flags, struct hop_probe *probe) {
    if (flags->type != MSGPACK_OBJECT_ARRAY || flags->via.array.size > 16)
        return false;
    for (uint32_t i = 0; i < flags->via.array.size; i++) {
        if (flags->via.array.ptr[i].type != MSGPACK_OBJECT_STR)
            return false;
        for (size_t j = 0; j < FLAGS; j++)
            if (wire_is(&flags->via.array.ptr[i], flag_names[j].name))
                probe->flags |= (uint8_t)flag_names[j].flag;
    }
    return true;
}

bool hop_is_verdict(const char *word) {
    for (int i = 0; i < HOP_OTHER; i++)
        if (strcmp(word, verdict_names[i]) == 0)
            return true;
    return false;
}

static void get_verdict(struct hop_probe *probe, const char *word) {
    int i = 0;
    while (i < HOP_OTHER && strcmp(word, verdict_names[i]) != 0)
        i++;
    probe->verdict = (enum hop_verdict)i;
    if (probe->verdict == HOP_OTHER)
        (void)snprintf(probe->word, sizeof probe->word, "%s", word);
}

/* Counts `flags` as unknown too, because its words may be any. */
static bool get_probe(const msgpack_object *map, struct hop_probe *probe,
    struct mpls_label mpls[HOP_MPLS_MAX], const char *path, uint32_t *unknown,
    struct wire_error *err) {
    struct wire_probe in = {.rtt_us = -1};
    if (!wire_get_known(map, probe_fields, PROBE_FIELDS, &in, path, unknown, err))
        return false;
    *unknown += in.flags != NULL;
    memset(probe, 0, sizeof *probe);
    const char *wrong = NULL;
    if (in.addr[0] != '\0' && !addr_parse(&probe->addr, in.addr))
        wrong = "addr: must be an address or nil";
    else if (in.addr[0] == '\0' && in.rtt_us >= 0)
        wrong = "rtt_us: only with an addr";
    else if (in.mpls != NULL && !get_mpls(in.mpls, probe, mpls))
        wrong = "mpls: must be an array of at most 8 [label, tc, s, ttl]";
    else if (in.flags != NULL && !get_flags(in.flags, probe))
        wrong = "flags: must be an array of at most 16 strings";
    if (wrong != NULL) {
        wire_fail(err, "bad-request", path, "%s", wrong);
        return false;
    }
    probe->attempt = (uint8_t)in.attempt;
    probe->rtt_us = (int32_t)in.rtt_us;
    probe->sent_us = in.sent_us;
    get_verdict(probe, in.verdict);
    return true;
}

bool hop_get_probe(const msgpack_object *map, struct hop_probe *probe,
    struct mpls_label mpls[HOP_MPLS_MAX], const char *path, struct wire_error *err) {
    uint32_t unknown = 0;
    return get_probe(map, probe, mpls, path, &unknown, err);
}

static bool check_probe(
    const msgpack_object *map, const char *path, uint32_t *unknown, struct wire_error *err) {
    struct hop_probe probe;
    struct mpls_label mpls[HOP_MPLS_MAX];
    return get_probe(map, &probe, mpls, path, unknown, err);
}

/* Checks each probe without a path first, and writes the path only of a probe that is refused:
 * writing it takes longer than the check. */
static bool check_probes(
    const msgpack_object *probes, const char *path, uint32_t *unknown, struct wire_error *err) {
    char field[64];
    if (probes->type != MSGPACK_OBJECT_ARRAY || probes->via.array.size < 1 ||
        probes->via.array.size > 32) {
        (void)snprintf(field, sizeof field, "%sprobes", path);
        wire_fail(err, "bad-request", field, "must be an array of 1..32 probes");
        return false;
    }
    for (uint32_t i = 0; i < probes->via.array.size; i++)
        if (!check_probe(&probes->via.array.ptr[i], "", unknown, err)) {
            (void)snprintf(field, sizeof field, "%sprobes[%u].", path, i);
            return check_probe(&probes->via.array.ptr[i], field, unknown, err);
        }
    return true;
}

bool hop_check_probes(const msgpack_object *probes, const char *path, struct wire_error *err) {
    uint32_t unknown = 0;
    return check_probes(probes, path, &unknown, err);
}

static bool check_hop(const msgpack_object *hop, int64_t ttl, const char *path, uint32_t *unknown,
    struct wire_error *err) {
    int64_t got;
    const msgpack_object *probes;
    if (!get_hop(hop, &got, &probes, path, unknown, err) ||
        !check_probes(probes, path, unknown, err))
        return false;
    if (got == ttl)
        return true;
    char field[64];
    (void)snprintf(field, sizeof field, "%sttl", path);
    wire_fail(err, "bad-request", field, "%d: must be %d", (int)got, (int)ttl);
    return false;
}

bool hop_check_hops(
    const msgpack_object *hops, int64_t first_ttl, uint32_t *unknown, struct wire_error *err) {
    if (hops->type != MSGPACK_OBJECT_ARRAY || hops->via.array.size > 255) {
        wire_fail(err, "bad-request", "hops", "must be an array of at most 255 hops");
        return false;
    }
    for (uint32_t i = 0; i < hops->via.array.size; i++)
        if (!check_hop(&hops->via.array.ptr[i], first_ttl + i, "", unknown, err)) {
            char path[32];
            (void)snprintf(path, sizeof path, "hops[%u].", i);
            return check_hop(&hops->via.array.ptr[i], first_ttl + i, path, unknown, err);
        }
    return true;
}
