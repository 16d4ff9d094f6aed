#include "worker/host/check.h"

#include "common/protocol/trace.h"
#include "worker/host/mtr_spawn.h"
#include "worker/probing/sequence.h"
#include "worker/probing/slots.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The kernel's default of net.core.rmem_default. */
#define RECEIVE_DEFAULT_BYTES 212992
/* What an answer takes of a receive buffer: 277 of them fit into the default (measured). */
#define RECEIVE_ANSWER_BYTES 768
/* Enough for any rate of which mtr-packet is capable. */
#define RECEIVE_AMPLE_BYTES 4194304

/* The fewest open files with which a worker can start its mtr-packet (measured, with one broker).
 */
#define FILES_LEAST 26

/* Above this rate RECEIVE_DEFAULT_BYTES holds the answers of less than 28 ms. */
#define HIGH_PPS 10000

static const char *const verdicts[] = {"ok", "WARN", "FAIL"};
static const char program[] = "mtr-packet", rights[] = "raw sockets";
static const char newer[] = "install mtr 0.95 or later";

__attribute__((format(printf, 4, 5))) static void check_add(struct check_report *report,
    enum check_verdict verdict, const char *name, const char *format, ...) {
    struct check_finding *finding = &report->findings[report->count++];
    finding->verdict = verdict;
    finding->name = name;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, args);
    va_end(args);
}

/* ---- mtr-packet ------------------------------------------------------------------------- */

static void judge_version(struct check_report *report, const struct check_facts *facts) {
    const char *version = facts->said.version, *path = facts->path;
    int minor = mtr_minor(version);
    if (minor < 88)
        check_add(report, CHECK_OK, program,
            "%s, version %s: not a known version, treated as one before 0.93", path,
            version[0] != '\0' ? version : "not given");
    else if (minor < 93)
        check_add(report, CHECK_WARN, program,
            "%s, version %s: cannot keep a flow constant; fix: %s", path, version, newer);
    else if (minor == 93)
        check_add(report, CHECK_WARN, program,
            "%s, version %s: UDP over IPv6 does not work; fix: %s", path, version, newer);
    else if (minor < 96)
        check_add(report, CHECK_OK, program,
            "%s, version %s: holds 1024 probes at a time, of which a worker uses %d; cannot keep a "
            "flow constant over IPv6 before 0.96",
            path, version, SLOTS_BEFORE_0_96);
    else
        check_add(report, CHECK_OK, program,
            "%s, version %s: holds 10240 probes at a time, of which a worker uses %d%s", path,
            version, SLOTS_MAX,
            minor == 96 ? "" : "; newer than 0.96, the newest version that was tested");
}

/* Why mtr-packet has no raw sockets. */
enum cause {
    CAUSE_UNKNOWN,
    CAUSE_LOOPBACK,     /* it may have them, but loopback is down and could not answer its probe */
    CAUSE_BOUNDED,      /* the bounding set lacks CAP_NET_RAW */
    CAUSE_NO_NEW_PRIVS, /* no_new_privs defeats the capability of its file */
    CAUSE_FILE,         /* its file has no capability */
    CAUSE_MOUNT,        /* its file is on a nosuid mount */
};

static enum cause cause_of(const struct check_facts *facts) {
    if (facts->stage == CHECK_ANSWERED && !facts->loopback_up)
        return CAUSE_LOOPBACK;
    if (!facts->bounded)
        return CAUSE_BOUNDED;
    if (facts->root || facts->ambient)
        return CAUSE_UNKNOWN;
    if (facts->no_new_privs)
        return CAUSE_NO_NEW_PRIVS;
    if (!facts->file_right)
        return CAUSE_FILE;
    return facts->file_nosuid ? CAUSE_MOUNT : CAUSE_UNKNOWN;
}

