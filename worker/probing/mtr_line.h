/* mtr_line: the line protocol of mtr-packet, both directions. Pure.
 *
 * The facts are from mtr's source (packet/cmdparse.c, command.c, probe.c) and from measurements of
 * the versions 0.88 to 0.96. mtr-packet checks next to nothing. So callers have checked the range
 * of every number that goes into a line, and every address is printed from its bytes.
 */
#ifndef HOPMQ_MTR_LINE_H
#define HOPMQ_MTR_LINE_H

#include "common/addr.h"
#include "common/protocol/hop.h"

#define MTR_LINE_BYTES 512   /* the longest probe line is 229 bytes */
#define MTR_WAY_BYTES 136    /* the longest way is 133 bytes */
#define MTR_REPLY_BYTES 1024 /* the longest reply, with 8 labels, is under 400 bytes */

struct mtr_probe {
    int32_t token;
    int protocol; /* enum trace_protocol */
    struct addr target, local;
    uint8_t ttl;
    uint8_t timeout_s; /* whole seconds, at least 1 */
    uint8_t tos, bit_pattern;
    uint16_t size;
    uint16_t port;       /* 0: the prober's own choice */
    uint16_t local_port; /* 0: the prober's own choice; udp only */
};

/* Writes the command, with its newline, and returns its length. */
size_t mtr_line_probe(char line[MTR_LINE_BYTES], const struct mtr_probe *probe);

/* The same in two steps: first the part that all probes of a trace have in common (addresses and
 * protocol), then the whole command of one probe. */
void mtr_line_way(char way[MTR_WAY_BYTES], const struct mtr_probe *probe);
size_t mtr_line_on_way(char line[MTR_LINE_BYTES], const char *way, const struct mtr_probe *probe);

/* Writes `TOKEN check-support feature FEATURE` and returns its length. */
size_t mtr_line_feature(char line[MTR_LINE_BYTES], int32_t token, const char *feature);

/* Writes a command that uses up a sequence number and sends nothing: it is answered with
 * invalid-argument (measured, 0.88 to 0.96). Returns its length. */
size_t mtr_line_skip(char line[MTR_LINE_BYTES], int32_t token);

/* The N of version 0.N, which may carry a suffix such as -12-gabcdef; 0 if it cannot be read. */
int mtr_minor(const char *version);
#define MTR_MINOR_OF_1 1000 /* for 1.0 and later */

/* True if UDP probes with both ports given keep the five-tuple and are answered: IPv4 since 0.93
 * (before, targets see a wrong checksum), IPv6 since 0.96 (before, there are no replies). */
bool mtr_keeps_flow(const char *version, int af);

/* What the words of all versions mean to a trace. */
enum mtr_class {
    MTR_REPLY,       /* the target answered */
    MTR_EXPIRED,     /* a router did */
    MTR_UNREACHABLE, /* somebody with an address says that the target cannot be reached */
    MTR_SILENT,      /* no answer within the timeout */
    MTR_NO_ROUTE,    /* the host could not send it */
    MTR_EXHAUSTED,   /* the prober has no free slot */
    MTR_DENIED,
    MTR_INVALID,
    MTR_TOO_LONG, /* than the interface lets out: 0.96 sends it in fragments instead */
    MTR_FEATURE,  /* the answer to check-support, in `support` */
    MTR_TROUBLE,  /* any other word: data, never fatal */
};

struct mtr_reply {
    int32_t token;
    enum mtr_class class;
    char word[HOP_WORD_BYTES + 1];
    char support[HOP_WORD_BYTES + 1];
    struct addr addr;     /* af 0: none */
    int64_t rtt_us;       /* -1: none; INT64_MAX: a negative one */
    int64_t error_number; /* 0: none */
    uint8_t mpls_count;
    struct mpls_label mpls[HOP_MPLS_MAX];
};

/* Reads a line without its newline. False if it is not a reply: no token, no word, an argument
 * without value, or a value that is not what its name promises. Unknown arguments are ignored. */
bool mtr_line_parse(struct mtr_reply *reply, const char *line, size_t size);

/* Cuts a byte stream into lines. */
struct mtr_framer {
    char line[MTR_REPLY_BYTES];
    size_t used;
    bool skipping;     /* inside a line that was too long */
    uint64_t overlong; /* lines dropped for it */
};

/* Takes bytes from *data until a line is complete; NULL if all were taken before. The line is
 * valid until the next call; *size is its length. */
const char *mtr_framer_next(
    struct mtr_framer *framer, const char **data, size_t *left, size_t *size);

#endif
