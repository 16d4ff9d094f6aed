/* sim: the real cores of the broker and of its workers, and a model of all that is around them
 * (store, network, clocks, clients, subscribers), in one process; all chance is a seed's.
 *
 *   events   what happens when, chance, the transcript    broker       the broker's shell
 *   net      connections that break, hold back, fill      worker       an agent and its traces
 *   disk     the store, which forgets what is not synced  client       requests, sent again
 *   faults   what goes wrong, and how much of it          subscriber   the feed, gaps, replay
 *   history  what was promised, and what came of it
 */
#ifndef SIM_H
#define SIM_H

#include "broker/core/core.h"
#include "broker/core/records.h"
#include "common/protocol/wire.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)
#define WALL INT64_C(1700000000000000)
#define NEVER INT64_MAX

#define MAX_WORKERS 3
#define MAX_CLIENTS 3
#define MAX_SUBSCRIBERS 2
#define MAX_ASKS 192    /* requests of all clients */
#define MAX_SPECS 96    /* traces that they ask for */
#define MAX_RESULTS 256 /* in one schedule; all seqs are below that */
#define MAX_STREAMS 4
#define ASK_TRACES 4

/* An id and, of a place, the worker's name. */
#define ID_ROOM (RECORD_ID_BYTES + 1)

/* The processes, and NOBODY for what happens outside of them. */
enum {
    BROKER,
    WORKER,
    CLIENT = WORKER + MAX_WORKERS,
    SUBSCRIBER = CLIENT + MAX_CLIENTS,
    PROCESSES = SUBSCRIBER + MAX_SUBSCRIBERS,
    NOBODY = PROCESSES
};

struct sim;

/* ---- events ----------------------------------------------------------------------------- */

struct event {
    int64_t at_us;
    uint64_t order;
    void (*act)(struct sim *sim, const struct event *event);
    int process;   /* it happens when this one runs, and never if it has died since */
    uint64_t life; /* of the process */
    bool waits;    /* for the process to run again */
    void *data;
    int64_t number;
};

struct process {
    bool up;
    uint64_t life; /* another one after each death */
    int64_t paused_until_us, resumed_us;
    int64_t mono_us, wall_us; /* its clocks, less the simulation's */
    int64_t timer_us;         /* the wake-up that is set; NEVER: none */
};

/* A microsecond of [0, limit). */
int64_t sim_draw(struct sim *sim, int64_t limit);
bool sim_chance(struct sim *sim, unsigned percent);

void sim_at(struct sim *sim, int64_t at_us, int process,
    void (*act)(struct sim *, const struct event *), void *data, int64_t number);

/* Calls wake() at the process's own monotonic time `mono_us`, if that is before the wake-up that is
 * set. */
void sim_wake(struct sim *sim, int process, int64_t mono_us,
    void (*wake)(struct sim *, const struct event *));

/* No process is stopped any more. */
void sim_resume_all(struct sim *sim);

/* Lets things happen until there is nothing more, or sim->over is set. */
void sim_run(struct sim *sim);

/* Zeroed memory that lasts as long as the schedule. */
void *sim_new(struct sim *sim, size_t size);
void *sim_copy(struct sim *sim, const void *bytes, size_t size);
char *sim_text(struct sim *sim, const char *text);
void sim_free_memory(struct sim *sim);

const char *sim_name(int process);
struct instant sim_time(const struct sim *sim, int process);
void sim_die(struct sim *sim, int process);

/* A line of the transcript. */
#define SAY(sim, ...)                                                                              \
    do {                                                                                           \
        if ((sim)->verbose)                                                                        \
            sim_say(sim, __VA_ARGS__);                                                             \
    } while (0)
