#include "worker/probing/tracer_state.h"

#include "common/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tracer *tracer_new(const struct trace *options, const struct addr *dst, int distance) {
    size_t hops = (size_t)(options->max_ttl - options->first_ttl + 1);
    struct tracer *t = mem_new(1, sizeof *t + hops * sizeof t->hops[0]);
    t->dst = *dst;
    t->first_ttl = t->floor = t->reported = (int)options->first_ttl;
    t->max_ttl = (int)options->max_ttl;
    t->probes = (int)options->probes;
    t->attempts = (int)options->attempts;
    t->gap_limit = (int)options->gap_limit;
    t->loop_limit = (int)options->loop_limit;
    t->window = (int)options->window;
    t->distance = distance;
    t->timeout_us = options->timeout_ms * 1000;
    t->tcp_like = trace_is_tcp_like(options->protocol);
    t->seen = t->first_ttl - 1;
    t->end_ttl = t->held_ttl = NO_END;
    for (size_t i = 0; i < hops; i++)
        t->hops[i].first_sent_us = -1;
    return t;
}

void tracer_destroy(struct tracer **tracer) {
    struct tracer *t = *tracer;
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->record_count; i++)
        free(t->records[i].more);
    free(t->records);
    free(t->view);
    free(t);
    *tracer = NULL;
}

static struct hop *hop_of(struct tracer *t, int ttl) { return &t->hops[ttl - t->first_ttl]; }

/* ---- outcomes --------------------------------------------------------------------------- */

/* The first router that answered at ttl, or NULL. */
static const struct addr *responder_at(struct tracer *t, int ttl) {
    unsigned responder = hop_of(t, ttl)->responder;
    return responder > 0 ? &t->records[responder - 1].addr : NULL;
}

/* True if the responder at ttl has answered at a lower ttl, and another one in between. */
static bool loops_back(struct tracer *t, int ttl) {
    const struct addr *responder = responder_at(t, ttl);
    bool another = false;
    while (responder != NULL && --ttl >= t->first_ttl) {
        const struct addr *earlier = responder_at(t, ttl);
        bool same = earlier != NULL && addr_equal(earlier, responder);
        if (same && another)
            return true;
        if (same)
            return false;
        another |= earlier != NULL;
    }
    return false;
}

/* Moves the floor over settled hops and ends the trace where a rule says so. */
static void advance(struct tracer *t) {
    while (
        !t->ended && t->floor <= tracer_last_ttl(t) && tracer_hop_settled(t, hop_of(t, t->floor))) {
        t->gap = hop_of(t, t->floor)->answered > 0 ? 0 : t->gap + 1;
        int ttl = t->floor++;
        if (ttl == t->end_ttl)
            tracer_end(t, t->end_stop, NULL, "");
        else if (t->gap_limit > 0 && t->gap == t->gap_limit)
            tracer_end(t, STOP_GAP_LIMIT, NULL, "");
        else if (t->loop_limit > 0 && loops_back(t, ttl) && ++t->loops == t->loop_limit)
            tracer_end(t, STOP_LOOP, NULL, "");
        else if (ttl == t->max_ttl)
            tracer_end(t, STOP_MAX_TTL, NULL, "");
    }
}

static struct record *tracer_take(struct tracer *t, unsigned index) {
    assert(index < t->record_count && t->records[index].state == RECORD_OUT);
    hop_of(t, t->records[index].ttl)->outstanding--;
    return &t->records[index];
}

static void make_void(struct tracer *t, struct record *record) {
    struct hop *hop = hop_of(t, record->ttl);
    record->state = RECORD_VOID;
    hop->sent -= !record->confirms;
    if (hop->sent == 0)
        hop->first_sent_us = -1;
}

/* The record is an answer that counts. */
static void believe(struct tracer *t, struct record *record) {
    struct hop *hop = hop_of(t, record->ttl);
    record->state = RECORD_DONE;
    hop->answered++;
    hop->doubts = 0;
    if (record->verdict == HOP_TTL_EXPIRED && hop->responder == 0)
        hop->responder = (unsigned)(record - t->records) + 1;
    if (record->verdict == HOP_TTL_EXPIRED && record->ttl > t->seen)
        t->seen = record->ttl;
    if (record->rtt_us > t->longest_us)
        t->longest_us = record->rtt_us;
    if (record->verdict != HOP_TTL_EXPIRED && record->ttl < t->end_ttl) {
        t->end_ttl = record->ttl;
        t->end_stop = STOP_UNREACHABLE;
    }
    if (record->verdict == HOP_REPLY && record->ttl == t->end_ttl)
        t->end_stop = STOP_REACHED; /* whatever others at this ttl say, and when */
}

