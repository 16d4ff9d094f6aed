#include "tests/unit/agent_rig.h"

#include "tests/unit/wire_parse.h"

#include <stdlib.h>
#include <string.h>

static void stamp(struct rig *rig) {
    transcript_add(&rig->out, "%" PRId64 " ", rig->now.mono_us / MS);
}

/* Shows a text that begins with `head` and ends with `tail` as a word and what is between, if that
 * is all of it. */
static bool shorten(
    struct rig *rig, const char *text, const char *head, const char *tail, const char *word) {
    size_t size = strlen(text), head_size = strlen(head), tail_size = strlen(tail);
    if (rig->whole || size < head_size + tail_size || strncmp(text, head, head_size) != 0 ||
        strcmp(text + size - tail_size, tail) != 0)
        return false;
    int between = (int)(size - head_size - tail_size);
    transcript_add(&rig->out, "> %s [%.*s]\n", word, between, text + head_size);
    return true;
}

static void show(struct rig *rig, char *text) {
    char *stats = strstr(text, ",'stats'");
    if (!rig->whole && stats != NULL)
        *stats = '\0';
    if (!shorten(rig, text, RIG_HELLO_HEAD, RIG_HELLO_TAIL, "hello") &&
        !shorten(rig, text, "'heartbeat','leases':[", "]", "heartbeat"))
        transcript_add(&rig->out, "> %s\n", text);
}

static bool to_broker(void *context, const void *bytes, size_t size) {
    struct rig *rig = context;
    struct wire_error err;
    struct transcript message = {0};
    struct session_msg msg;
    if (!wire_doc_read(&rig->doc, bytes, size, SESSION_MAX_VALUES, &err) ||
        !session_get(&msg, &rig->doc, &err))
        fail_msg("a message that cannot be read: %s", err.message);
    wire_parse_add(&message, &rig->doc.root);
    stamp(rig);
    static const char head[] = "{'v':1,'op':";
    assert_memory_equal(message.at, head, sizeof head - 1);
    show(rig, message.at + sizeof head - 1);
    transcript_free(&message);
    return !rig->unconnected;
}

static void locate(void *context, int64_t lease, const struct trace *trace) {
    struct rig *rig = context;
    stamp(rig);
    transcript_add(&rig->out, "locate %" PRId64 " %s\n", lease, trace->target);
}

static size_t sources(void *context, struct addr list[SESSION_MAX_SOURCES]) {
    struct rig *rig = context;
    return addr_parse(&list[0], rig->source);
}

static void name(void *context, int64_t lease, const struct addr *addr) {
    struct rig *rig = context;
    char text[ADDR_TEXT];
    stamp(rig);
    transcript_add(&rig->out, "name %" PRId64 " %s\n", lease, addr_print(addr, text));
    if (rig->known)
        agent_named(rig->agent, lease, addr, "known.example", &rig->now);
}

static void log_line(void *context, const char *event, const char *detail) {
    struct rig *rig = context;
    stamp(rig);
    transcript_add(&rig->out, "log %s: %s\n", event, detail);
}

static void on_send(void *context, const char *line, size_t size) {
    struct rig *rig = context;
    (void)size;
    assert_true(rig->sent < MAX_SENT);
    rig->tokens[rig->sent++] = (int32_t)strtol(line, NULL, 10);
}

static void on_stuck(void *context) { log_line(context, "stuck", ""); }

static bool on_seq_check(void *context, struct addr *from, struct addr *to, uint16_t *to_port) {
    (void)context;
    (void)from;
    (void)to;
    (void)to_port;
    return false;
}

static struct rig *rig_new(int64_t capacity) {
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->now = (struct instant){10 * SECOND, WALL};
    rig->source = "198.51.100.2";
    assert_true(wire_doc_init(&rig->doc));
    msgpack_sbuffer_init(&rig->bytes);
    rig->mux = mux_new(
        0, &(struct mux_sink){rig, on_send, agent_on_hop, agent_on_done, on_stuck, on_seq_check});
    struct agent_config config = {.name = "ams1", .capacity = capacity};
    assert_true(labels_add(&config.labels, "site=ams"));
    rig->agent = agent_new(
        &config, &(struct agent_sink){rig, to_broker, locate, sources, name, log_line}, rig->mux);
    return rig;
}

