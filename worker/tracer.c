#include "worker/tracer.h"

#include "common/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_END 256 /* beyond every ttl */

/* One ttl. It is open once a probe was sent, and settled when nothing more can change it. */
struct hop {
    uint8_t sent, answered, outstanding, repeats;
    uint8_t unconfirmed; /* confirmations that got no answer */
    bool holds;          /* an answer that is to be confirmed, in `held` */
    bool confirmed;      /* the target does answer at this ttl */
    unsigned held;       /* the index of its record */
};

/* What a record of the probe list is. */
enum record_state {
    RECORD_OUT,  /* sent, nothing known yet */
    RECORD_HELD, /* answered, but not believed yet */
    RECORD_DONE, /* its outcome stands in the probe */
    RECORD_VOID, /* sent in vain, through no fault of the network; never reported */
};

struct record {
    struct hop_probe probe;
    enum record_state state;
    bool confirms; /* sent for a held answer; no attempt, and not counted in hop.sent */
};

struct tracer {
    struct addr dst;
    int first_ttl, max_ttl, probes, attempts, gap_limit, window;
    bool tcp;
    struct record *records; /* in the order of sending, until tracer_result() */
    unsigned record_count, record_room;
    int floor;    /* the first ttl that is not settled */
    int reported; /* the next ttl that tracer_settled() gives out */
    int end_ttl;  /* the lowest ttl with a terminal answer */
    int held_ttl; /* the lowest ttl that holds an answer */
    int gap;      /* silent hops in a row that end before floor */
    bool ended;
    enum result_stop stop, end_stop; /* end_stop: what end_ttl's answer means */
    const char *error_code;          /* static */
    char error_message[160];
    struct hop_probe *view; /* what tracer_settled() and tracer_result() returned last */
    struct hop hops[];      /* by ttl - first_ttl */
};

struct tracer *tracer_new(const struct trace *options, const struct addr *dst) {
    size_t hops = (size_t)(options->max_ttl - options->first_ttl + 1);
    struct tracer *t = mem_new(1, sizeof *t + hops * sizeof t->hops[0]);
    t->dst = *dst;
    t->first_ttl = t->floor = t->reported = (int)options->first_ttl;
    t->max_ttl = (int)options->max_ttl;
    t->probes = (int)options->probes;
    t->attempts = (int)options->attempts;
    t->gap_limit = (int)options->gap_limit;
    t->window = options->window != 0 ? (int)options->window : TRACER_WINDOW;
    t->tcp = options->protocol == TRACE_TCP;
    t->end_ttl = t->held_ttl = NO_END;
    return t;
}

void tracer_destroy(struct tracer **tracer) {
    struct tracer *t = *tracer;
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->record_count; i++)
        free(t->records[i].probe.mpls);
    free(t->records);
    free(t->view);
    free(t);
    *tracer = NULL;
}

static struct hop *hop_of(struct tracer *t, int ttl) { return &t->hops[ttl - t->first_ttl]; }

static bool wants_probe(const struct tracer *t, const struct hop *hop) {
    if (hop->holds)
        return hop->outstanding == 0;
    return hop->answered + hop->outstanding < t->probes && hop->sent < t->attempts;
}

static bool settled(const struct tracer *t, const struct hop *hop) {
    return hop->outstanding == 0 && !wants_probe(t, hop);
}

/* Beyond an answer of the target, be it confirmed or not, no probe is sent. */
static int last_ttl(const struct tracer *t) {
    int last = t->end_ttl < t->held_ttl ? t->end_ttl : t->held_ttl;
    return last < t->max_ttl ? last : t->max_ttl;
}

static void add_record(struct tracer *t, struct hop_probe probe) {
    if (t->record_count == t->record_room) {
        t->record_room = t->record_room == 0 ? 16 : t->record_room * 2;
        t->records = mem_grow(t->records, t->record_room, sizeof *t->records);
    }
    t->records[t->record_count++] = (struct record){.probe = probe, .state = RECORD_OUT};
}

bool tracer_next(struct tracer *t, int64_t sent_us, unsigned *index, uint8_t *ttl) {
    if (t->ended)
        return false;
    int in_flight = 0;
    for (int at = t->floor; at <= last_ttl(t) && in_flight < t->window; at++) {
        struct hop *hop = hop_of(t, at);
        if (!wants_probe(t, hop)) {
            in_flight += hop->outstanding > 0;
            continue;
        }
        hop->sent += !hop->holds;
        hop->outstanding++;
        *index = t->record_count;
        *ttl = (uint8_t)at;
        add_record(t, (struct hop_probe){.ttl = *ttl, .rtt_us = -1, .sent_us = sent_us});
        t->records[*index].confirms = hop->holds;
        return true;
    }
    return false;
}

/* ---- outcomes --------------------------------------------------------------------------- */

