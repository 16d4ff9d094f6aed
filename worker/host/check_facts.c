#include "worker/host/check_facts.h"

#include "common/runtime/log.h"
#include "worker/host/check.h"
#include "worker/host/locate.h"
#include "worker/host/mtr_spawn.h"
#include "worker/host/prober.h"
#include "worker/host/slices.h"

#include <endian.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <sysexits.h>
#include <unistd.h>

/* Addresses for documentation (RFC 5737, RFC 3849), which nobody has: their route is the default
 * one. */
#define SOMEWHERE_4 "192.0.2.1"
#define SOMEWHERE_6 "2001:db8::1"

struct reading {
    struct check_facts facts;
    struct mtr_child child;        /* the mtr-packet that is asked */
    char why[MTR_SPAWN_WHY_BYTES]; /* facts.trouble */
};

/* ---- mtr-packet ------------------------------------------------------------------------- */

/* Reads lines until the last answer, the end of the output, or PROBER_START_US. */
static enum check_stage listen_to(struct check_facts *facts, int out) {
    struct mtr_framer framer = {0};
    int64_t give_up_us = reactor_now().mono_us + PROBER_START_US, left_us;
    while ((left_us = give_up_us - reactor_now().mono_us) > 0) {
        struct pollfd readable = {.fd = out, .events = POLLIN};
        char data[4096];
        if (poll(&readable, 1, (int)(left_us / 1000) + 1) <= 0)
            continue;
        ssize_t got = read(out, data, sizeof data);
        if (got <= 0)
            return CHECK_ENDED;
        const char *at = data, *line;
        size_t left = (size_t)got, size;
        while ((line = mtr_framer_next(&framer, &at, &left, &size)) != NULL) {
            struct mtr_reply reply;
            if (!mtr_line_parse(&reply, line, size))
                continue;
            if (reply.class == MTR_FEATURE) {
                (void)mtr_features_take(&facts->said, &reply);
            } else if (reply.token == MTR_TOKEN_RIGHTS) {
                facts->loopback = reply;
                return CHECK_ANSWERED;
            }
        }
    }
    return CHECK_HUNG;
}

/* The limit of the child or, if this process may not read it, the one that the child inherited. */
static int64_t files_of(pid_t pid) {
    struct rlimit files;
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &files) != 0)
        (void)getrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_cur < INT32_MAX ? (int64_t)files.rlim_cur : INT32_MAX;
}

static void ask_mtr_packet(struct reading *c) {
    char questions[MTR_FEATURES_BYTES] = "";
    size_t size = mtr_features_ask(questions);
    c->facts.files = files_of(c->child.pid);
    c->facts.id = c->child.pid % SLICES_ICMP_IDS;
    /* The questions fit into the pipe, so that this does not block. */
    c->facts.stage = write(c->child.in, questions, size) == (ssize_t)size
                         ? listen_to(&c->facts, c->child.out)
                         : CHECK_ENDED;
    c->facts.widened_bytes = mtr_spawn_widen(&c->child);
    int status = mtr_spawn_end(&c->child);
    if (c->facts.stage == CHECK_HUNG)
        (void)snprintf(c->why, sizeof c->why, "%d s", PROBER_START_US / 1000000);
    else if (WIFSIGNALED(status))
        (void)snprintf(c->why, sizeof c->why, "by signal %d", WTERMSIG(status));
    else
        (void)snprintf(c->why, sizeof c->why, "with status %d", WEXITSTATUS(status));
}

static void start_mtr_packet(struct reading *c) {
    sigset_t mask;
    (void)sigprocmask(SIG_SETMASK, NULL, &mask);
    int failed = mtr_spawn_start(&c->child, c->facts.path, &mask);
    if (failed == 0) {
        ask_mtr_packet(c);
        return;
    }
    c->facts.stage = CHECK_NOT_STARTED;
    c->facts.fix = failed == EMFILE ? "ulimit -n 1024" : NULL;
    (void)snprintf(c->why, sizeof c->why, "%s", strerror(failed));
}

/* Whether exec of the file gives CAP_NET_RAW: see `File capabilities` in capabilities(7). */
static void look_at_file(struct check_facts *facts) {
    struct vfs_ns_cap_data caps = {0};
    struct stat file;
    struct statvfs mount;
    if (getxattr(facts->path, "security.capability", &caps, sizeof caps) > 0)
        facts->file_right = (le32toh(caps.magic_etc) & VFS_CAP_FLAGS_EFFECTIVE) != 0 &&
                            (le32toh(caps.data[0].permitted) >> CAP_NET_RAW & 1) != 0;
    if (stat(facts->path, &file) == 0 && file.st_uid == 0 && (file.st_mode & S_ISUID) != 0)
        facts->file_right = true;
    if (statvfs(facts->path, &mount) == 0)
        facts->file_nosuid = (mount.f_flag & ST_NOSUID) != 0;
}

