/*
 * sim_delay: a queue of packets, ordered by when they are due.
 *
 * Pure. A binary heap: pushing and dropping take O(log n). Bounded in packets and in bytes.
 */
#ifndef SIM_DELAY_H
#define SIM_DELAY_H

#include <stddef.h>
#include <stdint.h>

/* The largest queue of a simulation: ten seconds of 100,000 packets/s with 256 bytes each. */
#define SIM_DELAY_MAX_PACKETS (1u << 20)
#define SIM_DELAY_MAX_BYTES (256u << 20)

struct sim_delay;

struct sim_parcel {
    int64_t due_ns;
    size_t length;
    uint8_t packet[];
};

/* Returns a queue for up to this number of packets and bytes, or NULL if there is no memory. */
struct sim_delay *sim_delay_new(size_t max_packets, size_t max_bytes);

/* Frees the queue with all that waits in it and sets the pointer to NULL. */
void sim_delay_destroy(struct sim_delay **self_p);

/* Copies a packet into the queue. Returns -1, and does nothing, if the queue is full. */
int sim_delay_push(struct sim_delay *self, int64_t due_ns, const uint8_t *packet, size_t length);

/*
 * Returns the packet that is due first, or NULL; of several, the one that was pushed first. It
 * stays valid until sim_delay_drop().
 */
const struct sim_parcel *sim_delay_peek(const struct sim_delay *self);

/* Frees the packet that sim_delay_peek() shows. There must be one. */
void sim_delay_drop(struct sim_delay *self);

size_t sim_delay_size(const struct sim_delay *self);

#endif
