/* log: one line an event on standard error, in logfmt.
 *
 *   ts=2026-01-02T03:04:05.678Z level=info event=worker-up name=ams1
 *
 * Of one event at most 20 lines a second are written; the next one then says left_out=N. Writing
 * never blocks.
 */
#ifndef HOPMQ_LOG_H
#define HOPMQ_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* "error", "warn", "info", "debug"; false for others. */
bool log_level_set(const char *name);

/* Writes the event, and, unless format is empty, what it yields after it: pairs such as
 * `name=%s`. Control characters become '?'. */
void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