static void hold(struct tracer *t, unsigned index) {
    int ttl = t->records[index].ttl;
    struct hop *hop = hop_of(t, ttl);
    t->records[index].state = RECORD_HELD;
    hop->confirmation = CONFIRM_HELD;
    hop->doubts = 0;
    hop->held = index;
    if (ttl < t->held_ttl)
        t->held_ttl = ttl;
}

/* The held answer of a ttl is believed, or turns out not to be the target's. */
static void let_go(struct tracer *t, int ttl, bool sure) {
    struct hop *hop = hop_of(t, ttl);
    struct record *record = &t->records[hop->held];
    hop->confirmation = sure ? CONFIRM_SURE : CONFIRM_PAIRED;
    hop->unconfirmed = 0;
    t->held_ttl = NO_END;
    for (int at = t->max_ttl; at >= t->floor; at--)
        if (hop_of(t, at)->confirmation == CONFIRM_HELD)
            t->held_ttl = at;
    if (sure) {
        hop->sent += record->confirms;
        record->confirms = false;
        believe(t, record);
    } else {
        make_void(t, record);
    }
}

static void note_word(struct record *record, const char *word) {
    record->more = mem_copy(word, strlen(word) + 1);
}

static void tracer_silent(
    struct tracer *t, unsigned index, enum hop_verdict verdict, const char *word) {
    struct record *record = tracer_take(t, index);
    struct hop *hop = hop_of(t, record->ttl);
    if (record->confirms) {
        make_void(t, record);
        if (hop->confirmation == CONFIRM_HELD && ++hop->unconfirmed == TRACER_CONFIRMATIONS)
            let_go(t, record->ttl, true);
        advance(t);
        return;
    }
    record->state = RECORD_DONE;
    record->verdict = (uint8_t)verdict;
    if (verdict == HOP_OTHER)
        note_word(record, hop_is_verdict(word) ? "answer-without-address" : word);
    advance(t);
}

/* Fills in an answer. rtt_us is -1 where the reply's cannot be trusted. */
static void fill_in(struct tracer *t, struct record *record, enum hop_verdict verdict,
    const struct mtr_reply *reply, int64_t rtt_us, unsigned flags) {
    record->verdict = (uint8_t)verdict;
    record->addr = reply->addr;
    record->rtt_us = rtt_us < INT32_MAX ? (int32_t)rtt_us : INT32_MAX;
    record->flags = (uint8_t)flags;
    if (reply->mpls_count > 0) {
        record->more = mem_copy(reply->mpls, reply->mpls_count * sizeof reply->mpls[0]);
        record->mpls_count = reply->mpls_count;
    }
    if (verdict == HOP_REPLY && !addr_equal(&reply->addr, &t->dst))
        record->flags |= HOP_OTHER_ADDRESS;
    if (rtt_us > t->timeout_us)
        record->flags |= HOP_LATE;
    if (t->tcp_like && rtt_us >= TRACER_SYN_AGAIN_US)
        record->flags |= HOP_SYN_RETRANSMIT;
}

/* True for an answer whose hop has all that it needs. A probe that was sent to confirm another one
 * counts as an attempt only if its own answer is needed. */
static bool surplus(const struct tracer *t, const struct hop *hop, const struct record *record) {
    bool enough = hop->answered >= t->probes;
    if (record->confirms)
        return enough || hop->confirmation == CONFIRM_SURE || hop->sent >= t->attempts;
    return enough && hop->confirmation != CONFIRM_OPEN;
}

static void tracer_heard(struct tracer *t, unsigned index, enum hop_verdict verdict,
    const struct mtr_reply *reply, int64_t rtt_us, unsigned flags) {
    struct record *record = tracer_take(t, index);
    struct hop *hop = hop_of(t, record->ttl);
    fill_in(t, record, verdict, reply, rtt_us, flags);
    if (t->tcp_like && verdict == HOP_REPLY && hop->confirmation < CONFIRM_HELD) {
        hold(t, index);
        return;
    }
    if (hop->confirmation == CONFIRM_HELD)
        let_go(t, record->ttl, verdict == HOP_REPLY);
    if (surplus(t, hop, record)) {
        make_void(t, record); /* it has done what it was sent for */
    } else {
        hop->sent += record->confirms;
        record->confirms = false;
        believe(t, record);
    }
    advance(t);
}

