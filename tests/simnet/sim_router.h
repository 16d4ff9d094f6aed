/*
 * sim_router: what the simulated internet answers, and when.
 *
 * Pure core: a packet and the time go in, an answer and its due times come out. It adds the
 * weather to the map of sim_path: loss, jitter, late and duplicate replies, rate limits.
 */
#ifndef SIM_ROUTER_H
#define SIM_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "sim_packet.h"
#include "sim_path.h"

#define SIM_ROUTER_MAX_COPIES 2

/* Shares are in parts per million (sim_random.h). */
struct sim_router_config {
    uint32_t loss;         /* share of round trips that are lost */
    uint32_t duplicate;    /* share of replies that are sent twice */
    uint32_t duplicate_ms; /* the second copy comes up to this much later; below 2^32 us */
    uint32_t late;         /* share of replies that are late */
    uint32_t late_ms;      /* by this much */
    uint32_t jitter_us;    /* each reply takes up to this much longer */
    uint32_t icmp_limit;   /* ICMP errors a second of each address; 0 is no limit */
};

struct sim_router_counters {
    uint64_t packets;   /* that came in */
    uint64_t malformed; /* of these: cut off, wrong lengths, wrong header checksum */
    uint64_t ignored;   /* multicast, fragments, other protocols, TCP segments without an answer */
    uint64_t bad_checksum; /* the target could not take it */
    uint64_t lost;
    uint64_t silent;
    uint64_t limited;
    uint64_t answered;
    uint64_t late;       /* answers */
    uint64_t duplicates; /* second copies */
};

struct sim_answer {
    uint32_t copies; /* 0: no answer */
    int64_t due_ns[SIM_ROUTER_MAX_COPIES];
    size_t length;
    uint8_t packet[SIM_PACKET_MAX];
};

struct sim_router;

/* A router for the whole map, or NULL without memory. Copies both configurations. */
struct sim_router *sim_router_new(
    const struct sim_path_config *map, const struct sim_router_config *config);
void sim_router_destroy(struct sim_router **self_p);

/* Answers one packet that a host sent at `now_ns` (monotonic; it never goes back). */
void sim_router_handle(struct sim_router *self, const uint8_t *packet, size_t length,
    int64_t now_ns, struct sim_answer *answer);

const struct sim_router_counters *sim_router_counters(const struct sim_router *self);

#endif
