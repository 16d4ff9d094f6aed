/* mux_state: what mux.c (jobs, and what comes back) and mux_send.c (whose turn it is, and what goes
 * out) share; nobody else includes it. Pure. */
#ifndef HOPMQ_MUX_STATE_H
#define HOPMQ_MUX_STATE_H

#include "common/timeline.h"
#include "worker/probing/answer.h"
#include "worker/probing/distance.h"
#include "worker/probing/first_hops.h"
#include "worker/probing/flows.h"
#include "worker/probing/mux.h"
#include "worker/probing/pace.h"
#include "worker/probing/prober_health.h"

/* Where a job waits. The first two are lists for each kind of probe, which have limits of their
 * own. */
enum mux_turn {
    TURN_NEEDED, /* it may have something to send that it surely needs */
    TURN_AHEAD,  /* it may have something that it may not need */
    TURN_NONE,
    TURN_PORT, /* it waits until a port of its flow is free */
};

struct mux_job {
    struct timeline_entry patience;       /* not later than its time for a probe is over */
    struct timeline_entry deadline, wake; /* wake: it needs more without having heard anything */
    TAILQ_ENTRY(mux_job) turns;
    TAILQ_ENTRY(mux_job) hop_queue;
    TAILQ_ENTRY(mux_job) link;
    enum mux_turn turn;
    struct tracer *tracer;
    void *owner;
    struct mtr_probe probe;  /* the pattern of all its probes */
    char way[MTR_WAY_BYTES]; /* the same in all their commands */
    enum slot_kind kind;     /* of them */
    struct slot_list slots;
    int64_t started_us, timeout_us;
    int flow; /* -1: none */
    struct flow_use port;
    int waits_at_ttl; /* it waits for its turn at the router there; 0: it does not */
    int64_t waits_since_us;
    uint32_t turns_at; /* bit ttl: it has its turn */
    unsigned deaths;   /* of probers that had probes of it */
    uint64_t death;    /* the last of them */
    bool suspect;      /* it may be what killed the last one */
    bool tells;        /* each hop when it is settled */
};

TAILQ_HEAD(job_list, mux_job);

struct mux {
    struct mux_sink sink;
    struct timeline patience, deadlines, wakes; /* of jobs */
    struct timeline settled; /* when the prober should have forgotten the slot's probe */
    struct slots slots;
    struct slot_list to_ask, asked; /* their trace's time is over; see mux_tick() */
    struct job_list jobs;
    struct job_list turns[2][SLOT_KINDS]; /* by enum mux_turn */
    struct job_list portless;
    struct job_list hop_queues[2][FIRST_HOPS_TTLS]; /* by family, those who wait for a turn there */
    unsigned next_kind;                             /* of probe, whose turn it is */
    struct sequence sequence;
    unsigned skips_out;         /* skipping commands that the prober has not answered */
    bool seq_check_out;         /* one is out */
    int64_t seq_check_again_us; /* until then it is waited for */
    struct pace pace;
    struct first_hops first_hops;
    struct prober_health health;
    struct flows flows;
    struct distances distances;
    int64_t wall_offset_us;
    uint64_t deaths; /* of probers */
    unsigned suspects;
    struct mux_job *trial;   /* the suspect whose probe is in the prober, until that says a word */
    unsigned seq_checks_out; /* sequence checks that the prober has not answered */
    bool up, stuck;
    struct mux_counters counters;
};

/* The job may have something to send. */
void mux_ready(struct mux *mux, struct mux_job *job);

/* Takes the job out of all lists of those who want to send. */
void mux_not_ready(struct mux *mux, struct mux_job *job);

/* Sends what may go now. */
void mux_send_due(struct mux *mux, int64_t now_us);

/* When there is something to be sent, INT64_MAX if nothing waits for time alone. */
int64_t mux_send_next_us(struct mux *mux, int64_t now_us);

#endif
