#include "tests/unit/mux_rig.h"

/* Where all probes come from. */
#define SOURCE "198.51.100.2"

/* The number after `name` in a probe line, 0 if it has none. */
static long argument(const char *line, const char *name) {
    const char *at = strstr(line, name);
    return at != NULL ? strtol(at + strlen(name), NULL, 10) : 0;
}

static void on_send(void *context, const char *line, size_t size) {
    struct rig *rig = context;
    assert_true(rig->sent < MAX_SENT && size < MTR_LINE_BYTES);
    if (strtol(line, NULL, 10) == MTR_TOKEN_SKIP) {
        rig->skipped++;
        return;
    }
    if (strtol(line, NULL, 10) == MTR_TOKEN_HEALTH) {
        rig->asked++;
        return;
    }
    char text[MTR_LINE_BYTES + 1];
    memcpy(text, line, size);
    text[size] = '\0';
    rig->tokens[rig->sent] = (int32_t)strtol(text, NULL, 10);
    rig->ttl[rig->sent] = (uint8_t)argument(text, " ttl ");
    rig->target[rig->sent] = (uint8_t)argument(text, "ip-4 192.0.2.");
    rig->local_port[rig->sent] = (uint16_t)argument(text, " local-port ");
    rig->tcp[rig->sent] = strstr(text, " protocol tcp ") != NULL;
    rig->sent_us[rig->sent++] = rig->now_us;
    if (rig->quiet)
        return;
    /* The token is the mux's own affair, and so is what all probes have in common. */
    static const char command[] = " send-probe ip-4 192.0.2.",
                      way[] = " local-ip-4 " SOURCE " protocol";
    const char *rest = strchr(text, ' '), *at = strstr(text, way);
    if (strncmp(rest, command, sizeof command - 1) == 0 && at != NULL) {
        rest += sizeof command - 1;
        transcript_add(&rig->out, "%" PRId64 " #%u to .%.*s%s", rig->now_us, rig->sent - 1,
            (int)(at - rest), rest, at + sizeof way - 1);
    } else {
        transcript_add(&rig->out, "%" PRId64 " #%u%s", rig->now_us, rig->sent - 1, rest);
    }
}

static void on_hop(void *context, void *owner, const struct hop_probe *probes, size_t count) {
    struct rig *rig = context;
    transcript_add(
        &rig->out, "%" PRId64 " %s hop %d:", rig->now_us, (const char *)owner, probes[0].ttl);
    for (size_t i = 0; i < count; i++) {
        transcript_add(&rig->out, " %s", hop_verdict_name(&probes[i]));
        if (probes[i].rtt_us >= 0)
            transcript_add(&rig->out, " %d", probes[i].rtt_us);
    }
    transcript_add(&rig->out, "\n");
    rig->flags = probes[count - 1].flags;
}

static void on_done(void *context, void *owner, const struct result_body *end,
    const struct hop_probe *probes, size_t count, int64_t now_us) {
    struct rig *rig = context;
    (void)probes;
    assert_int_equal(now_us, rig->now_us);
    transcript_add(&rig->out,
        "%" PRId64 " %s ends: %s, %" PRId64 " sent, %zu probes, %s from %s%s%s\n", now_us,
        (const char *)owner, result_stop_names[end->stop], end->probes_sent, count, end->dst,
        end->src, end->error_code[0] ? ", " : "", end->error_message);
}

struct addr addr(const char *text) {
    struct addr a;
    assert_true(addr_parse(&a, text));
    return a;
}

static bool on_seq_check(void *context, struct addr *from, struct addr *to, uint16_t *to_port) {
    const struct rig *rig = context;
    *to = addr("127.0.0.1");
    *from = addr("127.1.2.3");
    *to_port = 12345;
    return rig->hears;
}

static void on_stuck(void *context) {
    struct rig *rig = context;
    rig->stuck++;
    transcript_add(&rig->out, "%" PRId64 " stuck\n", rig->now_us);
}

static struct rig *rig_make(int64_t pps, uint32_t common, uint32_t older, const char *version) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->now_us = SECOND;
    rig->mux =
        mux_new(pps, &(struct mux_sink){rig, on_send, on_hop, on_done, on_stuck, on_seq_check});
    mux_range(rig->mux, common, older);
    mux_prober(rig->mux, version, rig->now_us);
    return rig;
}

struct rig *rig_of(int64_t pps, const char *version) {
    return rig_make(pps, SEQUENCE_COMMON, SEQUENCE_OLDER, version);
}

struct rig *rig_new(int64_t pps) {
    return rig_of(pps, "0.95");
}

struct rig *rig_with_numbers(uint32_t count) {
    struct rig *rig = rig_make(0, count, 0, "0.95");
    rig->quiet = true;
    return rig;
}

void rig_end(struct rig *rig) {
    mux_destroy(&rig->mux);
    transcript_free(&rig->out);
    free(rig);
}

struct trace options(void) {
    struct trace t;
    trace_defaults(&t);
    t.attempts = 1;
    t.window = 1;
    t.progress = true; /* its hops are told */
    return t;
}

struct mux_job *add_until(
    struct rig *rig, char *name, const struct trace *with, int64_t deadline_us) {
    const struct addr dst = addr("192.0.2.1"), src = addr(SOURCE);
    return mux_add(rig->mux, with, &dst, &src, name, deadline_us, rig->now_us);
}

struct mux_job *add_to(struct rig *rig, uint8_t number, char *name, const struct trace *with) {
    const struct addr dst = {4, {192, 0, 2, number}}, src = addr(SOURCE);
    return mux_add(rig->mux, with, &dst, &src, name, FOREVER, rig->now_us);
}

struct mux_job *add(struct rig *rig, char *name, const struct trace *with) {
    return add_until(rig, name, with, FOREVER);
}

void tick(struct rig *rig) {
    mux_tick(rig->mux, rig->now_us);
    while (rig->asked > 0 && !rig->hangs) {
        rig->asked--;
        mux_reply(rig->mux, &(struct mtr_reply){.token = MTR_TOKEN_HEALTH}, rig->now_us);
        mux_tick(rig->mux, rig->now_us);
    }
}

void pass(struct rig *rig, int64_t us) {
    rig->now_us += us;
    tick(rig);
}

void run_for(struct rig *rig, int64_t us) {
    int64_t until = rig->now_us + us;
    for (;;) {
        int64_t next = mux_next(rig->mux, rig->now_us);
        if (next > until)
            break;
        rig->now_us = next > rig->now_us ? next : rig->now_us;
        tick(rig);
    }
    rig->now_us = until;
    tick(rig);
}

void say(struct rig *rig, unsigned number, const char *rest) {
    char line[200];
    struct mtr_reply reply;
    assert_true(number < rig->sent);
    (void)snprintf(line, sizeof line, "%d %s", rig->tokens[number], rest);
    assert_true(mtr_line_parse(&reply, line, strlen(line)));
    mux_reply(rig->mux, &reply, rig->now_us);
}

void expect(struct rig *rig, const char *expected) {
    assert_true(transcript_is(&rig->out, expected));
    transcript_clear(&rig->out);
}

int shown(const struct rig *rig, const char *what) {
    int found = 0;
    for (const char *at = rig->out.at; at != NULL && (at = strstr(at, what)) != NULL; at++)
        found++;
    return found;
}
