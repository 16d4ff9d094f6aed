#include "sim_router.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sim_random.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* The limiter forgets a bucket only if more than LIMIT_WAYS busy routers share one of its sets. */
#define LIMIT_SETS (1u << 14)
#define LIMIT_WAYS 4u

/* A bucket holds the tokens of a tenth of a second, and at least one. */
#define LIMIT_BURST(pps) ((pps) / 10 > 1 ? (pps) / 10 : 1)

/* The ttl of a router's own packets. */
#define FIRST_TTL 255u

enum { SALT_WEATHER = 1, SALT_LIMIT, SALT_ISN };

enum { CODE_PORT_V4 = 3, CODE_PORT_V6 = 4 };

/*
 * A token bucket, kept as the time at which it will be full again (the generic cell rate
 * algorithm). If that time is past, the bucket is full, as a new one is, and can be forgotten.
 */
struct bucket {
    uint64_t key;
    int64_t full_ns;
};

struct sim_router {
    struct sim_path_config map;
    struct sim_router_config config;
    struct sim_router_counters counters;
    struct sim_random random;
    struct bucket *buckets; /* LIMIT_SETS * LIMIT_WAYS, or NULL without a limit */
};

struct sim_router *sim_router_new(
    const struct sim_path_config *map, const struct sim_router_config *config) {
    struct sim_router *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    self->map = *map;
    self->config = *config;
    self->random.state = sim_random_mix(map->seed, SALT_WEATHER);
    if (config->icmp_limit > 0) {
        self->buckets = calloc((size_t)LIMIT_SETS * LIMIT_WAYS, sizeof *self->buckets);
        if (!self->buckets)
            sim_router_destroy(&self);
    }
    return self;
}

void sim_router_destroy(struct sim_router **self_p) {
    if (!*self_p)
        return;
    free((*self_p)->buckets);
    free(*self_p);
    *self_p = NULL;
}

const struct sim_router_counters *sim_router_counters(const struct sim_router *self) {
    return &self->counters;
}

/* Takes a token for an ICMP error from `addr`. Returns false if there is none. */
static bool take_token(struct sim_router *self, const struct sim_addr *addr, int64_t now_ns) {
    int64_t cost_ns, depth_ns;
    uint64_t key = sim_random_mix(self->map.seed, SALT_LIMIT), word = 0;
    struct bucket *set, *bucket;

    if (self->config.icmp_limit == 0)
        return true;
    cost_ns = NS_PER_S / self->config.icmp_limit;
    depth_ns = cost_ns * LIMIT_BURST(self->config.icmp_limit);
    for (size_t i = 0; i < sizeof addr->bytes; i++) {
        word = word << 8 | addr->bytes[i];
        if (i % 8 == 7)
            key = sim_random_mix(key, word);
    }
    set = bucket = &self->buckets[key % LIMIT_SETS * LIMIT_WAYS];
    for (uint32_t i = 0; i < LIMIT_WAYS; i++) {
        if (set[i].key == key) {
            bucket = &set[i];
            break;
        }
        if (set[i].full_ns < bucket->full_ns)
            bucket = &set[i];
    }
    if (bucket->key != key || bucket->full_ns < now_ns) {
        bucket->key = key;
        bucket->full_ns = now_ns;
    }
    if (bucket->full_ns + cost_ns > now_ns + depth_ns)
        return false;
    bucket->full_ns += cost_ns;
    return true;
}

/* What happens to one round trip. It is drawn in one place, so that each takes the same number of
 * draws. */
struct weather {
    bool lost, late, duplicate;
    uint32_t jitter_us[SIM_ROUTER_MAX_COPIES];
    uint32_t again_us; /* from the first copy to the second */
};

static void draw_weather(struct sim_router *self, struct weather *weather) {
    struct sim_random *random = &self->random;

    weather->lost = sim_random_chance(sim_random_next(random), self->config.loss);
    weather->late = sim_random_chance(sim_random_next(random), self->config.late);
    weather->duplicate = sim_random_chance(sim_random_next(random), self->config.duplicate);
    for (int i = 0; i < SIM_ROUTER_MAX_COPIES; i++)
        weather->jitter_us[i] =
            sim_random_below(sim_random_next(random), self->config.jitter_us + 1);
    weather->again_us = 0;
    if (self->config.duplicate_ms > 0)
        weather->again_us =
            sim_random_below(sim_random_next(random), self->config.duplicate_ms * 1000 + 1);
}

