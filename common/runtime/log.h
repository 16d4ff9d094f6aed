/* log: one line for each event on standard error, in logfmt.
 *
 *   ts=2026-01-02T03:04:05.678Z level=info event=worker-up name=ams1
 *
 * Under systemd each line begins with its priority, such as <6>, which the journal removes. Of one
 * event at most 20 lines a second are written; the next line then has left_out=N. Level debug has
 * no such limit. Writing never blocks. */
#ifndef HOPMQ_LOG_H
#define HOPMQ_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Size of the pairs that follow the event, with the NUL; longer ones are cut. */
#define LOG_PAIRS_BYTES 3900

/* "error", "warn", "info", "debug"; false for others. */
bool log_level_set(const char *name);

/* True if events of this level are written. */
bool log_enabled(enum log_level level);

/* Writes the event and after it the formatted pairs, such as `name=%s`. logfmt_vprint() escapes
 * their values. */
void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with pairs that logfmt_print() has formatted. */
void log_pairs(enum log_level level, const char *event, const char *pairs);

#endif
