#include "sim_path.h"

#include <string.h>

#include "sim_random.h"

/* Each property that is drawn on its own mixes one of these numbers into its hash. */
enum salt {
    SALT_NEAR = 1,
    SALT_TARGET,
    SALT_DISTANCE,
    SALT_END,
    SALT_UNREACHABLE_HOP,
    SALT_TCP_OPEN,
    SALT_SILENT,
    SALT_BALANCED,
    SALT_MEMBERS,
    SALT_MEMBER,
    SALT_MPLS,
    SALT_LABELS,
    SALT_LABEL,
    SALT_ADDRESS,
};

/* IPv4 routers live in 10.0.0.0/8, IPv6 routers in fd68:6f70:6d71::/64. */
#define V4_NET 10u
#define V4_BITS 24u
#define V4_MASK ((1u << V4_BITS) - 1u)
static const uint8_t v6_net[8] = {0xfd, 0x68, 0x6f, 0x70, 0x6d, 0x71, 0, 0};

/* How many numbers the IPv4 routers of one path take: SIM_PATH_MAX_MEMBERS for each hop. */
#define V4_WINDOW ((SIM_PATH_MAX_HOPS + 1) * SIM_PATH_MAX_MEMBERS)

static uint64_t load64(const uint8_t *bytes) {
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

static uint64_t near_key(const struct sim_path_config *config) {
    return sim_random_mix(config->seed, SALT_NEAR);
}

static uint64_t hop_key(
    const struct sim_path *self, const struct sim_path_config *config, uint32_t ttl) {
    /* The first routers depend on the seed alone, so that they are the same for all targets. */
    return sim_random_mix(ttl <= config->shared_hops ? near_key(config) : self->dst_key, ttl);
}

static bool hop_silent(uint64_t key, const struct sim_path_config *config) {
    return sim_random_chance(sim_random_mix(key, SALT_SILENT), config->silent_router);
}

/*
 * The hop that says that the destination is unreachable: if possible none of the shared hops, and
 * never a silent one. 0 if there is no such hop.
 */
static uint32_t unreachable_hop(const struct sim_path *self, const struct sim_path_config *config) {
    uint32_t routers = self->distance - 1;
    uint32_t first, ttl;

    if (routers == 0)
        return 0;
    first = config->shared_hops < routers ? config->shared_hops + 1 : routers;
    ttl = first + sim_random_below(
                      sim_random_mix(self->dst_key, SALT_UNREACHABLE_HOP), routers - first + 1);
    for (uint32_t tried = 0; tried < routers; tried++) {
        if (!hop_silent(hop_key(self, config, ttl), config))
            return ttl;
        ttl = ttl == 1 ? routers : ttl - 1;
    }
    return 0;
}

void sim_path_init(
    struct sim_path *self, const struct sim_path_config *config, const struct sim_addr *dst) {
    uint32_t end;

    memset(self, 0, sizeof *self);
    self->dst = *dst;
    self->dst_key = sim_random_mix(config->seed, SALT_TARGET);
    self->dst_key = sim_random_mix(self->dst_key, dst->version);
    self->dst_key = sim_random_mix(self->dst_key, load64(dst->bytes));
    self->dst_key = sim_random_mix(self->dst_key, load64(dst->bytes + 8));

    self->distance =
        config->min_hops + sim_random_below(sim_random_mix(self->dst_key, SALT_DISTANCE),
                               config->max_hops - config->min_hops + 1);
    self->last = self->distance;
    self->tcp_open =
        sim_random_chance(sim_random_mix(self->dst_key, SALT_TCP_OPEN), config->tcp_open);

    /* One draw decides about both, so that each has the share that was asked for. */
    end = sim_random_below(sim_random_mix(self->dst_key, SALT_END), SIM_RANDOM_ALL);
    self->end = SIM_END_REPLY;
    if (end < config->unreachable) {
        uint32_t ttl = unreachable_hop(self, config);

        if (ttl > 0) {
            self->end = SIM_END_UNREACHABLE;
            self->last = ttl;
            self->code = dst->version == 4 ? config->unreachable_code
                                           : sim_path_code_v6(config->unreachable_code);
        }
    } else if (end - config->unreachable < config->silent_target) {
        self->end = SIM_END_SILENT;
    }
}

/*
 * A permutation of 24 bits, a Feistel network of four rounds whose key is the seed. Different
 * numbers give different addresses, which do not look like a sequence.
 */
static uint32_t shuffle24(uint64_t seed, uint32_t number) {
    uint32_t left = number >> 12, right = number & 0xfffu;

    for (uint64_t round = 0; round < 4; round++) {
        uint64_t bits = sim_random_mix(sim_random_mix(seed, SALT_ADDRESS + (round << 8)), right);
        uint32_t next = left ^ (uint32_t)(bits >> 52);

        left = right;
        right = next;
    }
    return left << 12 | right;
}

/*
 * With plain hashes of 24 bits, one path in some ten thousand would have the same address twice,
 * and so a loop that is not there. So the routers of a path get consecutive numbers from a hashed
 * start, which are none of the first routers' numbers, and the permutation spreads them.
 */
static void address_v4(const struct sim_path *self, const struct sim_path_config *config,
    uint32_t ttl, uint32_t member, struct sim_addr *addr) {
    uint32_t near = (uint32_t)(near_key(config) >> 32) & V4_MASK;
    uint32_t start = (uint32_t)(self->dst_key >> 32) & V4_MASK;
    uint32_t apart = (start - near) & V4_MASK;
    uint32_t number;

    if (ttl <= config->shared_hops)
        start = near;
    else if (apart < V4_WINDOW || apart > V4_MASK - V4_WINDOW)
        start += 2 * V4_WINDOW;
    number = shuffle24(config->seed, (start + ttl * SIM_PATH_MAX_MEMBERS + member) & V4_MASK);
    addr->version = 4;
    addr->bytes[0] = V4_NET;
    addr->bytes[1] = (uint8_t)(number >> 16);
    addr->bytes[2] = (uint8_t)(number >> 8);
    addr->bytes[3] = (uint8_t)number;
}

static void address_v6(uint64_t key, uint32_t member, struct sim_addr *addr) {
    uint64_t bits = sim_random_mix(key, SALT_ADDRESS);

    /* The low bits hold the member, so that the members of a hop differ. */
    bits = (bits & ~(uint64_t)(SIM_PATH_MAX_MEMBERS - 1)) | member;
    addr->version = 6;
    memcpy(addr->bytes, v6_net, sizeof v6_net);
    for (int i = 0; i < 8; i++)
        addr->bytes[8 + i] = (uint8_t)(bits >> (56 - 8 * i));
}

static void find_labels(const struct sim_path_config *config, struct sim_hop *hop) {
    if (!sim_random_chance(sim_random_mix(hop->key, SALT_MPLS), config->mpls))
        return;
    hop->n_labels =
        1 + sim_random_below(sim_random_mix(hop->key, SALT_LABELS), SIM_PATH_MAX_LABELS);
    for (uint32_t i = 0; i < hop->n_labels; i++) {
        uint64_t bits = sim_random_mix(sim_random_mix(hop->key, SALT_LABEL), i);
        struct sim_label *label = &hop->labels[i];

        label->label = 16 + sim_random_below(bits, (1u << 20) - 16);
        label->tc = (uint8_t)(bits & 7);
        label->s = i + 1 == hop->n_labels;
        label->ttl = (uint8_t)(1 + (bits >> 3 & 0xff) % 255);
    }
}

void sim_path_hop(const struct sim_path *self, const struct sim_path_config *config, uint32_t ttl,
    struct sim_hop *hop) {
    memset(hop, 0, sizeof *hop);
    hop->ttl = ttl;
    hop->rtt_us = (int64_t)ttl * config->rtt_us;
    hop->n_addrs = 1;
    hop->target = ttl == self->distance;
    if (hop->target) {
        hop->addrs[0] = self->dst;
        hop->silent = self->end == SIM_END_SILENT;
        return;
    }

    hop->key = hop_key(self, config, ttl);
    hop->silent = hop_silent(hop->key, config);
    if (sim_random_chance(sim_random_mix(hop->key, SALT_BALANCED), config->balanced))
        hop->n_addrs =
            2 + sim_random_below(sim_random_mix(hop->key, SALT_MEMBERS), SIM_PATH_MAX_MEMBERS - 1);
    for (uint32_t i = 0; i < hop->n_addrs; i++) {
        if (self->dst.version == 4)
            address_v4(self, config, ttl, i, &hop->addrs[i]);
        else
            address_v6(hop->key, i, &hop->addrs[i]);
    }
    find_labels(config, hop);
}

uint32_t sim_path_member(const struct sim_hop *hop, uint64_t flow) {
    if (hop->n_addrs == 1)
        return 0;
    return sim_random_below(
        sim_random_mix(sim_random_mix(hop->key, SALT_MEMBER), flow), hop->n_addrs);
}

uint8_t sim_path_code_v6(uint8_t code_v4) {
    switch (code_v4) {
    case 1:       /* host unreachable */
    case 2:       /* protocol unreachable */
    case 7:       /* host unknown */
    case 8:       /* source host isolated */
    case 12:      /* host unreachable for the type of service */
        return 3; /* address unreachable */
    case 3:       /* port unreachable */
        return 4;
    case 9:       /* network administratively prohibited */
    case 10:      /* host administratively prohibited */
    case 13:      /* communication administratively prohibited */
    case 14:      /* host precedence violation */
    case 15:      /* precedence cutoff in effect */
        return 1; /* administratively prohibited */
    default:
        return 0; /* no route to destination */
    }
}
