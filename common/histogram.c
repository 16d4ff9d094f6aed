#include "common/histogram.h"

#include "common/order.h"

static const int64_t bounds_us[HISTOGRAM_BUCKETS] = {100, 250, 500, 1000, 2500, 5000, 10000, 25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, INT64_MAX};

int64_t histogram_bound_us(unsigned bucket) { return bounds_us[bucket]; }

void histogram_add(struct histogram *h, int64_t us) {
    unsigned bucket = 0;
    while (us > bounds_us[bucket])
        bucket++;
    h->counts[bucket]++;
    h->sum_us += order_max(us, 0);
}
