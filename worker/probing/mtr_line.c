#include "worker/probing/mtr_line.h"

#include "common/decimal.h"
#include "common/protocol/trace.h"
#include "worker/probing/mtr_tokens.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every word of 0.88 to HEAD (packet/command.c, probe.c, probe_unix.c), and since when it is said
 * for what it means here. Those with an address mean more: see meaning_of(). */
static const struct meaning {
    const char *word;
    enum mtr_class class;
} meanings[] = {
    {"reply", MTR_REPLY}, {"ttl-expired", MTR_EXPIRED}, {"no-reply", MTR_SILENT},
    {"wait-tcp-respone-timeout", MTR_SILENT}, /* 0.96, in its own spelling */
    {"no-route", MTR_NO_ROUTE},               /* up to 0.95; with an address since 0.93 */
    {"no-route-host", MTR_NO_ROUTE},          /* 0.96; with an address: any unreachable */
    {"no-route-network", MTR_NO_ROUTE},       /* 0.96 */
    {"network-down", MTR_NO_ROUTE}, {"host-down", MTR_NO_ROUTE}, /* 0.96 */
    {"address-not-available", MTR_NO_ROUTE}, /* 0.96: the source is none of this host's */
    {"probes-exhausted", MTR_EXHAUSTED}, {"permission-denied", MTR_DENIED},
    {"invalid-argument", MTR_INVALID}, {"feature-support", MTR_FEATURE},
    {"address-in-use", MTR_TROUBLE},
    {"unexpected-error", MTR_TROUBLE}, /* errno tells more: see meaning_of() */
    {"unknown-command", MTR_TROUBLE}, {"command-parse-error", MTR_TROUBLE}, /* with token 0 */
    {"command-buffer-overflow", MTR_TROUBLE},                               /* with token 0 */
};

static char *put_number(char *at, const char *name, uint32_t value) {
    return decimal_put(stpcpy(at, name), value);
}

static char *put_addr(char *at, const char *name, const struct addr *addr) {
    char text[ADDR_TEXT];
    at = stpcpy(stpcpy(at, name), addr->af == 4 ? "4 " : "6 ");
    return stpcpy(at, addr_print(addr, text));
}

void mtr_line_way(char way[MTR_WAY_BYTES], const struct mtr_probe *probe) {
    char *at = put_addr(way, " send-probe ip-", &probe->target);
    at = put_addr(at, " local-ip-", &probe->local);
    at = stpcpy(stpcpy(at, " protocol "), trace_protocol_names[probe->protocol]);
    *at = '\0';
}

size_t mtr_line_probe(char line[MTR_LINE_BYTES], const struct mtr_probe *probe) {
    char way[MTR_WAY_BYTES];
    mtr_line_way(way, probe);
    return mtr_line_on_way(line, way, probe);
}

size_t mtr_line_on_way(char line[MTR_LINE_BYTES], const char *way, const struct mtr_probe *probe) {
    char *at = stpcpy(decimal_put(line, (uint32_t)probe->token), way);
    at = put_number(at, " ttl ", probe->ttl);
    at = put_number(at, " timeout ", probe->timeout_s);
    if (probe->port != 0)
        at = put_number(at, " port ", probe->port);
    if (probe->local_port != 0)
        at = put_number(at, " local-port ", probe->local_port);
    if (probe->size != 64)
        at = put_number(at, " size ", probe->size);
    if (probe->tos != 0)
        at = put_number(at, " tos ", probe->tos);
    if (probe->bit_pattern != 0)
        at = put_number(at, " bit-pattern ", probe->bit_pattern);
    *at++ = '\n';
    return (size_t)(at - line);
}

size_t mtr_line_feature(char line[MTR_LINE_BYTES], int32_t token, const char *feature) {
    return (size_t)snprintf(line, MTR_LINE_BYTES, "%d check-support feature %s\n", token, feature);
}

size_t mtr_line_skip(char line[MTR_LINE_BYTES], int32_t token) {
    return (size_t)snprintf(line, MTR_LINE_BYTES, "%d send-probe ip-4 0\n", token);
}

int mtr_minor(const char *version) {
    char *end;
    long major = strtol(version, &end, 10);
    long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return major > 0 ? MTR_MINOR_OF_1 : (int)minor;
}

bool mtr_keeps_flow(const char *version, int af) {
    return mtr_minor(version) >= (af == 4 ? 93 : 96);
}

/* ---- replies ---------------------------------------------------------------------------- */

struct word {
    const char *at;
    size_t size;
};

static bool next_word(struct word *word, const char **at, const char *end) {
    while (*at < end && **at == ' ')
        (*at)++;
    word->at = *at;
    while (*at < end && **at != ' ')
        (*at)++;
    word->size = (size_t)(*at - word->at);
    return word->size > 0;
}

static bool is(const struct word *word, const char *text) {
    return word->size == strlen(text) && memcmp(word->at, text, word->size) == 0;
}

/* Digits only, at most max; *at stops behind them. */
static bool read_digits(const char **at, const char *end, int64_t max, int64_t *out) {
    const char *start = *at;
    int64_t value = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        int digit = **at - '0';
        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return *at > start;
}

