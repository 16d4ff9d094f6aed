/* records: what the broker keeps of a trace, as the core gives it to a store and gets it back.
 * Pure data; pointers borrow for the length of the call that they are given to. */
#ifndef HOPMQ_RECORDS_H
#define HOPMQ_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An id and, of one part of a fanout, "/" and the worker's name. */
#define RECORD_ID_BYTES 129

/* How far a trace without a result has come. */
struct record_run {
    int64_t number;     /* of the trace */
    int64_t lease;      /* the last lease of it; 0: there was none */
    const char *worker; /* whom that was given to; empty: nobody */
    int64_t run;        /* how often it was started */
    int64_t returns;    /* how often a worker handed it back */
    bool cancelling;    /* a client has cancelled it, and its worker has not answered yet */
};

/* A trace that was accepted and has no result yet. */
struct record_trace {
    int64_t number;        /* counts acceptances, from 1 */
    const char *id;        /* 1..RECORD_ID_BYTES */
    const char *submitter; /* whom fair queueing counts it for; printable */
    int64_t accepted_us;   /* wall clock */
    const void *trace;     /* canonical encoding, see trace_put_map() */
    size_t trace_size;
    struct record_run run;
};

/* A result, and what else is asked about it. */
struct record_result {
    int64_t seq, stream_seq;
    int64_t number; /* of the trace */
    const char *id;
    const char *stream;
    int64_t finished_us; /* the broker's wall clock when it numbered the result */
    const void *trace;   /* canonical encoding */
    size_t trace_size;
    const void *result; /* the published map; NULL in an answer that leaves it out */
    size_t result_size;
};

enum record_query {
    RECORD_IDS,   /* the results of these ids */
    RECORD_AFTER, /* the results from `after` + 1 on, in order of seq */
};

/* A question to the store. The answer includes everything that was kept before the question. */
struct record_read {
    uint64_t ticket; /* its answer has the same */
    int query;       /* enum record_query */
    const char *const *ids;
    size_t id_count; /* 1..1000 */
    int64_t after;
    const char *stream; /* results of this stream only; NULL: of all */
    int64_t limit;      /* 1..1000 */
    size_t max_bytes;   /* of results in the answer; at least one result comes in any case */
};

struct record_answer {
    uint64_t ticket;
    const struct record_result *rows;
    size_t count;
    bool more;         /* AFTER: there are rows behind the last one */
    bool failed;       /* the store could not be read, so that nothing is known */
    int64_t first_seq; /* AFTER: the oldest seq that is still kept; the next seq if none is */
};

#endif