int rig_teardown(void **state) {
    struct rig *rig = *state;
    agent_destroy(&rig->agent);
    mux_destroy(&rig->mux);
    wire_doc_free(&rig->doc);
    msgpack_sbuffer_destroy(&rig->bytes);
    transcript_free(&rig->out);
    free(rig);
    return 0;
}

void from_broker(struct rig *rig, const char *message) {
    struct transcript text = {0};
    transcript_add(&text, "{'v': 1, 'op': %s}", message);
    msgpack_sbuffer_clear(&rig->bytes);
    wire_parse_pack(&rig->bytes, text.at);
    agent_message(rig->agent, rig->bytes.data, rig->bytes.size, &rig->now);
    transcript_free(&text);
}

void pass(struct rig *rig, int64_t us) {
    rig->now.mono_us += us;
    rig->now.wall_us += us;
}

/* As the shell: from one wake-up to the next. */
void run_for(struct rig *rig, int64_t us) {
    int64_t until = rig->now.mono_us + us;
    for (;;) {
        int64_t next = agent_next(rig->agent), probing = mux_next(rig->mux, rig->now.mono_us);
        next = probing < next ? probing : next;
        bool last = next > until;
        next = last ? until : next < rig->now.mono_us ? rig->now.mono_us : next;
        pass(rig, next - rig->now.mono_us);
        agent_tick(rig->agent, &rig->now);
        mux_tick(rig->mux, rig->now.mono_us);
        if (last)
            return;
    }
}

void expect(struct rig *rig, const char *expected) {
    assert_true(transcript_is(&rig->out, expected));
    transcript_clear(&rig->out);
}

void prober_up(struct rig *rig) {
    mux_prober(rig->mux, "0.95", rig->now.mono_us);
    agent_prober_up(
        rig->agent, "0.95", 1U << 4 | 1U << 6, 1U << TRACE_ICMP | 1U << TRACE_UDP, &rig->now);
}

void located(struct rig *rig, int64_t lease) {
    struct agent_location where = {.error_code = ""};
    assert_true(addr_parse(&where.dst, "192.0.2.1"));
    assert_true(addr_parse(&where.src, "198.51.100.2"));
    agent_located(rig->agent, lease, &where, &rig->now);
    mux_tick(rig->mux, rig->now.mono_us);
}

void say(struct rig *rig, unsigned number, const char *rest) {
    char line[200];
    struct mtr_reply reply;
    assert_true(number < rig->sent);
    (void)snprintf(line, sizeof line, "%d %s", rig->tokens[number], rest);
    assert_true(mtr_line_parse(&reply, line, strlen(line)));
    mux_reply(rig->mux, &reply, rig->now.mono_us);
}

void play_to_the_end(struct rig *rig) {
    run_for(rig, 2 * MS);
    located(rig, 7);
    run_for(rig, 1 * MS);
    say(rig, 0, "ttl-expired ip-4 10.0.0.1 round-trip-time 0");
    mux_tick(rig->mux, rig->now.mono_us);
    run_for(rig, 1 * MS);
    say(rig, 1, REPLY);
}

void named(struct rig *rig, int64_t lease, const char *addr, const char *name) {
    struct addr known;
    assert_true(addr_parse(&known, addr));
    agent_named(rig->agent, lease, &known, name, &rig->now);
}

int rig_setup(void **state) {
    *state = rig_new(2);
    return 0;
}

static int rig_open(void **state, int64_t capacity) {
    struct rig *rig = rig_new(capacity);
    *state = rig;
    prober_up(rig);
    from_broker(rig, WELCOME);
    transcript_clear(&rig->out);
    return 0;
}

int rig_setup_open(void **state) { return rig_open(state, 2); }

int rig_setup_three(void **state) { return rig_open(state, 3); }

int rig_setup_naming(void **state) {
    (void)rig_setup_open(state);
    struct rig *rig = *state;
    from_broker(rig, TRACE(7, NAMES));
    play_to_the_end(rig);
    expect(rig, "10000 locate 7 192.0.2.1\n" ASKED);
    return 0;
}