static bool whole_number(const struct word *word, int64_t max, int64_t *out) {
    const char *at = word->at, *end = at + word->size;
    return read_digits(&at, end, max, out) && at == end;
}

static bool copy_word(char out[HOP_WORD_BYTES + 1], const struct word *word) {
    if (word->size > HOP_WORD_BYTES || !wire_allowed(word->at, word->size, 0))
        return false;
    memcpy(out, word->at, word->size);
    out[word->size] = '\0';
    return true;
}

static bool read_addr(struct addr *addr, const struct word *word, int af) {
    char text[ADDR_TEXT];
    if (word->size >= sizeof text)
        return false;
    memcpy(text, word->at, word->size);
    text[word->size] = '\0';
    return addr_parse(addr, text) && addr->af == af;
}

/* label,tc,s,ttl of every label, all in one list. */
static bool read_mpls(struct mtr_reply *reply, const struct word *word) {
    static const int64_t max[4] = {0xfffff, 7, 1, 255};
    const char *at = word->at, *end = at + word->size;
    for (;;) {
        int64_t v[4];
        if (reply->mpls_count == HOP_MPLS_MAX)
            return false;
        for (int i = 0; i < 4; i++)
            if (!read_digits(&at, end, max[i], &v[i]) || (i < 3 && (at == end || *at++ != ',')))
                return false;
        reply->mpls[reply->mpls_count++] =
            (struct mpls_label){(uint32_t)v[0], (uint8_t)v[1], (uint8_t)v[2], (uint8_t)v[3]};
        if (at == end)
            return true;
        if (*at++ != ',')
            return false;
    }
}

/* The difference of two readings of the wall clock, which all releases up to 0.96 print with %d: it
 * is negative if the clock was set meanwhile. What cannot be is a time beyond all others here. */
static bool read_time(const struct word *word, int64_t *rtt_us) {
    struct word digits = *word;
    bool negative = word->size > 1 && word->at[0] == '-';
    digits.at += negative;
    digits.size -= negative;
    if (!whole_number(&digits, INT64_MAX, rtt_us))
        return false;
    *rtt_us = negative ? INT64_MAX : *rtt_us;
    return true;
}

static bool read_argument(
    struct mtr_reply *reply, const struct word *name, const struct word *value) {
    if (is(name, "ip-4"))
        return read_addr(&reply->addr, value, 4);
    if (is(name, "ip-6"))
        return read_addr(&reply->addr, value, 6);
    if (is(name, "round-trip-time"))
        return read_time(value, &reply->rtt_us);
    if (is(name, "mpls"))
        return read_mpls(reply, value);
    if (is(name, "errno"))
        return whole_number(value, INT32_MAX, &reply->error_number);
    if (is(name, "support"))
        return copy_word(reply->support, value);
    return true;
}

static enum mtr_class meaning_of(const struct mtr_reply *reply) {
    enum mtr_class class = MTR_TROUBLE;
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (strcmp(reply->word, meanings[i].word) == 0) {
            class = meanings[i].class;
            break;
        }
    if (reply->error_number == EMSGSIZE)
        return MTR_TOO_LONG;
    bool answered = reply->addr.af != 0 && reply->rtt_us >= 0;
    if (class == MTR_NO_ROUTE && answered)
        return MTR_UNREACHABLE;
    if ((class == MTR_REPLY || class == MTR_EXPIRED) && !answered)
        return MTR_TROUBLE;
    return class;
}

bool mtr_line_parse(struct mtr_reply *reply, const char *line, size_t size) {
    const char *at = line, *end = line + size;
    struct word token, word, name, value;
    int64_t number_of_token;
    memset(reply, 0, sizeof *reply);
    reply->rtt_us = -1;
    if (!next_word(&token, &at, end) || !whole_number(&token, MTR_TOKEN_MAX, &number_of_token) ||
        !next_word(&word, &at, end) || !copy_word(reply->word, &word))
        return false;
    reply->token = (int32_t)number_of_token;
    while (next_word(&name, &at, end))
        if (!next_word(&value, &at, end) || !read_argument(reply, &name, &value))
            return false;
    reply->class = meaning_of(reply);
    return true;
}

const char *mtr_framer_next(
    struct mtr_framer *framer, const char **data, size_t *left, size_t *size) {
    while (*left > 0) {
        const char *newline = memchr(*data, '\n', *left);
        size_t part = newline != NULL ? (size_t)(newline - *data) : *left;
        if (!framer->skipping && part > sizeof framer->line - framer->used) {
            framer->skipping = true;
            framer->overlong++;
        }
        if (!framer->skipping) {
            memcpy(framer->line + framer->used, *data, part);
            framer->used += part;
        }
        size_t taken = part + (newline != NULL);
        *data += taken;
        *left -= taken;
        if (newline == NULL)
            break;
        bool whole = !framer->skipping;
        *size = framer->used;
        framer->used = 0;
        framer->skipping = false;
        if (whole)
            return framer->line;
    }
    return NULL;
}
