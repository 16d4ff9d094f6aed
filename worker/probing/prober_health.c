#include "worker/probing/prober_health.h"

#include "common/order.h"

void prober_health_start(struct prober_health *p, int64_t now_us) {
    *p = (struct prober_health){.next_us = now_us + PROBER_HEALTH_EVERY_US};
}

void prober_health_asked(struct prober_health *p, int64_t now_us) {
    p->out = true;
    p->asked_us = now_us;
    p->next_us = now_us + PROBER_HEALTH_EVERY_US;
}

void prober_health_answered(struct prober_health *p, int64_t now_us) {
    if (p->out)
        p->lag_us = now_us - p->asked_us;
    p->out = false;
}

int64_t prober_health_lag_us(const struct prober_health *p, int64_t now_us) {
    int64_t waiting_us = p->out ? now_us - p->asked_us : 0;
    return order_max(waiting_us, p->lag_us);
}

bool prober_health_dead(const struct prober_health *p, int64_t now_us) {
    return p->out && now_us - p->asked_us >= PROBER_HEALTH_DEAD_US;
}

int64_t prober_health_next_us(const struct prober_health *p, bool probes_out) {
    if (p->out)
        return p->asked_us + PROBER_HEALTH_DEAD_US;
    return probes_out ? p->next_us : INT64_MAX;
}