/* Has the hop asked again without counting an attempt. False if it was TRACER_MAX_REPEATS times. */
static bool send_again(struct tracer *t, unsigned index) {
    struct hop *hop = hop_of(t, t->records[index].ttl);
    if (hop->repeats == TRACER_MAX_REPEATS)
        return false;
    hop->repeats++;
    tracer_lost(t, index);
    return true;
}

static void hopeless(struct tracer *t, unsigned index, enum result_stop stop, const char *code,
    const struct mtr_reply *reply) {
    char message[120], text[ADDR_TEXT];
    if (reply->class == MTR_TOO_LONG)
        (void)snprintf(message, sizeof message,
            "size: longer than the interface's MTU, and this mtr-packet does not fragment");
    else
        (void)snprintf(message, sizeof message, "mtr-packet says %s for %s", reply->word,
            addr_print(&t->dst, text));
    tracer_end(t, stop, code, message);
    tracer_silent(t, index, HOP_OTHER, reply->word);
}

/* The hop is asked again. If it was TRACER_MAX_REPEATS times, the prober's word is reported; but if
 * the host cannot send and nothing has ever answered, the trace ends. */
static void repeat(struct tracer *t, unsigned index, const struct mtr_reply *reply) {
    bool heard = t->seen >= t->first_ttl || t->end_ttl < NO_END || t->held_ttl < NO_END;
    if (send_again(t, index))
        return;
    if (reply->class == MTR_NO_ROUTE && !heard)
        hopeless(t, index, STOP_NO_ROUTE, "unavailable", reply);
    else
        tracer_silent(t, index, HOP_OTHER, reply->word);
}

/* What an answer of this class means to a hop; HOP_NO_REPLY: it is none. */
static enum hop_verdict verdict_of(enum mtr_class class) {
    switch (class) {
    case MTR_REPLY:
        return HOP_REPLY;
    case MTR_EXPIRED:
        return HOP_TTL_EXPIRED;
    case MTR_UNREACHABLE:
        return HOP_UNREACHABLE;
    default:
        return HOP_NO_REPLY;
    }
}

void tracer_answer(
    struct tracer *t, unsigned index, const struct mtr_reply *reply, unsigned flags) {
    switch (reply->class) {
    case MTR_REPLY:
    case MTR_EXPIRED:
    case MTR_UNREACHABLE:
        tracer_heard(t, index, verdict_of(reply->class), reply, reply->rtt_us, flags);
        break;
    case MTR_SILENT:
        tracer_silent(t, index, HOP_NO_REPLY, "");
        break;
    case MTR_NO_ROUTE:
        /* To TCP it is also what remains when an ICMP error reached the TCP socket before the
         * raw one: the answer came, and was lost inside the prober. */
        if (t->tcp_like)
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
    case MTR_TOO_LONG:
    case MTR_INVALID:
        hopeless(t, index, STOP_PROBER_ERROR, "bad-request", reply);
        break;
    case MTR_FEATURE:
    case MTR_TROUBLE:
        tracer_silent(t, index, HOP_OTHER, reply->word);
        break;
    }
}

void tracer_untimed(struct tracer *t, unsigned index, const struct mtr_reply *reply) {
    enum hop_verdict verdict = verdict_of(reply->class);
    if (send_again(t, index))
        return;
    if (verdict == HOP_NO_REPLY)
        tracer_silent(t, index, verdict, "");
    else
        tracer_heard(t, index, verdict, reply, -1, HOP_CLOCK_STEP);
}

bool tracer_may_doubt(const struct tracer *t, unsigned index) {
    return t->hops[t->records[index].ttl - t->first_ttl].doubts < TRACER_MAX_DOUBTS;
}

void tracer_doubted(struct tracer *t, unsigned index) {
    hop_of(t, t->records[index].ttl)->doubts++;
    tracer_lost(t, index);
}