static void blame(struct check_report *report, const struct check_facts *facts) {
    switch (cause_of(facts)) {
    case CAUSE_LOOPBACK:
        check_add(report, CHECK_FAIL, rights,
            "a UDP probe to 127.0.0.1 was not answered because loopback is down; fix: ip link set "
            "lo "
            "up");
        break;
    case CAUSE_BOUNDED:
        check_add(report, CHECK_FAIL, rights,
            "none: CAP_NET_RAW is not in this process's bounding set; fix: Docker: --cap-add "
            "NET_RAW, systemd: CapabilityBoundingSet=CAP_NET_RAW and "
            "AmbientCapabilities=CAP_NET_RAW");
        break;
    case CAUSE_NO_NEW_PRIVS:
        check_add(report, CHECK_FAIL, rights,
            "none: NoNewPrivileges defeats file capabilities; fix: systemd: "
            "AmbientCapabilities=CAP_NET_RAW, a root shell: setpriv --reuid USER --clear-groups "
            "--inh-caps +net_raw --ambient-caps +net_raw hopmq-worker");
        break;
    case CAUSE_FILE:
        check_add(report, CHECK_FAIL, rights,
            "none: no file capability; fix: setcap cap_net_raw+ep %s", facts->path);
        break;
    case CAUSE_MOUNT:
        check_add(report, CHECK_FAIL, rights,
            "none: its file is on a nosuid mount, which defeats file capabilities; fix: mount -o "
            "remount,suid \"$(findmnt -no TARGET -T %s)\"",
            facts->path);
        break;
    case CAUSE_UNKNOWN:
        if (facts->stage == CHECK_ANSWERED)
            check_add(report, CHECK_FAIL, rights,
                "none, and --check found no cause: it may be seccomp, a security module or a user "
                "namespace; fix: start the worker as root where this network namespace was made");
        break;
    }
}

static void judge_rights(struct check_report *report, const struct check_facts *facts) {
    if (facts->stage == CHECK_NOT_ASKED || facts->stage == CHECK_NOT_FOUND ||
        facts->stage == CHECK_HUNG)
        return;
    if (facts->stage != CHECK_ANSWERED || facts->loopback.class == MTR_SILENT)
        blame(report, facts);
    else if (facts->loopback.class == MTR_REPLY)
        check_add(report, CHECK_OK, rights, "a UDP probe to 127.0.0.1 was answered; %s",
            facts->root         ? "this process is root"
            : facts->ambient    ? "CAP_NET_RAW is ambient"
            : facts->file_right ? "mtr-packet's file has the capability"
                                : "how mtr-packet got the right is not known");
    else
        check_add(report, CHECK_WARN, rights,
            "a UDP probe to 127.0.0.1 ended with %s, which shows nothing; fix: ip link set lo up",
            facts->loopback.word);
}

static void judge_prober(struct check_report *report, const struct check_facts *facts) {
    const char *again =
        "apt-get install --reinstall mtr-tiny, or set MTR_PACKET to the path of mtr-packet";
    if (facts->fix != NULL)
        again = facts->fix;
    else if (facts->stage != CHECK_HUNG && cause_of(facts) != CAUSE_UNKNOWN)
        again = "see raw sockets";
    switch (facts->stage) {
    case CHECK_NOT_FOUND:
        check_add(report, CHECK_FAIL, program, "%s; fix: %s", facts->trouble, again);
        break;
    case CHECK_NOT_STARTED:
        check_add(report, CHECK_FAIL, program, "%s cannot be started: %s; fix: %s", facts->path,
            facts->trouble, again);
        break;
    case CHECK_ENDED:
        check_add(report, CHECK_FAIL, program, "%s ended %s before it had answered; fix: %s",
            facts->path, facts->trouble, again);
        break;
    case CHECK_HUNG:
        check_add(report, CHECK_FAIL, program, "%s did not answer within %s; fix: %s", facts->path,
            facts->trouble, again);
        break;
    case CHECK_ANSWERED:
        judge_version(report, facts);
        break;
    case CHECK_NOT_ASKED:
        break;
    }
}

