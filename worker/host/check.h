/* check: judges, from facts about this host, whether traces can run here. Pure; check_facts.c reads
 * the facts. Limits of mtr-packet are from its source and from measurements of 0.88 to 0.96. */
#ifndef HOPMQ_WORKER_CHECK_H
#define HOPMQ_WORKER_CHECK_H

#include "worker/probing/mtr_features.h"

#define CHECK_TEXT_BYTES 1024
#define CHECK_LINE_BYTES (CHECK_TEXT_BYTES + 32)
#define CHECK_MAX_FINDINGS 10

/* How far the mtr-packet came that was started for the check. */
enum check_stage {
    CHECK_NOT_FOUND,
    CHECK_NOT_STARTED,
    CHECK_ENDED,     /* before its last answer */
    CHECK_HUNG,      /* did not give its last answer in time */
    CHECK_ANSWERED,  /* gave all answers */
    CHECK_NOT_ASKED, /* was not to be started; what only it could show is left out */
};

struct check_route {
    char source[ADDR_TEXT]; /* of the route to the internet; empty if there is none */
    char why[64];           /* why there is none */
};

struct check_facts {
    enum check_stage stage;
    const char *path;          /* of mtr-packet; borrowed */
    const char *trouble;       /* what went wrong before CHECK_ANSWERED; borrowed */
    const char *fix;           /* for that; NULL if check.c is to find one; borrowed */
    struct mtr_features said;  /* what mtr-packet says it supports */
    struct mtr_reply loopback; /* the answer to its UDP probe to 127.0.0.1, with CHECK_ANSWERED */

    /* Of this process. */
    bool root, no_new_privs;
    bool ambient, bounded; /* CAP_NET_RAW is in its ambient, in its bounding set */
    /* Of mtr-packet's file. */
    bool file_right;  /* exec gives CAP_NET_RAW */
    bool file_nosuid; /* its mount ignores that */

    int64_t files;         /* RLIMIT_NOFILE of mtr-packet, if it was started */
    int64_t receive_bytes; /* of a new socket's receive buffer; -1: unknown */
    int64_t widened_bytes; /* to which the worker enlarged mtr-packet's; 0: it may not do that */
    int64_t pps;           /* as --pps; 0: no limit */
    int64_t port_min, port_max; /* net.ipv4.ip_local_port_range; -1: unknown */

    bool slices_known;
    unsigned slices;  /* how many workers of this network namespace hold */
    unsigned workers; /* how many other workers it has */
    int id;           /* the ICMP id of the mtr-packet; -1 if it was not started */
    bool id_taken;    /* another worker has this id */

    struct check_route ipv4, ipv6;
    bool loopback_up;
    bool networks; /* an interface other than loopback has an address */
};

enum check_verdict {
    CHECK_OK,
    CHECK_WARN, /* some traces will not run, or not well */
    CHECK_FAIL, /* no trace will run */
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

/* Judges the facts. What no fact is known about is left out. */
void check_judge(struct check_report *report, const struct check_facts *facts);

/* True if no finding is CHECK_FAIL. */
bool check_passed(const struct check_report *report);

/* Writes the line of a finding, with its newline, and returns its length. */
size_t check_line(char line[CHECK_LINE_BYTES], const struct check_finding *finding);

#endif
