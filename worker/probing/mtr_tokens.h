/* mtr_tokens: whose answer a line of mtr-packet is, by its token. Pure.
 *
 * Every command carries a token and its answer repeats it. Three modules send commands to one
 * mtr-packet, and each has tokens of its own: 1..MTR_TOKEN_RIGHTS are those of mtr_features, the
 * three below MTR_TOKEN_PROBES and all above are those of mux. mtr-packet uses 0 itself, for
 * commands that it could not read.
 */
#ifndef HOPMQ_MTR_TOKENS_H
#define HOPMQ_MTR_TOKENS_H

#include <stdint.h>

/* The last question of mtr_features_ask(): may this mtr-packet use raw sockets? */
#define MTR_TOKEN_RIGHTS 8

/* A probe that shows the prober's sequence number. Tokens from here on are answered to the mux. */
#define MTR_TOKEN_SEQ_CHECK 2045

/* The question whether the prober is alive, see mux_tick(). */
#define MTR_TOKEN_HEALTH 2046

/* A command that only uses up a sequence number. */
#define MTR_TOKEN_SKIP 2047

/* Probes of traces have this token or a higher one: see slots_token(). */
#define MTR_TOKEN_PROBES 2048

/* mtr-packet keeps tokens in an int. */
#define MTR_TOKEN_MAX INT32_MAX

#endif
