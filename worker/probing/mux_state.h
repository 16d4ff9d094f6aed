/* mux_state: what mux.c (jobs, and answers) and mux_send.c (whose turn it is, and commands) share.
 * No other file includes it. Pure. */
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

/* Where a job waits. There is a list of each of the first two for each kind of probe, as kinds have
 * limits of their own. */
enum mux_turn {
    TURN_NEEDED, /* it may have a probe to send that it surely needs */
    TURN_AHEAD,  /* it may have a probe that it may turn out not to need */
    TURN_NONE,
    TURN_PORT, /* it waits until a port of its flow is free */
};

struct mux_job {
    struct timeline_entry patience;       /* when the time of its oldest probe may be over */
    struct timeline_entry deadline, wake; /* wake: silence makes it send more */
    TAILQ_ENTRY(mux_job) turns;
    TAILQ_ENTRY(mux_job) hop_queue;
    TAILQ_ENTRY(mux_job) link;
    enum mux_turn turn;
    struct tracer *tracer;
    void *owner;
    struct mtr_probe probe;  /* what all its probes have in common */
    char way[MTR_WAY_BYTES]; /* the part that all its commands have in common */
    enum slot_kind kind;     /* of them */
    struct slot_list slots;
    int64_t started_us, timeout_us;
    int flow; /* -1: none */
    struct flow_use port;
    int waits_at_ttl; /* it waits for a turn at this first hop; 0: it does not */
    int64_t waits_since_us;
    uint32_t turns_at; /* bit ttl: it has had its turn there, and not used it */
    unsigned deaths;   /* probers that died with probes of it, outside of trials */
    uint64_t death;    /* the number of the last of them */
    bool suspect;      /* it may have killed the last prober */
    bool tells;        /* the sink hears of each hop when it is settled */
};

TAILQ_HEAD(job_list, mux_job);

struct mux {
    struct mux_sink sink;
    struct timeline patience, deadlines, wakes; /* of jobs */
    struct timeline settled; /* of slots: when the prober should have said what came of the probe */
    struct slots slots;
    struct slot_list to_ask, asked; /* slots whose time is over; see mux_tick() */
    struct job_list jobs;
    struct job_list turns[2][SLOT_KINDS]; /* by enum mux_turn */
    struct job_list portless;
    struct job_list hop_queues[2][FIRST_HOPS_TTLS]; /* who waits for a turn, by family and ttl */
    unsigned next_kind;                             /* of probe, whose turn it is */
    struct sequence sequence;
    unsigned skips_out;         /* skipping commands that the prober has not answered */
    bool seq_check_out;         /* it has not been seen yet */
    int64_t seq_check_again_us; /* until then another one is not sent */
    struct pace pace;
    struct first_hops first_hops;
    struct prober_health health;
    struct flows flows;
    struct distances distances;
    int64_t wall_offset_us;
    uint64_t deaths; /* of probers */
    unsigned suspects;
    struct mux_job *trial;   /* the suspect that is on trial */
    unsigned seq_checks_out; /* sequence checks that the prober has not answered */
    bool up, stuck;
    struct mux_counters counters;
};

/* The job may have a probe to send that it needs. */
void mux_ready(struct mux *mux, struct mux_job *job);

/* Takes the job out of all lists of jobs that want to send. */
void mux_not_ready(struct mux *mux, struct mux_job *job);

/* Sends what may be sent now. */
void mux_send_due(struct mux *mux, int64_t now_us);

/* When something may be sent; INT64_MAX: not before something else happens. */
int64_t mux_send_next_us(struct mux *mux, int64_t now_us);

#endif
