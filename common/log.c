#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

void log_event(enum log_level level, const char *event, const char *format, ...) {
    if (level > threshold)
        return;
    struct timespec now;
    struct tm utc;
    char stamp[32], line[1024];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    size_t used = (size_t)snprintf(line, sizeof line, "ts=%s.%03dZ level=%s event=%s", stamp,
        (int)(now.tv_nsec / 1000000), level_names[level], event);
    if (format[0] != '\0') {
        va_list args;
        va_start(args, format);
        line[used++] = ' ';
        (void)vsnprintf(line + used, sizeof line - used, format, args);
        va_end(args);
    }
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    (void)fprintf(stderr, "%s\n", line);
}
