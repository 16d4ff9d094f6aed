/* distance: at which ttl targets were found, by prefix. Pure.
 *
 * What trims a trace's overshoot: an idle worker sends many ttls at once, and hosts of one /24 or
 * /48 are mostly as far away as each other. Wrong knowledge costs probes, never truth.
 */
#ifndef HOPMQ_DISTANCE_H
#define HOPMQ_DISTANCE_H

#include "common/addr.h"

#define DISTANCE_PREFIXES 8192

/* One entry for each hash of a prefix; the last that came stays. */
struct distances {
    struct distance {
        uint8_t prefix[6]; /* 3 bytes of IPv4, 6 of IPv6 */
        uint8_t af, ttl;
    } at[DISTANCE_PREFIXES];
};

/* 0: not known. */
int distance_find(const struct distances *distances, const struct addr *target);
void distance_learn(struct distances *distances, const struct addr *target, uint8_t ttl);

#endif
