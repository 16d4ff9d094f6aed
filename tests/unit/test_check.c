/* check: what facts about a host are judged to mean. */
#include "tests/unit/check.h"

#include "common/protocol/trace.h"
#include "worker/host/check.h"

#include <stdio.h>
#include <string.h>

#define PATH "/usr/bin/mtr-packet"

/* A host on which everything is right. */
static struct check_facts right(void) {
    return (struct check_facts){
        .stage = CHECK_ANSWERED,
        .path = PATH,
        .trouble = "",
        .said = {.version = "0.95",
            .families = 1 << 4 | 1 << 6,
            .protocols = 1 << TRACE_ICMP | 1 << TRACE_UDP | 1 << TRACE_TCP | 1 << TRACE_SCTP},
        .loopback = {.class = MTR_REPLY, .word = "reply"},
        .bounded = true,
        .file_right = true,
        .files = 1024,
        .receive_bytes = 212992,
        .pps = 1000,
        .port_min = 10000,
        .port_max = 32767,
        .slices_known = true,
        .id = 4711,
        .ipv4 = {.source = "192.0.2.7"},
        .ipv6 = {.source = "2001:db8::7"},
        .loopback_up = true,
        .networks = true,
    };
}

static const struct check_finding *named(const struct check_report *report, const char *name) {
    const struct check_finding *found = NULL;
    for (int i = 0; i < report->count; i++)
        if (strcmp(report->findings[i].name, name) == 0) {
            assert_null(found);
            found = &report->findings[i];
        }
    return found;
}

/* Expects a finding of this name whose text contains `text`, or no finding if `text` is NULL. */
static void expect(const struct check_facts *facts, const char *name, enum check_verdict verdict,
    const char *text) {
    struct check_report report;
    check_judge(&report, facts);
    const struct check_finding *finding = named(&report, name);
    if (text == NULL) {
        assert_null(finding);
        return;
    }
    assert_non_null(finding);
    if (finding->verdict != verdict || strstr(finding->text, text) == NULL)
        fail_msg("%s: verdict %d, not %d, or not `%s' in `%s'", name, finding->verdict, verdict,
            text, finding->text);
    assert_true((strstr(finding->text, "fix") != NULL) == (verdict != CHECK_OK));
    if (verdict == CHECK_FAIL)
        assert_false(check_passed(&report));
}

static void a_right_host(void **state) {
    (void)state;
    static const char *const lines[] = {
        "ok    mtr-packet      /usr/bin/mtr-packet, version 0.95: holds 1024 probes at a time, of "
        "which a worker uses 900; cannot keep a flow constant over IPv6 before 0.96\n",
        "ok    protocols       mtr-packet has icmp udp tcp sctp ip-4 ip-6\n",
        "ok    raw sockets     a UDP probe to 127.0.0.1 was answered; mtr-packet's file "
        "has the capability\n",
        "ok    open files      1024 for mtr-packet, which can use no more\n",
        "ok    receive buffer  net.core.rmem_default 212992 bytes, which hold 277 answers, 277 ms "
        "at --pps "
        "1000\n",
        "ok    ports           net.ipv4.ip_local_port_range 10000 32767 ends below 33000, the "
        "first "
        "port of TCP probes\n",
        "ok    ICMP id         4711 is used by no other worker\n",
        "ok    slices          8 of 8 are free; other workers here: 0\n",
        "ok    IPv4 route      from 192.0.2.7\n",
        "ok    IPv6 route      from 2001:db8::7\n",
    };
    struct check_facts facts = right();
    struct check_report report;
    check_judge(&report, &facts);
    assert_true(check_passed(&report));
    assert_int_equal(report.count, sizeof lines / sizeof lines[0]);
    assert_int_equal(report.count, CHECK_MAX_FINDINGS);
    for (int i = 0; i < report.count; i++) {
        char line[CHECK_LINE_BYTES];
        assert_int_equal(check_line(line, &report.findings[i]), strlen(lines[i]));
        assert_string_equal(line, lines[i]);
    }
}