/* An ICMP error from a router on the way, or from a target whose port is closed. */
static size_t answer_error(struct sim_router *self, const struct sim_probe *probe,
    const struct sim_path *path, const struct sim_hop *hop, int64_t now_ns, uint8_t *reply) {
    struct sim_error error = {
        .from = &hop->addrs[sim_path_member(hop, sim_packet_flow(probe))],
        .reply_ttl = (uint8_t)(FIRST_TTL + 1 - hop->ttl),
        .quoted_ttl = (uint8_t)(probe->ttl - (hop->ttl - 1)),
        .labels = hop->labels,
        .n_labels = hop->n_labels,
    };

    if (hop->target)
        error.code = probe->src.version == 4 ? CODE_PORT_V4 : CODE_PORT_V6;
    else if (hop->ttl == path->last)
        error.code = path->code;
    else
        error.expired = true;
    if (!take_token(self, error.from, now_ns)) {
        self->counters.limited++;
        return 0;
    }
    return sim_packet_error(probe, &error, reply);
}

static size_t answer_target(struct sim_router *self, const struct sim_probe *probe,
    const struct sim_path *path, const struct sim_hop *hop, int64_t now_ns, uint8_t *reply) {
    uint8_t reply_ttl = (uint8_t)(FIRST_TTL + 1 - hop->ttl);
    uint64_t isn;
    size_t length;

    if (!sim_packet_intact(probe)) {
        self->counters.bad_checksum++;
        return 0;
    }
    switch (probe->kind) {
    case SIM_KIND_ECHO:
        return sim_packet_echo(probe, reply_ttl, reply);
    case SIM_KIND_UDP:
        return answer_error(self, probe, path, hop, now_ns, reply);
    case SIM_KIND_TCP:
        break;
    }
    isn = sim_random_mix(sim_random_mix(self->map.seed, SALT_ISN), sim_packet_flow(probe));
    length = sim_packet_tcp(probe, path->tcp_open, (uint32_t)isn, reply_ttl, reply);
    if (length == 0)
        self->counters.ignored++;
    return length;
}

static void schedule(struct sim_router *self, const struct weather *weather, int64_t due_ns,
    struct sim_answer *answer) {
    self->counters.answered++;
    if (weather->late) {
        self->counters.late++;
        due_ns += self->config.late_ms * NS_PER_MS;
    }
    if (weather->duplicate)
        self->counters.duplicates++;
    answer->copies = weather->duplicate ? 2 : 1;
    for (uint32_t i = 0; i < answer->copies; i++)
        answer->due_ns[i] = due_ns + (weather->jitter_us[i] + i * weather->again_us) * NS_PER_US;
}

void sim_router_handle(struct sim_router *self, const uint8_t *packet, size_t length,
    int64_t now_ns, struct sim_answer *answer) {
    struct sim_probe probe;
    struct sim_path path;
    struct sim_hop hop;
    struct weather weather;

    answer->copies = 0;
    self->counters.packets++;
    switch (sim_packet_parse(&probe, packet, length)) {
    case SIM_PARSE_MALFORMED:
        self->counters.malformed++;
        return;
    case SIM_PARSE_IGNORED:
        self->counters.ignored++;
        return;
    case SIM_PARSE_OK:
        break;
    }

    draw_weather(self, &weather);
    sim_path_init(&path, &self->map, &probe.dst);
    sim_path_hop(&path, &self->map, probe.ttl < path.last ? probe.ttl : path.last, &hop);
    if (hop.silent) {
        self->counters.silent++;
        return;
    }
    if (weather.lost) {
        self->counters.lost++;
        return;
    }
    answer->length = hop.target ? answer_target(self, &probe, &path, &hop, now_ns, answer->packet)
                                : answer_error(self, &probe, &path, &hop, now_ns, answer->packet);
    if (answer->length > 0)
        schedule(self, &weather, now_ns + hop.rtt_us * NS_PER_US, answer);
}
