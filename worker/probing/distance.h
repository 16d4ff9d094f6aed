/* distance: at which ttl targets were found, by prefix. Pure.
 *
 * An idle worker sends probes with many ttls at once. Knowing how far away the target is saves
 * those beyond it, and hosts of one /24 or /48 are mostly equally far. What is wrong here costs
 * probes, but no hop becomes false by it.
 */
#ifndef HOPMQ_DISTANCE_H
#define HOPMQ_DISTANCE_H

#include "common/addr.h"

#define DISTANCE_PREFIXES 8192

/* One entry for each hash of a prefix: a newer one replaces an older one. */
struct distances {
    struct distance {
        uint8_t prefix[6]; /* 3 bytes of IPv4, 6 of IPv6 */
        uint8_t af, ttl;
    } at[DISTANCE_PREFIXES];
};

/* The ttl at which the target is thought to be; 0: not known. */
int distance_find(const struct distances *distances, const struct addr *target);
void distance_learn(struct distances *distances, const struct addr *target, uint8_t ttl);

#endif
