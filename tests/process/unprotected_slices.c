/* slices for a worker without protection, for tests only: it uses all slices of the sequence
 * numbers and any ICMP id, whatever other workers use. It is linked in place of
 * worker/host/slices.c, and shows that the protection is needed and that the test of it can fail.
 */
#include "common/mem.h"
#include "worker/host/slices.h"

#include <stdlib.h>

struct slices {
    char none;
};

struct slices *slices_new(struct reactor *reactor, const struct slices_sink *sink) {
    (void)reactor;
    sink->own(sink->context, SEQUENCE_ALL);
    return mem_new(1, sizeof(struct slices));
}

void slices_destroy(struct slices **slices) {
    free(*slices);
    *slices = NULL;
}

uint32_t slices_begin(const struct slices *slices) {
    (void)slices;
    return 0;
}

bool slices_claim_id(struct slices *slices, pid_t pid) {
    (void)slices;
    (void)pid;
    return true;
}

bool slices_survey(struct slices_survey *survey, pid_t pid) {
    (void)survey;
    (void)pid;
    return false;
}

void slices_tick(struct slices *slices, int64_t now_us) {
    (void)slices;
    (void)now_us;
}

int64_t slices_next(const struct slices *slices) {
    (void)slices;
    return INT64_MAX;
}
