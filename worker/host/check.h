/* check: whether traces can run here, judged from facts about this host. Pure; check_facts.c
 * gathers the facts. Limits of mtr-packet are from its source and from measurements of 0.88 to
 * 0.96. */
#ifndef HOPMQ_WORKER_CHECK_H
#define HOPMQ_WORKER_CHECK_H

#include "worker/probing/mtr_features.h"

#define CHECK_TEXT_BYTES 1024
#define CHECK_LINE_BYTES (CHECK_TEXT_BYTES + 32)
#define CHECK_MAX_FINDINGS 10

/* How far the mtr-packet that was started for the check came. */
enum check_stage {
    CHECK_NOT_FOUND,
    CHECK_NOT_STARTED,
    CHECK_ENDED,     /* before its last answer */
    CHECK_HUNG,      /* did not give its last answer in time */
    CHECK_ANSWERED,  /* all */
    CHECK_NOT_ASKED, /* none was started, and nothing is judged that only one could tell */
};

struct check_route {
    char source[ADDR_TEXT]; /* empty: no route */
    char why[64];           /* there is none */
};

struct check_facts {
    enum check_stage stage;
    const char *path;          /* of mtr-packet; borrowed */
    const char *trouble;       /* what went wrong before CHECK_ANSWERED; borrowed */
    const char *fix;           /* NULL: check.c knows; borrowed */
    struct mtr_features said;  /* by mtr-packet */
    struct mtr_reply loopback; /* to its UDP probe to ourselves, with CHECK_ANSWERED */

    bool root, ambient, bounded;  /* we are; CAP_NET_RAW is ambient; it is in the bounding set */
    bool no_new_privs;            /* of this process */
    bool file_right, file_nosuid; /* mtr-packet's file has the right; its mount ignores that */

    int64_t files;              /* RLIMIT_NOFILE of mtr-packet, if it was started */
    int64_t receive_bytes;      /* a new socket's receive buffer; -1: unknown */
    int64_t widened_bytes;      /* what the worker makes of mtr-packet's; 0: it may not */
    int64_t pps;                /* --pps; 0: no limit */
    int64_t port_min, port_max; /* net.ipv4.ip_local_port_range; -1: unknown */

    bool slices_known;
    unsigned slices;  /* how many are held in this network namespace */
    unsigned workers; /* how many there have an ICMP id */
    int id;           /* ICMP id of the mtr-packet; -1: it was not started */
    bool id_taken;

    struct check_route ipv4, ipv6;
    bool loopback_up;
    bool networks; /* an interface other than loopback has an address */
};

enum check_verdict {
    CHECK_OK,
    CHECK_WARN, /* some traces will not run, or not well */
    CHECK_FAIL, /* none will */
};

struct check_finding {
    enum check_verdict verdict;
    const char *name;
    char text[CHECK_TEXT_BYTES]; /* what was found; if it is not right, how to fix it */
};

struct check_report {
    struct check_finding findings[CHECK_MAX_FINDINGS];
    int count;
};

/* Judges what the facts tell; a check without facts is left out. */
void check_judge(struct check_report *report, const struct check_facts *facts);

/* True unless a check failed. */
bool check_passed(const struct check_report *report);

/* Writes the line of a check, with its newline, and returns its length. */
size_t check_line(char line[CHECK_LINE_BYTES], const struct check_finding *finding);

#endif
