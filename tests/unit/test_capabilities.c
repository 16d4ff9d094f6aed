/* capabilities: what a prober can do for a trace. Pure. */
#include "tests/unit/check.h"

#include "worker/session/capabilities.h"

#include <string.h>

static void expect_fits(
    const struct trace *t, int af, const char *version, const char *code, const char *message) {
    struct result_body body = {.stop = STOP_REACHED};
    unsigned protocols = 1U << TRACE_ICMP | 1U << TRACE_UDP | 1U << TRACE_TCP;
    bool fits = capabilities_check(t, af, protocols, version, &body);
    assert_int_equal(fits, code == NULL);
    if (fits)
        return;
    assert_int_equal(body.stop, STOP_PROBER_ERROR);
    assert_string_equal(body.error_code, code);
    assert_string_equal(body.error_message, message);
}

static void what_fits(void **state) {
    (void)state;
    struct trace t;
    trace_defaults(&t);
    expect_fits(&t, 4, "0.95", NULL, NULL);
    t.protocol = TRACE_SCTP;
    expect_fits(&t, 4, "0.95", "unavailable", "protocol: sctp: not supported by mtr-packet 0.95");
    t.protocol = TRACE_UDP;
    expect_fits(
        &t, 6, "0.93", "unavailable", "protocol: udp: mtr-packet 0.93 cannot send UDP over IPv6");
    t.port = 32999;
    expect_fits(&t, 4, "0.95", NULL, NULL);
    t.port = 33000;
    expect_fits(&t, 4, "0.95", "bad-request",
        "port: 33000: must be below 33000 for udp, since mtr-packet numbers its probes from there "
        "on");
    t.protocol = TRACE_TCP;
    expect_fits(&t, 4, "0.95", NULL, NULL);
    t.protocol = TRACE_UDP;
    t.port = 0;
    t.flow = 0;
    expect_fits(&t, 4, "0.95", NULL, NULL);
    expect_fits(
        &t, 6, "0.95", "unavailable", "flow: IPv6 needs mtr-packet 0.96, this worker has 0.95");
    expect_fits(&t, 6, "0.95-3-gabcdef0", "unavailable",
        "flow: IPv6 needs mtr-packet 0.96, this worker has 0.95-3-gabcdef0");
    expect_fits(&t, 6, "0.96", NULL, NULL);
    expect_fits(&t, 6, "0.96-3-gabcdef0", NULL, NULL);
    expect_fits(&t, 6, "0.100", NULL, NULL);
    expect_fits(&t, 6, "1.0", NULL, NULL);
    expect_fits(&t, 6, "", "unavailable", "flow: IPv6 needs mtr-packet 0.96, this worker has ");
    t.flow = -1;
    t.size = 47;
    expect_fits(&t, 4, "0.95", NULL, NULL);
    expect_fits(&t, 6, "0.95", "bad-request", "size: 47: must be 48..1500 for IPv6");
    t.size = 48;
    expect_fits(&t, 6, "0.95", NULL, NULL);
}

/* The edges of what a prober can do, and which of several errors is told. */
static void the_edges(void **state) {
    (void)state;
    struct trace t;
    trace_defaults(&t);
    /* only UDP ports can be mistaken for sequence numbers */
    for (t.protocol = TRACE_ICMP; t.protocol <= TRACE_TCP; t.protocol++) {
        t.port = 65535;
        expect_fits(&t, 4, "0.95", t.protocol == TRACE_UDP ? "bad-request" : NULL,
            "port: 65535: must be below 33000 for udp, since mtr-packet numbers its probes from "
            "there on");
    }
    /* the first version that keeps a flow constant over IPv4 is 0.93 */
    trace_defaults(&t);
    t.protocol = TRACE_UDP;
    t.flow = 1023;
    expect_fits(
        &t, 4, "0.92", "unavailable", "flow: IPv4 needs mtr-packet 0.93, this worker has 0.92");
    expect_fits(&t, 4, "0.93", NULL, NULL);
    /* a prober that supports no protocol */
    struct result_body body = {.stop = STOP_REACHED};
    assert_false(capabilities_check(&t, 4, 0, "0.95", &body));
    assert_string_equal(body.error_message, "protocol: udp: not supported by mtr-packet 0.95");
    /* a long version is cut */
    char version[400];
    memset(version, '9', sizeof version - 1);
    version[sizeof version - 1] = '\0';
    assert_false(capabilities_check(&t, 4, 0, version, &body));
    assert_int_equal(strlen(body.error_message), sizeof body.error_message - 1);
}

static void constant_flows(void **state) {
    (void)state;
    static const unsigned v4 = 1U << 4, v6 = 1U << 6, both = 1U << 4 | 1U << 6;
    static const struct {
        const char *version;
        unsigned families, protocols, flows;
    } cases[] = {
        {"0.92", both, 1U << TRACE_UDP, 0},
        {"0.93", both, 1U << TRACE_UDP, v4},
        {"0.95", both, 1U << TRACE_UDP | 1U << TRACE_ICMP, v4},
        {"0.96", both, 1U << TRACE_UDP, both},
        {"0.96", v4, 1U << TRACE_UDP, v4},
        {"0.96", v6, 1U << TRACE_UDP, v6},
        {"0.95", v6, 1U << TRACE_UDP, 0},
        {"0.96", both, 1U << TRACE_ICMP | 1U << TRACE_TCP, 0},
        {"", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(
            capabilities_flows(cases[i].version, cases[i].families, cases[i].protocols),
            cases[i].flows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits),
        cmocka_unit_test(the_edges),
        cmocka_unit_test(constant_flows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