static void versions(void **state) {
    (void)state;
    static const struct {
        const char *version;
        enum check_verdict verdict;
        const char *text;
    } cases[] = {
        {"0.88", CHECK_WARN, "0.88: cannot keep a flow constant; fix: install mtr 0.95"},
        {"0.92", CHECK_WARN, "cannot keep a flow constant"},
        {"0.93", CHECK_WARN, "UDP over IPv6 does not work; fix: install mtr 0.95 or later"},
        {"0.94", CHECK_OK, "cannot keep a flow constant over IPv6 before 0.96"},
        {"0.95-12-gabcdef", CHECK_OK, "holds 1024 probes"},
        {"0.96", CHECK_OK, "holds 10240 probes at a time, of which a worker uses 2000"},
        {"0.97", CHECK_OK, "newer than 0.96, the newest version that was tested"},
        {"1.0", CHECK_OK, "newer than 0.96"},
        {"", CHECK_OK, "version not given: not a known version, treated as one before 0.93"},
        {"unknown", CHECK_OK, "version unknown: not a known version"},
        {"0.", CHECK_OK, "not a known version"},
        {"0.87", CHECK_OK, "not a known version"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct check_facts facts = right();
        (void)snprintf(facts.said.version, sizeof facts.said.version, "%s", cases[i].version);
        expect(&facts, "mtr-packet", cases[i].verdict, cases[i].text);
    }
}

static void probers_that_do_not_answer(void **state) {
    (void)state;
    static const struct {
        enum check_stage stage;
        const char *trouble, *fix, *text;
    } cases[] = {
        {CHECK_NOT_FOUND, "not found in PATH", "install it", "not found in PATH; fix: install it"},
        {CHECK_NOT_STARTED, "Exec format error", NULL,
            PATH " cannot be started: Exec format error; fix: apt-get install --reinstall"},
        {CHECK_NOT_STARTED, "Too many open files", "ulimit -n 1024", "fix: ulimit -n 1024"},
        {CHECK_ENDED, "with status 1", NULL,
            PATH " ended with status 1 before it had answered; fix: apt-get"},
        {CHECK_HUNG, "5 s", NULL, PATH " did not answer within 5 s; fix: apt-get"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct check_facts facts = right();
        facts.stage = cases[i].stage;
        facts.trouble = cases[i].trouble;
        facts.fix = cases[i].fix;
        facts.id = -1;
        expect(&facts, "mtr-packet", CHECK_FAIL, cases[i].text);
        expect(&facts, "protocols", CHECK_OK, NULL);
        expect(&facts, "raw sockets", CHECK_OK, NULL);
        expect(&facts, "open files", CHECK_OK, NULL);
        expect(&facts, "ICMP id", CHECK_OK, NULL);
        expect(&facts, "ports", CHECK_OK, "ends below 33000");
    }
}

/* If mtr-packet gave no answer, nothing is said about its rights, whatever the facts are. */
static void rights_that_are_not_known(void **state) {
    (void)state;
    static const enum check_stage stages[] = {CHECK_NOT_ASKED, CHECK_NOT_FOUND, CHECK_HUNG};
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        struct check_facts facts = right();
        facts.stage = stages[i];
        facts.bounded = false;
        expect(&facts, "raw sockets", CHECK_OK, NULL);
    }
}

static void protocols(void **state) {
    (void)state;
    const unsigned usual = 1 << TRACE_ICMP | 1 << TRACE_UDP | 1 << TRACE_TCP;
    const struct {
        unsigned protocols, families;
        enum check_verdict verdict;
        const char *text;
    } cases[] = {
        {usual, 1 << 4 | 1 << 6, CHECK_OK, "has icmp udp tcp ip-4 ip-6"},
        {usual, 1 << 4, CHECK_WARN, "only icmp udp tcp ip-4; fix: boot without ipv6.disable=1"},
        {usual, 1 << 6, CHECK_WARN, "only icmp udp tcp ip-6; fix: install"},
        {1 << TRACE_ICMP, 1 << 4 | 1 << 6, CHECK_WARN, "only icmp ip-4 ip-6; fix: install"},
        {usual, 0, CHECK_FAIL, "only icmp udp tcp; fix"},
        {0, 1 << 4, CHECK_FAIL, "only ip-4; fix"},
        {0, 0, CHECK_FAIL, "has none; fix"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct check_facts facts = right();
        facts.said.protocols = cases[i].protocols;
        facts.said.families = cases[i].families;
        expect(&facts, "protocols", cases[i].verdict, cases[i].text);
    }
}

static void raw_sockets(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool root, ambient, bounded, no_new_privs, file_right, nosuid;
    } lost[] = {
        {"setcap cap_net_raw+ep " PATH, .bounded = true},
        {"bounding set", .root = true, .file_right = true},
        {"bounding set", .no_new_privs = true},
        {"NoNewPrivileges defeats file capabilities; fix: systemd: "
         "AmbientCapabilities=CAP_NET_RAW",
            .bounded = true, .no_new_privs = true, .file_right = true},
        {"AmbientCapabilities=CAP_NET_RAW", .bounded = true, .no_new_privs = true},
        {"mount -o remount,suid \"$(findmnt -no TARGET -T " PATH ")\"", .bounded = true,
            .file_right = true, .nosuid = true},
        {"user namespace", .bounded = true, .file_right = true},
        {"user namespace", .bounded = true, .root = true, .no_new_privs = true},
        {"user namespace", .bounded = true, .ambient = true, .no_new_privs = true},
    };
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        struct check_facts facts = right();
        facts.loopback = (struct mtr_reply){.class = MTR_SILENT, .word = "no-reply"};
        facts.root = lost[i].root;
        facts.ambient = lost[i].ambient;
        facts.bounded = lost[i].bounded;
        facts.no_new_privs = lost[i].no_new_privs;
        facts.file_right = lost[i].file_right;
        facts.file_nosuid = lost[i].nosuid;
        expect(&facts, "raw sockets", CHECK_FAIL, lost[i].text);

        /* An mtr-packet that can open no socket ends. The cause is named if it is known. */
        bool unknown = strcmp(lost[i].text, "user namespace") == 0;
        facts.stage = CHECK_ENDED;
        expect(&facts, "raw sockets", CHECK_FAIL, unknown ? NULL : lost[i].text);
        expect(&facts, "mtr-packet", CHECK_FAIL, unknown ? "apt-get" : "fix: see raw sockets");

        /* If the probe was answered, all is right, whatever the facts are. */
        facts.stage = CHECK_ANSWERED;
        facts.loopback.class = MTR_REPLY;
        expect(&facts, "raw sockets", CHECK_OK, "was answered");
    }
    struct check_facts facts = right();
    facts.root = true;
    expect(&facts, "raw sockets", CHECK_OK, "this process is root");
    facts.root = false;
    facts.ambient = true;
    expect(&facts, "raw sockets", CHECK_OK, "CAP_NET_RAW is ambient");
    facts.loopback = (struct mtr_reply){.class = MTR_NO_ROUTE, .word = "no-route"};
    expect(&facts, "raw sockets", CHECK_WARN, "ended with no-route, which shows nothing; fix");
    facts.loopback = (struct mtr_reply){.class = MTR_SILENT, .word = "no-reply"};
    facts.loopback_up = false;
    expect(&facts, "raw sockets", CHECK_FAIL, "loopback is down; fix: ip link set lo up");
}

