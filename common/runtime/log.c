#include "common/runtime/log.h"

#include "common/logfmt.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* A pipe that is ready for writing takes PIPE_BUF bytes at once. */
#define LINE_BYTES PIPE_BUF

/* Lines a second for one event, so that no peer can fill the disk. Level debug has no limit. */
#define PER_SECOND 20

/* Events that are limited one by one; all others share the last entry. */
#define EVENTS 64

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
static enum log_level threshold = LOG_LEVEL_INFO;

bool log_level_set(const char *name) {
    for (int i = 0; i < 4; i++)
        if (strcmp(name, level_names[i]) == 0) {
            threshold = (enum log_level)i;
            return true;
        }
    return false;
}

bool log_enabled(enum log_level level) { return level <= threshold; }

/* True if the journal reads our standard error; sd-daemon(3) describes the prefix of its lines. */
static bool to_journal(void) {
    static int answer = -1;
    struct stat at;
    char name[48];
    if (answer >= 0)
        return answer == 1;
    const char *journal = getenv("JOURNAL_STREAM");
    answer =
        journal != NULL && fstat(STDERR_FILENO, &at) == 0 &&
        snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)at.st_dev, (uintmax_t)at.st_ino) > 0 &&
        strcmp(journal, name) == 0;
    return answer == 1;
}

/* Whether a line of this event may be written now; *left_out is the number of lines left out since
 * the last one. */
static bool allowed(const char *event, int64_t *left_out) {
    static struct said {
        const char *event;
        time_t second;
        int count;
        int64_t left_out;
    } table[EVENTS];
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    struct said *said = table;
    while (said < table + EVENTS - 1 && said->event != NULL && strcmp(said->event, event) != 0)
        said++;
    said->event = event;
    if (said->second != now.tv_sec)
        said->count = 0;
    said->second = now.tv_sec;
    if (++said->count > PER_SECOND) {
        said->left_out++;
        return false;
    }
    *left_out = said->left_out;
    said->left_out = 0;
    return true;
}

/* A pipe that nobody reads, or a terminal that was stopped, must not block the daemon. A line that
 * cannot be written at once is dropped, and the number of such lines is written with the next one.
 */
static void log_put(const char *line, size_t size) {
    static int64_t unwritten;
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0) {
        unwritten++;
        return;
    }
    if (unwritten > 0) {
        char lost[80];
        int n = snprintf(
            lost, sizeof lost, "level=warn event=log-unwritten lines=%" PRId64 "\n", unwritten);
        unwritten = 0;
        if (write(STDERR_FILENO, lost, (size_t)n) < 0)
            return;
    }
    if (write(STDERR_FILENO, line, size) < 0)
        unwritten++;
}

void log_pairs(enum log_level level, const char *event, const char *pairs) {
    int64_t left_out = 0;
    if (!log_enabled(level) || (level != LOG_LEVEL_DEBUG && !allowed(event, &left_out)))
        return;
    struct timespec now;
    struct tm utc;
    char priority[8] = "", stamp[32], left[40] = "", line[LINE_BYTES + 1];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    if (to_journal())
        (void)snprintf(priority, sizeof priority, "<%d>", priorities[level]);
    if (left_out > 0)
        (void)snprintf(left, sizeof left, " left_out=%" PRId64, left_out);
    int size = snprintf(line, LINE_BYTES, "%sts=%s.%03dZ level=%s event=%s%s%s%s", priority, stamp,
        (int)(now.tv_nsec / 1000000), level_names[level], event, left, pairs[0] != '\0' ? " " : "",
        pairs);
    size_t length = size < LINE_BYTES ? (size_t)size : LINE_BYTES - 1;
    line[length] = '\n';
    log_put(line, length + 1);
}

void log_event(enum log_level level, const char *event, const char *format, ...) {
    char pairs[LOG_PAIRS_BYTES];
    va_list args;
    if (!log_enabled(level))
        return;
    va_start(args, format);
    (void)logfmt_vprint(pairs, sizeof pairs, format, args);
    va_end(args);
    log_pairs(level, event, pairs);
}