static void judge_protocols(struct check_report *report, const struct check_facts *facts) {
    char has[64] = "";
    size_t used = 0;
    unsigned families = facts->said.families, protocols = facts->said.protocols;
    if (facts->stage != CHECK_ANSWERED)
        return;
    for (int i = 0; trace_protocol_names[i] != NULL; i++)
        if ((protocols >> i & 1) != 0)
            used += (size_t)snprintf(has + used, sizeof has - used, " %s", trace_protocol_names[i]);
    for (int ip = 4; ip <= 6; ip += 2)
        if ((families >> ip & 1) != 0)
            used += (size_t)snprintf(has + used, sizeof has - used, " ip-%d", ip);
    const unsigned wanted = 1U << TRACE_ICMP | 1U << TRACE_UDP | 1U << TRACE_TCP;
    if (families == 0 || protocols == 0)
        check_add(report, CHECK_FAIL, "protocols", "mtr-packet has %s%s; fix: %s",
            used > 0 ? "only" : "none", has, newer);
    else if ((families >> 4 & 1) == 0 || (protocols & wanted) != wanted)
        check_add(report, CHECK_WARN, "protocols", "mtr-packet has only%s; fix: %s", has, newer);
    else if ((families >> 6 & 1) == 0)
        check_add(report, CHECK_WARN, "protocols",
            "mtr-packet has only%s; fix: boot without ipv6.disable=1", has);
    else
        check_add(report, CHECK_OK, "protocols", "mtr-packet has%s", has);
}

/* ---- what the kernel grants ------------------------------------------------------------- */

static void judge_files(struct check_report *report, const struct check_facts *facts) {
    if (facts->id < 0)
        return;
    if (facts->files > MTR_SPAWN_NOFILE)
        check_add(report, CHECK_WARN, "open files",
            "%" PRId64
            " for mtr-packet, which aborts when TCP probes use more than %d; fix: ulimit "
            "-n %d, systemd: LimitNOFILE=%d",
            facts->files, MTR_SPAWN_NOFILE, MTR_SPAWN_NOFILE, MTR_SPAWN_NOFILE);
    else if (facts->files < MTR_SPAWN_NOFILE)
        check_add(report, facts->files < FILES_LEAST ? CHECK_FAIL : CHECK_WARN, "open files",
            "%" PRId64
            ", of which a worker needs %d, and each TCP probe one more; fix: ulimit -n %d, "
            "systemd: LimitNOFILE=%d, Docker: --ulimit nofile=%d",
            facts->files, FILES_LEAST, MTR_SPAWN_NOFILE, MTR_SPAWN_NOFILE, MTR_SPAWN_NOFILE);
    else
        check_add(report, CHECK_OK, "open files", "%d for mtr-packet, which can use no more",
            MTR_SPAWN_NOFILE);
}

static void judge_receive(struct check_report *report, const struct check_facts *facts) {
    static const char name[] = "receive buffer";
    bool widened = facts->widened_bytes > 0;
    int64_t bytes = widened ? facts->widened_bytes : facts->receive_bytes;
    int64_t answers = bytes / RECEIVE_ANSWER_BYTES;
    bool fast = facts->pps == 0 || facts->pps > HIGH_PPS;
    const char *what = widened ? "enlarged by the worker to" : "net.core.rmem_default";
    char rate[64] = " at --pps max";
    if (facts->pps != 0)
        (void)snprintf(rate, sizeof rate, ", %" PRId64 " ms at --pps %" PRId64,
            answers * 1000 / facts->pps, facts->pps);
    if (bytes < 0)
        check_add(report, CHECK_OK, name, "net.core.rmem_default cannot be read here");
    else if (bytes < RECEIVE_DEFAULT_BYTES || (fast && bytes < RECEIVE_AMPLE_BYTES))
        check_add(report, CHECK_WARN, name,
            "%s %" PRId64 " bytes, which hold %" PRId64
            " answers%s; fix: on the host, before the worker starts, sysctl -w %s=%d",
            what, bytes, answers, rate, widened ? "net.core.rmem_max" : "net.core.rmem_default",
            fast ? RECEIVE_AMPLE_BYTES : RECEIVE_DEFAULT_BYTES);
    else
        check_add(report, CHECK_OK, name, "%s %" PRId64 " bytes, which hold %" PRId64 " answers%s",
            what, bytes, answers, rate);
}

/* mtr-packet sends a TCP probe from the port that is its sequence number. If another socket has
 * that port, it tries the next ones, and all other probes wait meanwhile. Worse, it takes an ICMP
 * error about another program's TCP connection for the answer to the probe, of any protocol, whose
 * number is the connection's port. */