static void numbers(void **state) {
    (void)state;
    struct check_facts facts = right();
    facts.files = 1025;
    expect(&facts, "open files", CHECK_WARN,
        "aborts when TCP probes use more than 1024; fix: ulimit -n 1024");
    facts.files = 1023;
    expect(&facts, "open files", CHECK_WARN, "systemd: LimitNOFILE=1024");
    facts.files = 26;
    expect(&facts, "open files", CHECK_WARN, "26, of which a worker needs 26");
    facts.files = 25;
    expect(&facts, "open files", CHECK_FAIL, "25, of which a worker needs 26");

    facts.receive_bytes = 0;
    expect(&facts, "receive buffer", CHECK_WARN, "hold 0 answers");
    facts.receive_bytes = 212991;
    expect(&facts, "receive buffer", CHECK_WARN, "sysctl -w net.core.rmem_default=212992");
    facts.receive_bytes = 212992;
    facts.pps = 10000;
    expect(&facts, "receive buffer", CHECK_OK, "277 answers, 27 ms at --pps 10000");
    facts.pps = 10001;
    expect(&facts, "receive buffer", CHECK_WARN, "sysctl -w net.core.rmem_default=4194304");
    facts.pps = 0;
    expect(&facts, "receive buffer", CHECK_WARN, "277 answers at --pps max; fix");
    facts.receive_bytes = 4194304;
    expect(&facts, "receive buffer", CHECK_OK, "5461 answers at --pps max");
    facts.widened_bytes = 425984;
    expect(&facts, "receive buffer", CHECK_WARN, "sysctl -w net.core.rmem_max=4194304");
    facts.widened_bytes = 8388608;
    expect(&facts, "receive buffer", CHECK_OK,
        "enlarged by the worker to 8388608 bytes, which hold 10922");
    facts.widened_bytes = 0;
    facts.receive_bytes = -1;
    expect(&facts, "receive buffer", CHECK_OK, "cannot be read here");

    static const char fix[] = "fix: sysctl -w net.ipv4.ip_local_port_range='10000 32767'";
    facts.port_max = 32999;
    expect(&facts, "ports", CHECK_OK, "10000 32999 ends below 33000");
    facts.port_max = 33000;
    expect(&facts, "ports", CHECK_WARN, fix);
    memcpy(facts.said.version, "0.96", sizeof "0.96");
    facts.port_max = 33433;
    expect(&facts, "ports", CHECK_OK, "ends below 33434");
    facts.port_max = 33434;
    expect(&facts, "ports", CHECK_WARN, fix);
    facts.port_min = facts.port_max = 0;
    expect(&facts, "ports", CHECK_OK, "0 0 ends below 33434");
    facts.port_min = facts.port_max = -1;
    expect(&facts, "ports", CHECK_OK, "cannot be read here; it should end below 33434");
}