bool tracer_late(struct tracer *t, unsigned index, const struct mtr_reply *reply, unsigned flags) {
    struct record *record = &t->records[index];
    enum hop_verdict verdict = verdict_of(reply->class);
    /* An answer to TCP would have to be confirmed, which is not worth it. */
    if (t->ended || t->tcp_like || verdict == HOP_NO_REPLY || record->ttl < t->floor ||
        record->state != RECORD_DONE || record->verdict != HOP_NO_REPLY ||
        hop_of(t, record->ttl)->answered >= t->probes)
        return false;
    fill_in(t, record, verdict, reply, reply->rtt_us, flags | HOP_LATE);
    believe(t, record);
    advance(t);
    return true;
}

void tracer_timeout(struct tracer *t, unsigned index) { tracer_silent(t, index, HOP_NO_REPLY, ""); }

void tracer_lost(struct tracer *t, unsigned index) {
    make_void(t, tracer_take(t, index));
    advance(t); /* a late answer may be all that its hop still needed */
}

void tracer_end(struct tracer *t, enum result_stop stop, const char *code, const char *message) {
    if (t->ended)
        return;
    t->ended = true;
    t->stop = stop;
    t->error_code = code;
    (void)snprintf(t->error_message, sizeof t->error_message, "%s", message);
}

bool tracer_ended(const struct tracer *t) { return t->ended; }

int tracer_distance(const struct tracer *t) {
    return t->end_ttl < NO_END && t->end_stop == STOP_REACHED ? t->end_ttl : 0;
}

unsigned tracer_beyond(const struct tracer *t) {
    unsigned beyond = 0;
    for (unsigned i = 0; i < t->record_count; i++)
        beyond += t->records[i].ttl >= t->floor;
    return beyond;
}

/* ---- what is reported ------------------------------------------------------------------- */

static bool in_view(const struct record *r, int from, int to) {
    return r->state == RECORD_DONE && r->ttl >= from && r->ttl <= to;
}

static void show_probe(struct hop_probe *probe, const struct record *r) {
    *probe = (struct hop_probe){.ttl = r->ttl,
        .flags = r->flags,
        .mpls_count = r->mpls_count,
        .addr = r->addr,
        .rtt_us = r->rtt_us,
        .sent_us = r->sent_us,
        .verdict = (enum hop_verdict)r->verdict};
    if (probe->verdict == HOP_OTHER)
        (void)snprintf(probe->word, sizeof probe->word, "%s", (const char *)r->more);
    else
        probe->mpls = r->more;
}

/* Copies the finished probes of from..to into the view, in order of ttl and, within one, of
 * sending: a counting sort. Attempts are numbered here, where the void ones are known. */
static const struct hop_probe *view_of(struct tracer *t, int from, int to, size_t *count) {
    unsigned at[NO_END + 1];
    memset(at + from, 0, (size_t)(to - from + 2) * sizeof at[0]);
    for (unsigned i = 0; i < t->record_count; i++)
        if (in_view(&t->records[i], from, to))
            at[t->records[i].ttl + 1]++;
    for (int ttl = from; ttl <= to; ttl++)
        at[ttl + 1] += at[ttl];
    *count = at[to + 1];
    if (t->view == NULL || t->view_room < *count) {
        t->view_room = *count;
        t->view = mem_grow(t->view, t->view_room, sizeof *t->view);
    }
    for (unsigned i = 0; i < t->record_count; i++) {
        const struct record *r = &t->records[i];
        if (in_view(r, from, to))
            show_probe(&t->view[at[r->ttl]++], r);
    }
    for (size_t i = 0; i < *count; i++) {
        bool again = i > 0 && t->view[i].ttl == t->view[i - 1].ttl;
        t->view[i].attempt = again ? (uint8_t)(t->view[i - 1].attempt + 1) : 1;
    }
    return t->view;
}

const struct hop_probe *tracer_settled(struct tracer *t, size_t *count) {
    *count = 0;
    if (t->reported >= t->floor)
        return NULL;
    int ttl = t->reported++;
    return view_of(t, ttl, ttl, count);
}

const struct hop_probe *tracer_result(struct tracer *t, struct result_body *body, size_t *count) {
    body->stop = (int)t->stop;
    body->probes_sent = t->record_count;
    if (t->error_code != NULL) {
        (void)snprintf(body->error_code, sizeof body->error_code, "%s", t->error_code);
        (void)snprintf(body->error_message, sizeof body->error_message, "%s", t->error_message);
    }
    return view_of(t, t->first_ttl, t->floor - 1, count);
}