static void look_at_rights(struct check_facts *facts) {
    facts->root = geteuid() == 0;
    facts->ambient = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0) == 1;
    facts->bounded = prctl(PR_CAPBSET_READ, CAP_NET_RAW, 0, 0, 0) == 1;
    facts->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

/* ---- the kernel ------------------------------------------------------------------------- */

/* A new UDP socket has the same receive buffer as a raw socket of mtr-packet,
 * net.core.rmem_default. The file of that name is missing in some namespaces, and with
 * ProcSubset=pid of systemd. */
static int64_t receive_bytes(void) {
    int bytes = -1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof bytes;
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size) != 0)
        bytes = -1;
    if (fd >= 0)
        (void)close(fd);
    return bytes;
}

static void look_at_ports(struct check_facts *facts) {
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    char line[64] = "", *end = line;
    facts->port_min = facts->port_max = -1;
    if (file == NULL)
        return;
    if (fgets(line, sizeof line, file) != NULL) {
        facts->port_min = strtol(line, &end, 10);
        facts->port_max = strtol(end, NULL, 10);
    }
    (void)fclose(file);
}

static void look_for_route(struct check_route *route, const char *somewhere) {
    struct addr dst, src;
    (void)addr_parse(&dst, somewhere);
    int failed = locate_source(&dst, &src);
    if (failed == 0)
        (void)addr_print(&src, route->source);
    else
        (void)snprintf(route->why, sizeof route->why, "%s", strerror(failed));
}

/* A link-local address does not count, since its network cannot be traced. */
static bool is_network(const struct sockaddr *at) {
    const struct sockaddr_in6 *v6 = (const void *)at;
    return at != NULL && (at->sa_family == AF_INET ||
                             (at->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)));
}

static void look_at_interfaces(struct check_facts *facts) {
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if ((i->ifa_flags & IFF_UP) == 0)
            continue;
        if ((i->ifa_flags & IFF_LOOPBACK) != 0)
            facts->loopback_up = true;
        else if (is_network(i->ifa_addr))
            facts->networks = true;
    }
    freeifaddrs(all);
}

/* ---- all of it -------------------------------------------------------------------------- */

/* Reads what can be known without an mtr-packet, except for receive buffers: how large they are
 * depends on whether the worker may enlarge them. */
static void look_around(struct check_facts *facts, pid_t pid) {
    struct slices_survey survey = {0};
    look_at_ports(facts);
    facts->slices_known = slices_survey(&survey, pid);
    facts->slices = survey.held;
    facts->workers = survey.workers;
    facts->id_taken = survey.id_taken;
    look_for_route(&facts->ipv4, SOMEWHERE_4);
    look_for_route(&facts->ipv6, SOMEWHERE_6);
    look_at_interfaces(facts);
}

int check_facts_run(int64_t pps) {
    struct reading c = {.facts = {.pps = pps, .id = -1}};
    struct check_facts *facts = &c.facts;
    struct check_report report;
    char line[CHECK_LINE_BYTES] = "";
    /* An mtr-packet that has ended is a finding, and must not end this process. */
    (void)signal(SIGPIPE, SIG_IGN);
    facts->trouble = c.why;
    look_at_rights(facts);
    char *path = mtr_spawn_find(c.why, &facts->fix);
    facts->path = path;
    if (path != NULL) {
        look_at_file(facts);
        start_mtr_packet(&c);
    }
    facts->receive_bytes = receive_bytes();
    look_around(facts, c.child.pid);
    check_judge(&report, facts);
    for (int i = 0; i < report.count; i++)
        (void)fwrite(line, 1, check_line(line, &report.findings[i]), stdout);
    free(path);
    return check_passed(&report) ? EX_OK : EX_UNAVAILABLE;
}

void check_facts_log(void) {
    struct check_facts facts = {.stage = CHECK_NOT_ASKED, .id = -1, .receive_bytes = -1};
    struct check_report report;
    look_around(&facts, 0);
    check_judge(&report, &facts);
    for (int i = 0; i < report.count; i++) {
        const struct check_finding *finding = &report.findings[i];
        if (finding->verdict != CHECK_OK)
            log_event(finding->verdict == CHECK_FAIL ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "check",
                "name=\"%s\" text=\"%s\"", finding->name, finding->text);
    }
}