static void other_workers(void **state) {
    (void)state;
    struct check_facts facts = right();
    facts.slices = 3;
    facts.workers = 3;
    expect(&facts, "slices", CHECK_OK, "5 of 8 are free; other workers here: 3");
    facts.slices = 8;
    facts.workers = 7;
    expect(&facts, "slices", CHECK_OK, "other workers here: 7, one of which gives away half");
    facts.workers = 8;
    expect(&facts, "slices", CHECK_FAIL, "8 workers run in this network namespace already");
    facts.id_taken = true;
    expect(&facts, "ICMP id", CHECK_WARN, "4711 is used by another worker");
    facts.id = 0; /* 0 is an id like any other */
    expect(&facts, "ICMP id", CHECK_WARN, "0 is used by another worker");
    expect(&facts, "open files", CHECK_OK, "1024 for mtr-packet");
    facts.slices_known = false;
    expect(&facts, "slices", CHECK_OK, "not known");
    expect(&facts, "ICMP id", CHECK_OK, NULL);
}

static void routes(void **state) {
    (void)state;
    static const char unreachable[] = "Network is unreachable";
    struct check_facts facts = right();
    facts.ipv6 = (struct check_route){.why = "Network is unreachable"};
    expect(&facts, "IPv4 route", CHECK_OK, "from 192.0.2.7");
    expect(&facts, "IPv6 route", CHECK_WARN,
        "none: Network is unreachable; fix: ip -6 route add default via GATEWAY");
    facts = right();
    facts.networks = false;
    facts.ipv4 = (struct check_route){.why = "Network is unreachable"};
    expect(&facts, "IPv4 route", CHECK_WARN,
        "none: Network is unreachable; fix: ip route add default via GATEWAY");
    /* Without both routes a lab can still be traced, but a host that has only loopback cannot
     * serve. */
    facts.ipv6 = facts.ipv4;
    expect(&facts, "IPv4 route", CHECK_FAIL, "only this host itself can be traced; fix: ip route");
    expect(&facts, "IPv6 route", CHECK_FAIL, unreachable);
    facts.networks = true;
    expect(&facts, "IPv4 route", CHECK_WARN, "only the networks of this host's interfaces");
    expect(&facts, "IPv6 route", CHECK_WARN, unreachable);
}

/* A long path is cut, and the line still ends with a newline. */
static void long_lines(void **state) {
    (void)state;
    char path[2 * CHECK_TEXT_BYTES], line[CHECK_LINE_BYTES];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    struct check_facts facts = right();
    struct check_report report;
    facts.path = path;
    check_judge(&report, &facts);
    size_t size = check_line(line, &report.findings[0]);
    assert_int_equal(size, strlen(line));
    assert_int_equal(line[size - 1], '\n');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_host),
        cmocka_unit_test(versions),
        cmocka_unit_test(probers_that_do_not_answer),
        cmocka_unit_test(rights_that_are_not_known),
        cmocka_unit_test(protocols),
        cmocka_unit_test(raw_sockets),
        cmocka_unit_test(numbers),
        cmocka_unit_test(other_workers),
        cmocka_unit_test(routes),
        cmocka_unit_test(long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
