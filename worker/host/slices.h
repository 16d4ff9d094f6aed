/* slices: the sequence numbers, and the ICMP id, that a worker has to itself in its network
 * namespace.
 *
 * Slices of sequence numbers, and the ICMP id that a prober derives from its pid, must each have
 * one owner in a network namespace, also across pid namespaces (containers that share the host's
 * network). An abstract unix socket is scoped to the network namespace and dies with its holder,
 * so each slice and each id is one that is bound. The socket of a slice listens: a worker that
 * finds all slices taken connects to one, and its holder, if it has several, gives half away.
 * Slices of workers that have gone are taken by those that are left.
 */
#ifndef HOPMQ_WORKER_SLICES_H
#define HOPMQ_WORKER_SLICES_H

#include "common/runtime/reactor.h"
#include "worker/probing/sequence.h"

#include <sys/types.h>

/* How often a worker without a slice tries again, and asks the next holder. */
#define SLICES_TRY_US 100000
#define SLICES_ASK_US 1000000

/* Then it gives up. A slice that was asked for is held as long as its longest probe, 30 s, and for
 * the time that the number of a silent probe is kept, 10 s. */
#define SLICES_PATIENCE_US 50000000

/* How often a worker that has slices looks for more that are free. */
#define SLICES_AGAIN_US 5000000

/* It does not use those for so long: what made them free is, most likely, the death of their
 * holder, and answers to the probes that it left behind, which nobody waits for, come for some 10
 * s. A worker that starts does not rest: it would trace nothing meanwhile. */
#define SLICES_REST_US 12000000

/* A prober's ICMP id is its pid modulo this. */
#define SLICES_ICMP_IDS 65536

struct slices;

struct slices_sink {
    void *context;
    /* These slices are ours to use now, a bit each. */
    void (*own)(void *context, unsigned slices);
    /* When no answer to the numbers of a slice can come any more. */
    int64_t (*slice_free_us)(void *context, unsigned slice);
    /* No slice was to be had within SLICES_PATIENCE_US. */
    void (*full)(void *context);
};

/* Takes every slice that is free, and says so through sink.own before it returns. */
struct slices *slices_new(struct reactor *reactor, const struct slices_sink *sink);
void slices_destroy(struct slices **slices);

/* At which number this worker's first prober had best begin: at random, since whoever had the
 * numbers before may have ended with probes out. */
uint32_t slices_begin(const struct slices *slices);

/* Claims the ICMP id of a prober's pid; false if another holds it. It replaces the last one. */
bool slices_claim_id(struct slices *slices, pid_t pid);

/* What is held in this network namespace. */
struct slices_survey {
    unsigned held;    /* slices that are not free */
    unsigned workers; /* how many have an ICMP id */
    bool id_taken;    /* the one asked for */
};

/* Looks around, also for the ICMP id of a pid. It reads the kernel's list of sockets: a name that
 * we bound, be it for a moment, would be missed by a worker that starts then, and to connect to a
 * slice is to ask for it. False if there is no such list. */
bool slices_survey(struct slices_survey *survey, pid_t pid);

/* As a core's: what is due, and when next. */
void slices_tick(struct slices *slices, int64_t now_us);
int64_t slices_next(const struct slices *slices);

#endif
