/* slices: the sequence numbers and the ICMP id that a worker has to itself in its network
 * namespace.
 *
 * Sequence numbers are shared out between workers in SEQUENCE_SLICES slices, and the ICMP id of a
 * prober follows from its pid. Each slice and each id must have one owner in a network namespace,
 * also across pid namespaces, such as containers that share the host's network. So each one is an
 * abstract unix socket, which belongs to a network namespace, can be bound once, and is gone with
 * its holder. The socket of a slice listens: a worker that finds all slices taken connects to one,
 * and if its holder has several, it gives half of them away. When a worker ends, the others take
 * its slices.
 */
#ifndef HOPMQ_WORKER_SLICES_H
#define HOPMQ_WORKER_SLICES_H

#include "common/runtime/reactor.h"
#include "worker/probing/sequence.h"

#include <sys/types.h>

/* A worker without a slice tries to take one every SLICES_TRY_US, and asks another holder every
 * SLICES_ASK_US. */
#define SLICES_TRY_US 100000
#define SLICES_ASK_US 1000000

/* A worker without a slice gives up after SLICES_PATIENCE_US. A holder that was asked keeps a slice
 * for as long as its longest probe, 30 s, and for the 10 s that the number of a silent probe rests.
 */
#define SLICES_PATIENCE_US 50000000

/* A worker that has slices looks for more that are free every SLICES_AGAIN_US. */
#define SLICES_AGAIN_US 5000000

/* It does not use those for SLICES_REST_US. Most likely their holder died, and answers to the
 * probes that it left behind, which nobody waits for, can come for some 10 s. A worker that starts
 * uses what it takes at once: otherwise it could run no traces meanwhile. */
#define SLICES_REST_US 12000000

/* The ICMP id of a prober is its pid modulo SLICES_ICMP_IDS. */
#define SLICES_ICMP_IDS 65536

struct slices;

struct slices_sink {
    void *context;
    /* From now on the worker may use these slices, a bit each, and no others. */
    void (*own)(void *context, unsigned slices);
    /* When no answer to a probe with a number of this slice can come any more. */
    int64_t (*slice_free_us)(void *context, unsigned slice);
    /* The worker got no slice within SLICES_PATIENCE_US. */
    void (*full)(void *context);
};

/* Takes every slice that is free, and calls sink.own() before it returns. */
struct slices *slices_new(struct reactor *reactor, const struct slices_sink *sink);
void slices_destroy(struct slices **slices);

/* The number with which this worker's first prober should begin. It is drawn at random, since the
 * last holder of the numbers may have ended with probes out. */
uint32_t slices_begin(const struct slices *slices);

/* Claims the ICMP id of the prober with this pid, in place of the one that was claimed before.
 * Returns false if another worker holds it. */
bool slices_claim_id(struct slices *slices, pid_t pid);

/* What the workers of this network namespace hold. */
struct slices_survey {
    unsigned held;    /* slices that are not free */
    unsigned workers; /* that have an ICMP id */
    bool id_taken;    /* the ICMP id that was asked about is held */
};

/* Finds out what is held, and whether the ICMP id of a pid is. It reads the kernel's list of
 * sockets, because to bind a name, even for a moment, would take it from a worker that starts just
 * then, and to connect to a slice would ask for it. Returns false if there is no such list. */
bool slices_survey(struct slices_survey *survey, pid_t pid);

/* Does what is due, and says when it wants to be called next. */
void slices_tick(struct slices *slices, int64_t now_us);
int64_t slices_next(const struct slices *slices);

#endif
