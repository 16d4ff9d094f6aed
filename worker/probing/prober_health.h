/* prober_health: whether the prober is there, and how far it lags. Pure.
 *
 * mtr-packet answers commands and takes answers off the network in one loop, and stamps answers
 * when it takes them. So the time that it needs to answer a question is about what it adds to the
 * times that it reports just then. A busy worker lets answers wait for up to 1 ms itself: what is
 * measured is never too short.
 */
#ifndef HOPMQ_PROBER_HEALTH_H
#define HOPMQ_PROBER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/* While probes are out it is asked so often. */
#define PROBER_HEALTH_EVERY_US 100000

/* Times that it reports while it lags more are marked. */
#define PROBER_HEALTH_LAG_US 2000

/* It hangs if it does not answer for so long. */
#define PROBER_HEALTH_DEAD_US 2000000

struct prober_health {
    bool out; /* a question is unanswered */
    int64_t asked_us, next_us;
    int64_t lag_us; /* of the last answer */
};

/* For a new prober: nothing is asked, no lag is known. */
void prober_health_start(struct prober_health *health, int64_t now_us);

/* A question goes out; one at a time. An answer without one is harmless. */
void prober_health_asked(struct prober_health *health, int64_t now_us);
void prober_health_answered(struct prober_health *health, int64_t now_us);

/* What the prober lags by now, as far as is known. */
int64_t prober_health_lag_us(const struct prober_health *health, int64_t now_us);

/* True if its question has been out for PROBER_HEALTH_DEAD_US. */
bool prober_health_dead(const struct prober_health *health, int64_t now_us);

/* When there is something to be done: ask again (while probes are out), or see that it is dead. */
int64_t prober_health_next_us(const struct prober_health *health, bool probes_out);

#endif
