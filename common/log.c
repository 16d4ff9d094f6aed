#include "common/log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024

/* Of one event, so many lines a second; a peer must not fill the disk. */
#define PER_SECOND 20

/* Events that are told apart; all further ones share the last place. */
#define EVENTS 64

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static enum log_level threshold = LOG_LEVEL_INFO;

bool log_level_set(const char *name) {
    for (int i = 0; i < 4; i++)
        if (strcmp(name, level_names[i]) == 0) {
            threshold = (enum log_level)i;
            return true;
        }
    return false;
}

/* How often this event may be said now; *left_out is what was not said since it last was. */
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

/* A pipe that nobody reads, or a terminal that was stopped, must not stop the daemon: where a line
 * cannot be written at once, it is left out, and counted with the next that can. */
static void put(const char *line, size_t size) {
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

void log_event(enum log_level level, const char *event, const char *format, ...) {
    int64_t left_out = 0;
    if (level > threshold || !allowed(event, &left_out))
        return;
    struct timespec now;
    struct tm utc;
    char stamp[32], line[LINE_BYTES + 1];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    size_t used = (size_t)snprintf(line, LINE_BYTES, "ts=%s.%03dZ level=%s event=%s", stamp,
        (int)(now.tv_nsec / 1000000), level_names[level], event);
    if (format[0] != '\0') {
        va_list args;
        va_start(args, format);
        line[used++] = ' ';
        (void)vsnprintf(line + used, LINE_BYTES - used, format, args);
        va_end(args);
    }
    if (left_out > 0 && (used = strlen(line)) < LINE_BYTES)
        (void)snprintf(line + used, LINE_BYTES - used, " left_out=%" PRId64, left_out);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    size_t length = strlen(line);
    line[length] = '\n';
    put(line, length + 1);
}