void sim_say(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_say_message(struct sim *sim, const char *who, const void *bytes, size_t size);

/* A promise is broken: ends the schedule. */
_Noreturn void sim_broken(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define KEEP(sim, rule, ...)                                                                       \
    do {                                                                                           \
        if (!(rule))                                                                               \
            sim_broken(sim, __VA_ARGS__);                                                          \
    } while (0)

/* ---- net -------------------------------------------------------------------------------- */

/* What a process dials: a ROUTER, and of subscribers the feed too. */
enum { LINK_REQUESTS, LINK_FEED, LINKS };
enum { TO_BROKER, TO_PEER };

struct link {
    bool open, dialling;
    uint32_t number;     /* its routing id at the broker */
    uint32_t before;     /* that of the connection before, which the broker */
    int64_t noticed_us;  /* does not know to be gone before this */
    uint32_t arrives[2]; /* the broken connection whose messages under way still come */
    int64_t last_us[2];  /* messages come in order */
    int64_t hold_us[2];  /* none comes before this */
    int64_t flying;      /* messages for the peer that it has not taken */
};

void net_dial(struct sim *sim, int process, int which);
/* False if there is no connection. */
bool net_to_broker(struct sim *sim, int process, const void *bytes, size_t size);
/* False if it cannot be sent. */
bool net_to_peer(struct sim *sim, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_sent *why);
void net_publish(struct sim *sim, const char *topic, const void *bytes, size_t size);
void net_break(struct sim *sim, int process, int which);
void net_break_all(struct sim *sim, int process);

/* ---- disk ------------------------------------------------------------------------------- */

struct kept_trace {
    struct kept_trace *next;
    struct record_trace record; /* its pointers are its own */
    int64_t kept_us;            /* when the core said so */
};

struct kept_result {
    struct kept_result *next;
    struct record_result record;
    int64_t kept_us;
};

/* One record in a batch. */
struct entry {
    struct entry *next;
    struct kept_trace *trace;
    struct record_run *run;
    struct kept_result *result;
};

struct disk_batch {
    struct entry *first, **last;
    uint64_t number;
};

struct disk_stream {
    char name[65];
    int64_t seq;
};

struct held_read {
    struct held_read *next;
    struct record_read read;
    uint64_t batch;
};

struct disk {
    /* what a crash leaves */
    int64_t epoch, origin, seq, number;
    struct kept_trace *traces;                /* by number */
    struct kept_result *results[MAX_RESULTS]; /* by seq; NULL: deleted */
    struct disk_stream streams[MAX_STREAMS];
    int stream_count;
    int64_t first_seq; /* older ones were deleted */
    /* what it does not */
    struct disk_batch open, flying;
    bool busy;
    uint64_t batches, committed;
    struct held_read *reads;
    int read_count;
    int64_t answer_us; /* answers come in the order of the questions */
};

struct disk_start {
    int64_t epoch, origin, seq, number;
};

struct disk_start disk_open(struct sim *sim, int64_t wall_us);
void disk_keep_trace(struct sim *sim, const struct record_trace *record);
void disk_keep_run(struct sim *sim, const struct record_run *record);
void disk_keep_result(struct sim *sim, const struct record_result *record);
void disk_read(struct sim *sim, const struct record_read *read);
uint64_t disk_batch(const struct sim *sim);
void disk_flush(struct sim *sim);
/* The process has died: what is not committed is lost, or the batch under way just made it. */
void disk_crash(struct sim *sim);
/* The results of places whose whole has none. */
bool disk_is_member(const struct sim *sim, const struct kept_result *result);
/* Deletes old results. */
void disk_retire(struct sim *sim, int64_t keep);

/* ---- the broker ------------------------------------------------------------------------- */

struct broker {
    struct core *core;
    struct outbox *outbox;
    struct prompt *prompts; /* messages that wait for nothing */
    int64_t started_us;
    int64_t crash_in; /* dies at this step from now; 0: does not */
    bool dead;        /* it has, and the core has not returned yet */
    bool draining;
    unsigned starts;
};

void broker_start(struct sim *sim);
void broker_crash(struct sim *sim);
void broker_end(struct sim *sim);
void broker_message(struct sim *sim, int process, uint32_t number, const void *bytes, size_t size);
void broker_committed(struct sim *sim);
void broker_answer(struct sim *sim, const struct record_answer *answer);
void broker_drain(struct sim *sim);
void broker_room(struct sim *sim, bool room);
/* Before the event that follows, the broker dies at its `steps`th step. */
void broker_doom(struct sim *sim, int64_t steps);
bool broker_idle(const struct sim *sim);

/* ---- workers ---------------------------------------------------------------------------- */

struct worker;

void workers_make(struct sim *sim);
void workers_end(struct sim *sim);
void worker_start(struct sim *sim, int process);
void worker_crash(struct sim *sim, int process);
void worker_message(struct sim *sim, int process, const void *bytes, size_t size);
void worker_drain(struct sim *sim, int process);
void worker_trouble(struct sim *sim, int process);
void worker_doom(struct sim *sim, int process, int64_t steps);
bool worker_idle(const struct sim *sim, int process);

/* ---- clients ---------------------------------------------------------------------------- */

/* A trace as a client asks for it. */
struct spec {
    char id[65]; /* empty: the broker makes one */
    int target;  /* 192.0.2.N */
    int stream;
    int64_t deadline_ms, priority, max_age_ms, fanout; /* -1: all */
    int64_t site;                                      /* of the worker; 0: any */
    bool coalesce, wait, progress, names, meta;
    const void *bytes; /* its fields, without the map's head */
    size_t size;
    uint32_t pairs;
};

enum ask_op { ASK_SUBMIT, ASK_TRACE, ASK_STATUS, ASK_FETCH, ASK_CANCEL, ASK_PING, ASK_STATS };

struct ask {
    int64_t req;
    enum ask_op op;
    int client;
    bool notify, done;
    struct spec *specs[ASK_TRACES]; /* what it asks for, or asks about */
    char ids[ASK_TRACES][ID_ROOM];  /* of those it asks about */
    int64_t owed[ASK_TRACES];       /* the seq of its result when it was asked first; 0: none */
    int count;
    int tries;
    int64_t next_us;
};

void sim_clients_make(struct sim *sim);
/* Everything that was promised is fetched again. */
void sim_clients_ask_again(struct sim *sim);
bool sim_clients_answered(const struct sim *sim);
void client_message(struct sim *sim, int process, const void *bytes, size_t size);

/* ---- subscribers ------------------------------------------------------------------------ */

/* A place is a seq, or in one stream a stream_seq. */
struct subscriber {
    int stream;              /* only this one's; -1: all */
    bool has[MAX_RESULTS];   /* by place */
    int64_t at[MAX_RESULTS]; /* the seq of a place that it has */
    int64_t after;           /* it has all places up to here, or was told that they are lost */
    int64_t after_seq;       /* the seq up to which that is */
    bool skips;              /* some before the next one of its stream may be lost */
    int64_t last, origin;    /* as `alive` told */
    int64_t checked;         /* of its stream it has what there is up to this seq */
    int64_t next_us;         /* when it asks (again) */
    int64_t req, asked_after, asked_after_seq, asked_last;
};

void subscribers_make(struct sim *sim);
void subscriber_feed(
    struct sim *sim, int process, const char *topic, const void *bytes, size_t size);
void subscriber_message(struct sim *sim, int process, const void *bytes, size_t size);
bool subscriber_complete(const struct sim *sim, int process);

/* ---- history ---------------------------------------------------------------------------- */

/* An id that the broker has said it accepted. */
struct promise {
    char id[ID_ROOM];
    const struct spec *spec;
    int64_t left_us;
    int64_t cancelled_us; /* a `cancelled` that said it was not done left then; 0: none */
    bool was_queued;      /* in it */
};

/* A result, as all must see it. */
struct fact {
    bool known, committed;
    char id[ID_ROOM], stream[65], shared[65], worker[65], stop[16], target[16];
    int64_t stream_seq, run, execution; /* execution: 0: the broker ended it */
    uint64_t hash;
    const void *bytes;
    size_t size;
};

/* One run of a trace at a worker, as the worker saw it. The number of it is in its result. */
struct execution {
    int64_t lease;
    int process;
    char id[ID_ROOM];
};

#define MAX_EXECUTIONS 1024

#define MAX_PROMISES 384

struct history {
    struct promise promises[MAX_PROMISES];
    int promise_count;
    struct fact facts[MAX_RESULTS]; /* by seq */
    int64_t last_seq;               /* committed */
    struct disk_stream streams[MAX_STREAMS];
    int stream_count;
    struct execution executions[MAX_EXECUTIONS];
    int64_t execution_count;
};

/* What all subscribers are sent. */
void history_publish(struct sim *sim, const void *bytes, size_t size);
/* A result that leaves the broker. `bytes`: its encoding, where it is by itself. */
void history_left(struct sim *sim, const msgpack_object *map, const void *bytes, size_t size);
/* Any message that leaves it for a client. */
void history_reply(struct sim *sim, const void *bytes, size_t size);
/* Any message that leaves it for a worker. */
void history_given(struct sim *sim, const void *bytes, size_t size);
void history_commit(
    struct sim *sim, const struct kept_trace *trace, const struct kept_result *result);
int64_t history_execute(struct sim *sim, int process, int64_t lease, const char *id);
struct promise *history_find(struct sim *sim, const char *id);
bool history_deleted(const struct sim *sim, const char *id);
const struct fact *history_result(const struct sim *sim, const char *id);
bool history_complete(const struct sim *sim);
void history_check(struct sim *sim);

int64_t map_int(struct sim *sim, const msgpack_object *map, const char *key);
const msgpack_object *map_array(struct sim *sim, const msgpack_object *map, const char *key);
void map_text(const msgpack_object *map, const char *key, char *out, size_t room);
void text_of(const msgpack_object *value, char *out, size_t room);

/* ---- faults ----------------------------------------------------------------------------- */

enum fault {
    FAULT_BROKER_CRASH,
    FAULT_BROKER_DOOM,
    FAULT_BROKER_PAUSE,
    FAULT_BROKER_DRAIN,
    FAULT_WORKER_CRASH,
    FAULT_WORKER_DOOM,
    FAULT_WORKER_PAUSE,
    FAULT_WORKER_DRAIN,
    FAULT_WORKER_TROUBLE,
    FAULT_BREAK,
    FAULT_HOLD,
    FAULT_PEER_PAUSE,
    FAULT_CLOCK,
    FAULT_DISK_FULL,
    FAULT_RETENTION,
    FAULTS
};

/* What a seed's schedule is made of. */
struct mix {
    int workers, clients, subscribers, asks;
    int64_t asks_us;   /* the requests come in this time */
    int64_t faults_us; /* the faults end after this */
    int64_t every_us;  /* between two faults, about; 0: none */
    unsigned weights[FAULTS];
    int64_t commit_us, delay_us, work_us; /* at most */
    int64_t hwm;                          /* messages that a peer may leave unread */
    int64_t capacity;                     /* of a worker */
    int64_t deadline_ms;                  /* at most */
    int64_t max_queued;
    int64_t recent; /* results that the broker has in memory */
    int targets, streams;
    bool own_ids, made_ids, repeats, conflicts, cancels, coalesce, fanout, labels, no_wait,
        progress, names, priorities, questions;
    int poison; /* a target that kills its worker; 0: none */
};

void faults_mix(struct sim *sim);
void faults_start(struct sim *sim);

/* ---- all -------------------------------------------------------------------------------- */

struct sim {
    uint64_t seed, random;
    bool verbose;
    bool quiet; /* the faults have ended */
    bool over;
    int64_t now_us, events;
    uint64_t next_order;
    struct event *heap;
    size_t heap_size, heap_room;
    struct chunk *chunks, *chunk; /* of memory */
    size_t used;
    struct mix mix;
    struct process processes[PROCESSES + 1];
    struct link links[PROCESSES][LINKS];
    uint32_t next_number;
    struct disk disk;
    struct broker broker;
    struct worker *workers[MAX_WORKERS];
    struct ask asks[MAX_ASKS];
    int ask_count;
    struct spec specs[MAX_SPECS];
    int spec_count;
    struct subscriber subscribers[MAX_SUBSCRIBERS];
    struct history history;
    struct wire_doc doc, inner;
    msgpack_sbuffer out, scratch;
    jmp_buf end;
    char why[512]; /* it is broken; empty: it is not */
    bool disk_full;
};

/* Runs the schedule of a seed; false if a promise was broken, and `why` tells. */
bool sim_schedule(struct sim *sim, uint64_t seed, bool verbose);

struct sim *sim_make(void);
void sim_free(struct sim *sim);

#endif
