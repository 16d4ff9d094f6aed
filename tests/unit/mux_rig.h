/* mux_rig: a mux on a clock of its own. The transcript shows what the mux does, a line each:
 *
 *   1000000 #0 to .1 icmp ttl 1 timeout 2      probe 0 goes to 192.0.2.1
 *   1000150 A hop 1: ttl-expired 100           the sink gets a hop of trace A
 *   1000300 A ends: reached, ...
 *   5000000 stuck                              the prober is to be replaced
 *
 * Probes are numbered in the order in which they were sent. */
#ifndef TEST_MUX_RIG_H
#define TEST_MUX_RIG_H

#include "tests/unit/check.h"

#include "tests/unit/transcript.h"
#include "worker/probing/mux.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)
#define FOREVER (INT64_C(1000000) * SECOND)
#define MAX_SENT 70000

struct rig {
    struct mux *mux;
    struct transcript out;
    int64_t now_us;
    int32_t tokens[MAX_SENT];
    int64_t sent_us[MAX_SENT];
    uint8_t ttl[MAX_SENT], target[MAX_SENT]; /* the last byte of its address */
    uint16_t local_port[MAX_SENT];
    bool tcp[MAX_SENT];
    unsigned sent, stuck, skipped, asked;
    bool hangs;
    bool quiet;     /* the transcript has no commands, which are counted all the same */
    bool hears;     /* sink.seq_check() says yes */
    unsigned flags; /* of the last probe that sink.hop() got */
};

struct addr addr(const char *text);

struct rig *rig_of(int64_t pps, const char *version);

struct rig *rig_new(int64_t pps);

/* Sequence numbers come round after this many. Without a limit of the rate, and quiet. */
struct rig *rig_with_numbers(uint32_t count);

void rig_end(struct rig *rig);

struct trace options(void);

struct mux_job *add_until(
    struct rig *rig, char *name, const struct trace *with, int64_t deadline_us);

struct mux_job *add_to(struct rig *rig, uint8_t number, char *name, const struct trace *with);

struct mux_job *add(struct rig *rig, char *name, const struct trace *with);

/* The prober answers the mux's own questions at once, unless it hangs. */
void tick(struct rig *rig);

void pass(struct rig *rig, int64_t us);

/* Lets time pass as the shell does: from one wake-up to the next. */
void run_for(struct rig *rig, int64_t us);

/* The prober's line for probe number `number`. */
void say(struct rig *rig, unsigned number, const char *rest);

#define EXPIRED "ttl-expired ip-4 10.0.0.1 round-trip-time 100"
#define REPLY "reply ip-4 192.0.2.1 round-trip-time 100"

void expect(struct rig *rig, const char *expected);

/* How often the transcript has this. */
int shown(const struct rig *rig, const char *what);

#endif
