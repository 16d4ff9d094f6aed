#include "worker/probing/pace.h"

int64_t pace_burst(int64_t pps) {
    int64_t idle = pps * PACE_IDLE_US / 1000000, burst = pps * PACE_QUANTUM_US / 1000000;
    idle = idle < PACE_BURST ? idle : PACE_BURST;
    burst = burst > idle ? burst : idle;
    burst = burst < PACE_BURST_MAX ? burst : PACE_BURST_MAX;
    return burst > 1 ? burst : 1;
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
    p->next_ns = (p->next_ns > saved_up_ns ? p->next_ns : saved_up_ns) + p->interval_ns;
}

int64_t pace_next_us(const struct pace *p) {
    return p->interval_ns == 0 || p->next_ns == INT64_MIN ? INT64_MIN : (p->next_ns + 999) / 1000;
}