/* Moves the floor over settled hops and ends the trace where a rule says so. */
static void advance(struct tracer *t) {
    while (!t->ended && t->floor <= last_ttl(t) && settled(t, hop_of(t, t->floor))) {
        t->gap = hop_of(t, t->floor)->answered > 0 ? 0 : t->gap + 1;
        int ttl = t->floor++;
        if (ttl == t->end_ttl)
            tracer_end(t, t->end_stop, NULL, "");
        else if (t->gap_limit > 0 && t->gap == t->gap_limit)
            tracer_end(t, STOP_GAP_LIMIT, NULL, "");
        else if (ttl == t->max_ttl)
            tracer_end(t, STOP_MAX_TTL, NULL, "");
    }
}

static struct record *take(struct tracer *t, unsigned index) {
    assert(index < t->record_count && t->records[index].state == RECORD_OUT);
    hop_of(t, t->records[index].probe.ttl)->outstanding--;
    return &t->records[index];
}

static void make_void(struct tracer *t, struct record *record) {
    record->state = RECORD_VOID;
    hop_of(t, record->probe.ttl)->sent -= !record->confirms;
}

/* A probe whose outcome in `probe` counts as an answer. */
static void believe(struct tracer *t, struct record *record) {
    const struct hop_probe *probe = &record->probe;
    record->state = RECORD_DONE;
    hop_of(t, probe->ttl)->answered++;
    if (probe->verdict != HOP_TTL_EXPIRED && probe->ttl < t->end_ttl) {
        t->end_ttl = probe->ttl;
        t->end_stop = STOP_UNREACHABLE;
    }
    if (probe->verdict == HOP_REPLY && probe->ttl == t->end_ttl)
        t->end_stop = STOP_REACHED; /* whatever others at this ttl say, and when */
}

static void hold(struct tracer *t, unsigned index) {
    int ttl = t->records[index].probe.ttl;
    struct hop *hop = hop_of(t, ttl);
    t->records[index].state = RECORD_HELD;
    hop->holds = true;
    hop->held = index;
    if (ttl < t->held_ttl)
        t->held_ttl = ttl;
}

/* The held answer of a ttl is believed, or turns out not to be the target's. */
static void let_go(struct tracer *t, int ttl, bool true_answer) {
    struct hop *hop = hop_of(t, ttl);
    struct record *record = &t->records[hop->held];
    hop->holds = false;
    hop->unconfirmed = 0;
    t->held_ttl = NO_END;
    for (int at = t->max_ttl; at >= t->floor; at--)
        if (hop_of(t, at)->holds)
            t->held_ttl = at;
    if (true_answer) {
        hop->confirmed = true;
        believe(t, record);
    } else {
        make_void(t, record);
    }
}

static void silent(struct tracer *t, unsigned index, enum hop_verdict verdict, const char *word) {
    struct record *record = take(t, index);
    struct hop *hop = hop_of(t, record->probe.ttl);
    if (record->confirms && hop->holds) {
        make_void(t, record);
        if (++hop->unconfirmed == TRACER_CONFIRMATIONS)
            let_go(t, record->probe.ttl, true);
        advance(t);
        return;
    }
    record->state = RECORD_DONE;
    record->probe.verdict = verdict;
    if (verdict == HOP_OTHER)
        (void)snprintf(record->probe.word, sizeof record->probe.word, "%s",
            hop_is_verdict(word) ? "answer-without-address" : word);
    advance(t);
}

static void answered(
    struct tracer *t, unsigned index, enum hop_verdict verdict, const struct mtr_reply *reply) {
    struct record *record = take(t, index);
    struct hop_probe *probe = &record->probe;
    struct hop *hop = hop_of(t, probe->ttl);
    probe->verdict = verdict;
    probe->addr = reply->addr;
    probe->rtt_us = reply->rtt_us < INT32_MAX ? (int32_t)reply->rtt_us : INT32_MAX;
    if (reply->mpls_count > 0) {
        probe->mpls = mem_copy(reply->mpls, reply->mpls_count * sizeof reply->mpls[0]);
        probe->mpls_count = reply->mpls_count;
    }
    if (verdict == HOP_REPLY && !addr_equal(&reply->addr, &t->dst))
        probe->flags |= HOP_OTHER_ADDRESS;
    if (t->tcp && verdict == HOP_REPLY && !hop->confirmed && !hop->holds) {
        hold(t, index);
        return;
    }
    if (hop->holds)
        let_go(t, probe->ttl, verdict == HOP_REPLY);
    if (record->confirms && hop->confirmed) {
        make_void(t, record); /* it has done what it was sent for */
    } else {
        hop->sent += record->confirms;
        record->confirms = false;
        believe(t, record);
    }
    advance(t);
}

