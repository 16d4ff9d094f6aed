/*
 * sim_path: the simulated internet's map.
 *
 * Pure: what a path looks like is a function of the configuration (with its seed), the
 * destination and, at a load-balanced hop, the flow. Nothing is stored for a destination, so that
 * the simulation and the truth that it prints cannot disagree.
 */
#ifndef SIM_PATH_H
#define SIM_PATH_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_PATH_MAX_HOPS 64
#define SIM_PATH_MAX_MEMBERS 4
#define SIM_PATH_MAX_LABELS 3
#define SIM_PATH_MAX_RTT_US 1000000

struct sim_addr {
    uint8_t version;   /* 4 or 6 */
    uint8_t bytes[16]; /* network order; IPv4 uses the first four, the others are 0 */
};

/* The shape of the internet. Shares are in parts per million (sim_random.h). */
struct sim_path_config {
    uint64_t seed;
    uint32_t min_hops, max_hops; /* distance to a target: 1 <= min <= max <= SIM_PATH_MAX_HOPS */
    uint32_t shared_hops;        /* first hops that all destinations share */
    uint32_t rtt_us;             /* round-trip time that each hop adds */
    uint32_t silent_router;      /* share of hops that never answer */
    uint32_t silent_target;      /* share of targets that never answer */
    uint32_t unreachable;        /* share of unreachable targets; with silent_target at most all */
    uint8_t unreachable_code;    /* ICMPv4 code; ICMPv6 gets the code nearest in meaning */
    uint32_t balanced;           /* share of hops with 2..4 members */
    uint32_t mpls;               /* share of hops that quote 1..3 labels in their errors */
    uint32_t tcp_open;           /* share of targets that accept connections */
};

enum sim_end {
    SIM_END_REPLY,       /* the target answers */
    SIM_END_SILENT,      /* nothing comes from the target */
    SIM_END_UNREACHABLE, /* a router before the target says that it cannot be reached */
};

struct sim_path {
    struct sim_addr dst;
    uint64_t dst_key;  /* hash of seed and destination */
    uint32_t distance; /* hop of the target */
    uint32_t last;     /* last hop that counts; packets with a larger ttl end there too */
    enum sim_end end;
    uint8_t code;  /* with SIM_END_UNREACHABLE: code in the ICMP version of the destination */
    bool tcp_open; /* the target answers a SYN with SYN-ACK, not with RST */
};

struct sim_label {
    uint32_t label; /* 16..1048575: the others have special meanings */
    uint8_t tc;     /* 0..7 */
    uint8_t s;      /* 1 in the last label of a stack */
    uint8_t ttl;    /* 1..255 */
};

struct sim_hop {
    uint32_t ttl;
    bool silent;
    bool target;      /* the destination itself, not a router */
    int64_t rtt_us;   /* without jitter */
    uint64_t key;     /* for sim_path_member() */
    uint32_t n_addrs; /* 1, or 2..4 where load is balanced */
    struct sim_addr addrs[SIM_PATH_MAX_MEMBERS];
    uint32_t n_labels;
    struct sim_label labels[SIM_PATH_MAX_LABELS];
};

/* Finds the path to `dst`. */
void sim_path_init(
    struct sim_path *self, const struct sim_path_config *config, const struct sim_addr *dst);

/* Describes hop `ttl` of the path, 1..self->last. Addresses of one path are all different. */
void sim_path_hop(const struct sim_path *self, const struct sim_path_config *config, uint32_t ttl,
    struct sim_hop *hop);

/* The index in hop->addrs of the member that a flow crosses; `flow` is any hash of the flow. */
uint32_t sim_path_member(const struct sim_hop *hop, uint64_t flow);

/* The ICMPv6 destination-unreachable code (RFC 4443) nearest to an ICMPv4 one (RFC 792, 1812). */
uint8_t sim_path_code_v6(uint8_t code_v4);

#endif
