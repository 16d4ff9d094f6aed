/* metrics of the worker: its page, and why the worker is not ready. */
#include "tests/unit/check.h"

#include "tests/unit/wire_parse.h"
#include "worker/metrics.h"

#include <inttypes.h>
#include <string.h>

static struct mux *mux;
static struct agent *agents[2];
static struct metrics_session sessions[2];
static struct instant now = {1000000, 5000000};
static struct exposition e;

static bool to_broker(void *context, const void *bytes, size_t size) {
    (void)context;
    (void)bytes;
    (void)size;
    return true;
}

static size_t sources(void *context, struct addr list[SESSION_MAX_SOURCES]) {
    (void)context;
    (void)list;
    return 0;
}

static void say(void *context, const char *event, const char *detail) {
    (void)context;
    (void)event;
    (void)detail;
}

static void locate(void *context, int64_t lease, const struct trace *trace) {
    (void)context;
    (void)lease;
    (void)trace;
}

static int set_up(void **state) {
    (void)state;
    static const struct agent_config config = {.name = "w1", .capacity = 10};
    const struct agent_sink sink = {
        .to_broker = to_broker, .locate = locate, .sources = sources, .say = say};
    mux = mux_new(100, &(struct mux_sink){.context = NULL});
    for (int i = 0; i < 2; i++) {
        agents[i] = agent_new(&config, &sink, mux);
        sessions[i] = (struct metrics_session){i == 0 ? "ipc://a" : "ipc://b", agents[i]};
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        agent_destroy(&agents[i]);
    mux_destroy(&mux);
    exposition_free(&e);
    return 0;
}

static void prober_up(void) {
    mux_prober(mux, "0.95", now.mono_us);
    for (int i = 0; i < 2; i++)
        agent_prober_up(agents[i], "0.95", 1U << 4, 1, &now);
}

static void from_broker(struct agent *agent, const char *message) {
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    wire_parse_pack(&bytes, message);
    agent_message(agent, bytes.data, bytes.size, &now);
    msgpack_sbuffer_destroy(&bytes);
}

static void welcome(struct agent *agent) {
    from_broker(agent, "{'v':1,'op':'welcome','broker':'b1','epoch':1,'heartbeat_ms':1000,"
                       "'dead_ms':5000}");
}

static void why_it_does_not_serve(void **state) {
    (void)state;
    assert_string_equal(metrics_unready(mux, sessions, 2), "no prober");
    prober_up();
    assert_string_equal(metrics_unready(mux, sessions, 2), "no session with a broker");
    welcome(agents[1]);
    assert_null(metrics_unready(mux, sessions, 2));
    assert_string_equal(metrics_unready(mux, sessions, 1), "no session with a broker");
    mux_prober(mux, NULL, now.mono_us);
    assert_string_equal(metrics_unready(mux, sessions, 2), "no prober");
    agent_prober_trouble(agents[0], "it dies", &now);
    assert_string_equal(metrics_unready(mux, sessions, 2), "it dies");
    prober_up();
    assert_null(metrics_unready(mux, sessions, 2));
    agent_drain(agents[0], &now);
    assert_string_equal(metrics_unready(mux, sessions, 2), "draining");
}

static void has(const char *line) {
    char whole[200];
    exposition_clear(&e);
    metrics_put_worker(mux, sessions, 2, &e);
    exposition_append(&e, &(struct exposition){.text = (char[]){'\0'}, .size = 1});
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(e.text, whole) == NULL)
        fail_msg("%s is not in:\n%s", line, e.text);
}

static void has_value(const char *name, int64_t value) {
    char line[200];
    (void)snprintf(line, sizeof line, "%s %" PRId64, name, value);
    has(line);
}

static void numbers(void **state) {
    (void)state;
    has("hopmq_prober_up 0");
    prober_up();
    has("hopmq_prober_up 1");
    has("hopmq_session_open{broker=\"ipc://a\"} 0");
    welcome(agents[0]);
    has("hopmq_session_open{broker=\"ipc://a\"} 1");
    has("hopmq_session_open{broker=\"ipc://b\"} 0");
    mux_counters(mux)->verdicts[HOP_NO_REPLY] = 3;
    mux_counters(mux)->verdicts[HOP_OTHER] = 4;
    mux_counters(mux)->probes_sent = 5;
    has("hopmq_probes_total{verdict=\"no-reply\"} 3");
    has("hopmq_probes_total{verdict=\"other\"} 4");
    has("hopmq_probes_sent_total 5");
}

/* Traces are added up over all brokers, while they are held and when they have ended. */
static void traces(void **state) {
    (void)state;
    prober_up();
    for (int i = 0; i < 2; i++) {
        welcome(agents[i]);
        from_broker(agents[i], "{'v':1,'op':'trace','lease':7,'run':1,'deadline_ms':60000,"
                               "'trace':{'target':'192.0.2.1'}}");
    }
    has("hopmq_held_traces 2");
    for (int i = 0; i < 2; i++)
        from_broker(agents[i], "{'v':1,'op':'cancel','lease':7}");
    has("hopmq_held_traces 2");
    has("hopmq_traces_done_total 2");
    from_broker(agents[1], "{'v':1,'op':'done','lease':7}");
    has("hopmq_held_traces 1");
    has("hopmq_traces_done_total 2");
}

/* What each broker has of its own is added up, what the worker has once is not. */
static void each_counter_of_the_agents(void **state) {
    (void)state;
    int64_t value = 10;
#define X(name, scope, kind, metric, help)                                                         \
    agent_counters(agents[0])->name = value;                                                       \
    agent_counters(agents[1])->name = value++;
    AGENT_COUNTERS(X)
    value = 10;
#undef X
#define EACH 2
#define SHARED 1
#define X(name, scope, kind, metric, help) has_value(metric, scope *value++);
    AGENT_COUNTERS(X)
#undef X
#undef SHARED
#undef EACH
}

/* Each counter of the mux has its own value on the page. Gauges are measured when the page is made.
 */
static void each_counter_of_the_mux(void **state) {
    (void)state;
    struct mux_counters *c = mux_counters(mux);
    int64_t value = 1000;
#define X(name, kind, metric, help) c->name = value++;
    MUX_COUNTERS(X)
#undef X
    value = 1000;
#define COUNTER(metric) has_value(metric, value)
#define GAUGE(metric) has_value(metric, 0)
#define GAUGE_US(metric) has(metric " 0.000000")
#define X(name, kind, metric, help)                                                                \
    kind(metric);                                                                                  \
    value++;
    MUX_COUNTERS(X)
#undef X
#undef GAUGE_US
#undef GAUGE
#undef COUNTER
}

/* Prometheus refuses a page on which a sample stands twice. */
static void a_broker_that_was_given_twice(void **state) {
    (void)state;
    sessions[1].endpoint = "ipc://a";
    has("hopmq_held_traces 0");
    const char *first = strstr(e.text, "\nhopmq_session_open{");
    assert_non_null(first);
    assert_null(strstr(first + 1, "\nhopmq_session_open{"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(why_it_does_not_serve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_counter_of_the_mux, set_up, tear_down),
        cmocka_unit_test_setup_teardown(traces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_counter_of_the_agents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broker_that_was_given_twice, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
