/* flows: which local port a trace with a flow gets. */
#include "tests/unit/check.h"

#include "tests/unit/rng.h"
#include "worker/probing/flows.h"
#include "worker/session/capabilities.h"

#include <string.h>

static const struct addr ONE = {4, {192, 0, 2, 1}}, TWO = {4, {192, 0, 2, 2}};

static void ports_are_clear_of_the_prober(void **state) {
    (void)state;
    assert_true(FLOWS_FIRST_PORT >= 1024); /* mtr-packet refuses those below */
    assert_true(
        FLOWS_FIRST_PORT + FLOWS - 1 + (FLOWS_AT_ONCE - 1) * FLOWS < CAPABILITIES_PORT_LIMIT);
}

/* One target: a port each, in a fixed order; another target has ports of its own. */
static void a_port_each(void **state) {
    (void)state;
    struct flows flows;
    static struct flow_use uses[FLOWS_AT_ONCE + 1], other;
    memset(uses, 0, sizeof uses);
    memset(&other, 0, sizeof other);
    flows_init(&flows);
    for (int i = 0; i < FLOWS_AT_ONCE; i++) {
        assert_true(flows_take(&flows, &uses[i], &ONE, 1023));
        assert_int_equal(uses[i].port, FLOWS_FIRST_PORT + 1023 + i * FLOWS);
    }
    assert_false(flows_take(&flows, &uses[FLOWS_AT_ONCE], &ONE, 1023));
    assert_int_equal(uses[FLOWS_AT_ONCE].port, 0);
    assert_true(flows_take(&flows, &other, &TWO, 1023));
    assert_int_equal(other.port, FLOWS_FIRST_PORT + 1023);
    /* a port that is given back is the next one's; giving back twice is harmless */
    flows_release(&flows, &uses[5]);
    flows_release(&flows, &uses[5]);
    flows_release(&flows, &uses[FLOWS_AT_ONCE]);
    assert_true(flows_take(&flows, &uses[FLOWS_AT_ONCE], &ONE, 1023));
    assert_int_equal(uses[FLOWS_AT_ONCE].port, FLOWS_FIRST_PORT + 1023 + 5 * FLOWS);
    assert_false(flows_take(&flows, &uses[5], &ONE, 1023));
}

/* The families do not share ports, even where their first bytes are the same. */
static void families_are_apart(void **state) {
    (void)state;
    struct flows flows;
    struct flow_use four = {.port = 0}, six = {.port = 0};
    struct addr v4 = {4, {0x20, 1, 0xd, 0xb8}}, v6 = {6, {0x20, 1, 0xd, 0xb8}};
    flows_init(&flows);
    assert_true(flows_take(&flows, &four, &v4, 0));
    assert_true(flows_take(&flows, &six, &v6, 0));
    assert_int_equal(four.port, six.port);
}

/* Random takes and releases: no port is anybody's twice, and none is lost. */
static void no_port_twice(void **state) {
    (void)state;
    uint64_t rng = rng_seed("no_port_twice");
    struct flows flows;
    static struct flow_use uses[300];
    memset(uses, 0, sizeof uses);
    flows_init(&flows);
    for (int step = 0; step < 20000; step++) {
        struct flow_use *use = &uses[rng_below(&rng, 300)];
        struct addr target = rng_below(&rng, 2) ? ONE : TWO;
        int flow = (int)rng_below(&rng, 5), taken = 0;
        if (use->port != 0) {
            flows_release(&flows, use);
            assert_int_equal(use->port, 0);
            continue;
        }
        for (int i = 0; i < 300; i++)
            taken += uses[i].port != 0 && (uses[i].port - FLOWS_FIRST_PORT) % FLOWS == flow &&
                     addr_equal(&uses[i].target, &target);
        assert_int_equal(flows_take(&flows, use, &target, flow), taken < FLOWS_AT_ONCE);
        for (int i = 0; use->port != 0 && i < 300; i++)
            assert_true(&uses[i] == use || uses[i].port != use->port ||
                        !addr_equal(&uses[i].target, &use->target));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_are_clear_of_the_prober),
        cmocka_unit_test(a_port_each),
        cmocka_unit_test(families_are_apart),
        cmocka_unit_test(no_port_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
