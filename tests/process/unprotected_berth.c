/* berth for a worker that protects nothing, for tests only: it owns all slices of the sequence
 * numbers whoever else is there, and any ICMP id will do. Linked in place of worker/berth.c, it
 * shows what the protection is good for, and that the test of it can fail. */
#include "common/mem.h"
#include "worker/host/berth.h"

#include <stdlib.h>

struct berth {
    char none;
};

struct berth *berth_new(struct reactor *reactor, const struct berth_sink *sink) {
    (void)reactor;
    sink->own(sink->context, SEQUENCE_ALL);
    return mem_new(1, sizeof(struct berth));
}

void berth_destroy(struct berth **berth) {
    free(*berth);
    *berth = NULL;
}

uint32_t berth_begin(const struct berth *berth) {
    (void)berth;
    return 0;
}

bool berth_claim_id(struct berth *berth, pid_t pid) {
    (void)berth;
    (void)pid;
    return true;
}

bool berth_survey(struct berth_survey *survey, pid_t pid) {
    (void)survey;
    (void)pid;
    return false;
}

void berth_tick(struct berth *berth, int64_t now_us) {
    (void)berth;
    (void)now_us;
}

int64_t berth_next(const struct berth *berth) {
    (void)berth;
    return INT64_MAX;
}