static void judge_ports(struct check_report *report, const struct check_facts *facts) {
    int first = mtr_minor(facts->said.version) >= 96 ? 33434 : 33000;
    if (facts->port_max < 0)
        check_add(report, CHECK_OK, "ports",
            "net.ipv4.ip_local_port_range cannot be read here; it should end below %d", first);
    else if (facts->port_max >= first)
        check_add(report, CHECK_WARN, "ports",
            "net.ipv4.ip_local_port_range %" PRId64 " %" PRId64 " gives other programs ports from "
            "%d to 65535, which number the probes: an ICMP error about such a connection can be "
            "taken for a hop; fix: sysctl -w net.ipv4.ip_local_port_range='10000 32767'",
            facts->port_min, facts->port_max, first);
    else
        check_add(report, CHECK_OK, "ports",
            "net.ipv4.ip_local_port_range %" PRId64 " %" PRId64 " ends below %d, the first port of "
            "TCP probes",
            facts->port_min, facts->port_max, first);
}

/* ---- other workers ---------------------------------------------------------------------- */

static void judge_id(struct check_report *report, const struct check_facts *facts) {
    if (facts->id < 0 || !facts->slices_known)
        return;
    if (facts->id_taken)
        check_add(report, CHECK_WARN, "ICMP id",
            "%d is used by another worker: a worker would start another mtr-packet; fix: none is "
            "needed, since each mtr-packet has another id",
            facts->id);
    else
        check_add(report, CHECK_OK, "ICMP id", "%d is used by no other worker", facts->id);
}

static void judge_slices(struct check_report *report, const struct check_facts *facts) {
    unsigned vacant = SEQUENCE_SLICES - facts->slices;
    if (!facts->slices_known)
        check_add(report, CHECK_OK, "slices", "not known: /proc/self/net/unix cannot be read");
    else if (vacant > 0)
        check_add(report, CHECK_OK, "slices", "%u of %d are free; other workers here: %u", vacant,
            SEQUENCE_SLICES, facts->workers);
    else if (facts->workers < SEQUENCE_SLICES)
        check_add(report, CHECK_OK, "slices",
            "none is free; other workers here: %u, one of which gives away half of its slices when "
            "asked",
            facts->workers);
    else
        check_add(report, CHECK_FAIL, "slices",
            "%d workers run in this network namespace already; fix: ip netns add NAME, give it a "
            "route, ip netns exec NAME hopmq-worker",
            SEQUENCE_SLICES);
}

/* ---- routes ----------------------------------------------------------------------------- */

static void judge_route(struct check_report *report, const struct check_facts *facts,
    const char *name, const char *ip, const struct check_route *route) {
    bool neither = facts->ipv4.source[0] == '\0' && facts->ipv6.source[0] == '\0';
    if (route->source[0] != '\0')
        check_add(report, CHECK_OK, name, "from %s", route->source);
    else
        check_add(report, neither && !facts->networks ? CHECK_FAIL : CHECK_WARN, name,
            "none: %s%s; fix: %s route add default via GATEWAY", route->why,
            !neither          ? ""
            : facts->networks ? ", only the networks of this host's interfaces can be traced"
                              : ", only this host itself can be traced",
            ip);
}

void check_judge(struct check_report *report, const struct check_facts *facts) {
    report->count = 0;
    judge_prober(report, facts);
    judge_protocols(report, facts);
    judge_rights(report, facts);
    judge_files(report, facts);
    judge_receive(report, facts);
    judge_ports(report, facts);
    judge_id(report, facts);
    judge_slices(report, facts);
    judge_route(report, facts, "IPv4 route", "ip", &facts->ipv4);
    judge_route(report, facts, "IPv6 route", "ip -6", &facts->ipv6);
}

bool check_passed(const struct check_report *report) {
    for (int i = 0; i < report->count; i++)
        if (report->findings[i].verdict == CHECK_FAIL)
            return false;
    return true;
}

size_t check_line(char line[CHECK_LINE_BYTES], const struct check_finding *finding) {
    return (size_t)snprintf(line, CHECK_LINE_BYTES, "%-4s  %-14s  %s\n", verdicts[finding->verdict],
        finding->name, finding->text);
}
