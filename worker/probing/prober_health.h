/* prober_health: whether the prober is there, and how far it lags. Pure.
 *
 * mtr-packet reads commands and answers from the network in one loop, and takes the time of an
 * answer when it reads it. So the time that it needs to answer a question is about what it adds to
 * the times that it reports just then. A busy worker lets lines of mtr-packet wait for up to 1 ms:
 * the lag that is measured is too long rather than too short.
 */
#ifndef HOPMQ_PROBER_HEALTH_H
#define HOPMQ_PROBER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/* While probes are out, the prober is asked at this interval. */
#define PROBER_HEALTH_EVERY_US 100000

/* A time that it reports while it lags by more than this is flagged HOP_PROBER_LAG. */
#define PROBER_HEALTH_LAG_US 2000

/* A prober that has not answered a question for this time hangs. */
#define PROBER_HEALTH_DEAD_US 2000000

struct prober_health {
    bool out; /* a question is unanswered */
    int64_t asked_us, next_us;
    int64_t lag_us; /* of the last answer */
};

/* A new prober: no question is out, and no lag is known. */
void prober_health_start(struct prober_health *health, int64_t now_us);

/* A question is sent, or answered. One is out at a time; an answer without one is harmless. */
void prober_health_asked(struct prober_health *health, int64_t now_us);
void prober_health_answered(struct prober_health *health, int64_t now_us);

/* The lag of the last answer, or how long the question has been out if that is longer. */
int64_t prober_health_lag_us(const struct prober_health *health, int64_t now_us);

/* True if a question has been out for PROBER_HEALTH_DEAD_US. */
bool prober_health_dead(const struct prober_health *health, int64_t now_us);

/* When to ask again, while probes are out, or to call prober_health_dead(); INT64_MAX: neither. */
int64_t prober_health_next_us(const struct prober_health *health, bool probes_out);

#endif
