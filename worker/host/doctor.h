/* doctor: whether traces can run here, judged from facts about this host. Pure; checkup.c gathers
 * the facts. Limits of mtr-packet are from its source and from measurements of 0.88 to 0.96. */
#ifndef HOPMQ_DOCTOR_H
#define HOPMQ_DOCTOR_H

#include "worker/probing/interview.h"

#define DOCTOR_TEXT_BYTES 1024
#define DOCTOR_LINE_BYTES (DOCTOR_TEXT_BYTES + 32)
#define DOCTOR_MAX_CHECKS 10

/* How far the mtr-packet that was started for the check came. */
enum doctor_stage {
    DOCTOR_NOT_FOUND,
    DOCTOR_NOT_STARTED,
    DOCTOR_ENDED,     /* before its last answer */
    DOCTOR_HUNG,      /* did not give its last answer in time */
    DOCTOR_ANSWERED,  /* all */
    DOCTOR_NOT_ASKED, /* none was started, and nothing is judged that only one could tell */
};

struct doctor_route {
    char source[ADDR_TEXT]; /* empty: no route */
    char why[64];           /* there is none */
};

struct doctor_facts {
    enum doctor_stage stage;
    const char *path;          /* of mtr-packet; borrowed */
    const char *trouble;       /* what went wrong before DOCTOR_ANSWERED; borrowed */
    const char *mend;          /* NULL: the doctor knows; borrowed */
    struct interview said;     /* by mtr-packet */
    struct mtr_reply loopback; /* to its UDP probe to ourselves, with DOCTOR_ANSWERED */

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

    struct doctor_route ipv4, ipv6;
    bool loopback_up;
    bool networks; /* an interface other than loopback has an address */
};

enum doctor_verdict {
    DOCTOR_OK,
    DOCTOR_WARN, /* some traces will not run, or not well */
    DOCTOR_FAIL, /* none will */
};

struct doctor_check {
    enum doctor_verdict verdict;
    const char *name;
    char text[DOCTOR_TEXT_BYTES]; /* what was found; if it is not right, what mends it */
};

struct doctor_report {
    struct doctor_check checks[DOCTOR_MAX_CHECKS];
    int count;
};

/* Judges what the facts tell; a check without facts is left out. */
void doctor_judge(struct doctor_report *report, const struct doctor_facts *facts);

/* True unless a check failed. */
bool doctor_fit(const struct doctor_report *report);

/* Writes the line of a check, with its newline, and returns its length. */
size_t doctor_line(char line[DOCTOR_LINE_BYTES], const struct doctor_check *check);

#endif