/* Sends again without counting an attempt, as often as is allowed; then it is the prober's own
 * word that is reported. */
static void repeat(struct tracer *t, unsigned index, const struct mtr_reply *reply) {
    struct hop *hop = hop_of(t, t->records[index].probe.ttl);
    if (hop->repeats == TRACER_MAX_REPEATS) {
        silent(t, index, HOP_OTHER, reply->word);
        return;
    }
    hop->repeats++;
    make_void(t, take(t, index));
}

static void hopeless(struct tracer *t, unsigned index, enum result_stop stop, const char *code,
    const struct mtr_reply *reply) {
    char message[120], text[ADDR_TEXT];
    (void)snprintf(message, sizeof message, "mtr-packet says %s for %s", reply->word,
        addr_print(&t->dst, text));
    tracer_end(t, stop, code, message);
    silent(t, index, HOP_OTHER, reply->word);
}

void tracer_answer(struct tracer *t, unsigned index, const struct mtr_reply *reply) {
    switch (reply->class) {
    case MTR_REPLY:
        answered(t, index, HOP_REPLY, reply);
        break;
    case MTR_EXPIRED:
        answered(t, index, HOP_TTL_EXPIRED, reply);
        break;
    case MTR_UNREACHABLE:
        answered(t, index, HOP_UNREACHABLE, reply);
        break;
    case MTR_SILENT:
        silent(t, index, HOP_NO_REPLY, "");
        break;
    case MTR_NO_ROUTE:
        /* To TCP it is also what remains when an ICMP error reached the TCP socket before the
         * raw one: the answer came, and was lost inside the prober. */
        if (t->tcp)
            repeat(t, index, reply);
        else
            hopeless(t, index, STOP_NO_ROUTE, "unavailable", reply);
        break;
    case MTR_EXHAUSTED:
        repeat(t, index, reply);
        break;
    case MTR_DENIED:
        hopeless(t, index, STOP_DENIED, "denied", reply);
        break;
    case MTR_INVALID:
        hopeless(t, index, STOP_PROBER_ERROR, "bad-request", reply);
        break;
    case MTR_FEATURE:
    case MTR_TROUBLE:
        silent(t, index, HOP_OTHER, reply->word);
        break;
    }
}

void tracer_timeout(struct tracer *t, unsigned index) { silent(t, index, HOP_NO_REPLY, ""); }

void tracer_lost(struct tracer *t, unsigned index) { make_void(t, take(t, index)); }

void tracer_end(struct tracer *t, enum result_stop stop, const char *code, const char *message) {
    if (t->ended)
        return;
    t->ended = true;
    t->stop = stop;
    t->error_code = code;
    (void)snprintf(t->error_message, sizeof t->error_message, "%s", message);
}

bool tracer_ended(const struct tracer *t) { return t->ended; }

/* ---- what is reported ------------------------------------------------------------------- */

static bool in_view(const struct record *r, int from, int to) {
    return r->state == RECORD_DONE && r->probe.ttl >= from && r->probe.ttl <= to;
}

/* Copies the finished probes of from..to into the view, in order of ttl and, within one, of
 * sending: a counting sort. Attempts are numbered here, where the void ones are known. */
static const struct hop_probe *view(struct tracer *t, int from, int to, size_t *count) {
    unsigned at[NO_END + 1] = {0}, start[NO_END + 1];
    for (unsigned i = 0; i < t->record_count; i++)
        if (in_view(&t->records[i], from, to))
            at[t->records[i].probe.ttl + 1]++;
    for (int ttl = 1; ttl <= NO_END; ttl++)
        at[ttl] += at[ttl - 1];
    memcpy(start, at, sizeof start);
    *count = at[NO_END];
    t->view = mem_grow(t->view, *count, sizeof *t->view);
    for (unsigned i = 0; i < t->record_count; i++) {
        const struct record *r = &t->records[i];
        if (!in_view(r, from, to))
            continue;
        unsigned place = at[r->probe.ttl]++;
        t->view[place] = r->probe;
        t->view[place].attempt = (uint8_t)(place - start[r->probe.ttl] + 1);
    }
    return t->view;
}

const struct hop_probe *tracer_settled(struct tracer *t, size_t *count) {
    *count = 0;
    if (t->reported >= t->floor)
        return NULL;
    int ttl = t->reported++;
    return view(t, ttl, ttl, count);
}

const struct hop_probe *tracer_result(struct tracer *t, struct result_body *body, size_t *count) {
    body->stop = (int)t->stop;
    body->probes_sent = t->record_count;
    if (t->error_code != NULL) {
        (void)snprintf(body->error_code, sizeof body->error_code, "%s", t->error_code);
        (void)snprintf(body->error_message, sizeof body->error_message, "%s", t->error_message);
    }
    return view(t, t->first_ttl, t->floor - 1, count);
}
