#include "worker/probing/pace.h"

#include "common/order.h"

int64_t pace_burst(int64_t pps) {
    int64_t idle = pps * PACE_IDLE_US / 1000000, burst = pps * PACE_QUANTUM_US / 1000000;
    burst = order_max(burst, order_min(idle, PACE_BURST));
    return order_max(1, order_min(burst, PACE_BURST_MAX));
}

void pace_init(struct pace *p, int64_t pps) {
    p->interval_ns = pps > 0 ? 1000000000 / pps : 0;
    p->burst_ns = pps > 0 ? (pace_burst(pps) - 1) * p->interval_ns : 0;
    p->next_ns = INT64_MIN;
}

bool pace_ready(const struct pace *p, int64_t now_us) {
    return p->interval_ns == 0 || p->next_ns <= now_us * 1000;
}

void pace_take(struct pace *p, int64_t now_us) {
    if (p->interval_ns == 0)
        return;
    int64_t saved_up_ns = now_us * 1000 - p->burst_ns;
    p->next_ns = order_max(p->next_ns, saved_up_ns) + p->interval_ns;
}

int64_t pace_next_us(const struct pace *p) {
    return p->interval_ns == 0 || p->next_ns == INT64_MIN ? INT64_MIN : (p->next_ns + 999) / 1000;
}
