#include "worker/probing/pulse.h"

void pulse_start(struct pulse *p, int64_t now_us) {
    *p = (struct pulse){.next_us = now_us + PULSE_EVERY_US};
}

void pulse_asked(struct pulse *p, int64_t now_us) {
    p->out = true;
    p->asked_us = now_us;
    p->next_us = now_us + PULSE_EVERY_US;
}

void pulse_answered(struct pulse *p, int64_t now_us) {
    if (p->out)
        p->lag_us = now_us - p->asked_us;
    p->out = false;
}

int64_t pulse_lag_us(const struct pulse *p, int64_t now_us) {
    int64_t waiting_us = p->out ? now_us - p->asked_us : 0;
    return waiting_us > p->lag_us ? waiting_us : p->lag_us;
}

bool pulse_dead(const struct pulse *p, int64_t now_us) {
    return p->out && now_us - p->asked_us >= PULSE_DEAD_US;
}

int64_t pulse_next_us(const struct pulse *p, bool probes_out) {
    if (p->out)
        return p->asked_us + PULSE_DEAD_US;
    return probes_out ? p->next_us : INT64_MAX;
}
