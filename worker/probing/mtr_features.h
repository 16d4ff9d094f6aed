/* mtr_features: what a new mtr-packet is asked, and what it says. Pure. */
#ifndef HOPMQ_MTR_FEATURES_H
#define HOPMQ_MTR_FEATURES_H

#include "worker/probing/mtr_line.h"
#include "worker/probing/mtr_tokens.h"

/* What mtr_features_ask() writes at most. */
#define MTR_FEATURES_BYTES (8 * MTR_LINE_BYTES)

struct mtr_features {
    char version[HOP_WORD_BYTES + 1]; /* empty: not said */
    unsigned families;                /* 1 << 4 | 1 << 6 */
    unsigned protocols;               /* 1 << enum trace_protocol */
};

/* Writes all questions, with tokens from 1 to MTR_TOKEN_RIGHTS, and returns their length.
 *
 * The last question is one UDP probe to ourselves. Only raw sockets see its answer: a child that
 * fell back to unprivileged ones says no-reply (MTR_SILENT), and would report wrong hops (measured,
 * 0.95 to HEAD). Any other word, such as that there is no loopback here, says nothing about them.
 */
size_t mtr_features_ask(char out[MTR_FEATURES_BYTES]);

/* Takes what the child said about a feature; false if that was not asked. */
bool mtr_features_take(struct mtr_features *said, const struct mtr_reply *reply);

#endif
