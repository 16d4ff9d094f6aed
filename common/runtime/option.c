#include "common/runtime/option.h"

#include "common/protocol/wire.h"
#include "common/runtime/log.h"
#include "common/runtime/sock.h"

#include <bsd/stdlib.h>
#include <limits.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

int64_t option_number(
    struct argp_state *state, const char *option, const char *arg, int64_t min, int64_t max) {
    const char *wrong = NULL;
    long long value = strtonum(arg, min, max, &wrong);
    if (wrong != NULL)
        argp_failure(state, EX_USAGE, 0, "%s %s: must be %lld..%lld", option, arg, (long long)min,
            (long long)max);
    return value;
}

int64_t option_seconds(
    struct argp_state *state, const char *option, const char *arg, int64_t min_s, int64_t max_s) {
    char number[32];
    size_t size = strlen(arg);
    bool suffix = size > 1 && size < sizeof number && arg[size - 1] == 's';
    (void)snprintf(number, sizeof number, "%.*s", (int)(size - suffix), arg);
    return option_number(state, option, suffix ? number : arg, min_s, max_s);
}

int64_t option_age(
    struct argp_state *state, const char *option, const char *arg, int64_t min_s, int64_t max_s) {
    static const struct {
        char letter;
        int64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char number[20] = "";
    const char *wrong = NULL;
    size_t length = strspn(arg, "0123456789");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (arg[length] == units[i].letter && arg[length + 1] == '\0' && length < sizeof number) {
            memcpy(number, arg, length);
            int64_t value = strtonum(number, 0, max_s / units[i].s, &wrong) * units[i].s;
            if (wrong == NULL && value >= min_s)
                return value;
        }
    argp_failure(state, EX_USAGE, 0, "%s %s: must be %llds..%lldd, such as 90s, 15m, 12h or 7d",
        option, arg, (long long)min_s, (long long)max_s / 86400);
    return min_s;
}

void option_name(
    struct argp_state *state, const char *option, const char *arg, char *out, size_t size) {
    size_t length = strlen(arg);
    if (length < 1 || length >= size || !wire_allowed(arg, length, WIRE_ID_CHARS))
        argp_failure(
            state, EX_USAGE, 0, "%s %s: must be 1..%zu of A-Za-z0-9._:-", option, arg, size - 1);
    else
        memcpy(out, arg, length + 1);
}

const char *option_endpoint(struct argp_state *state, const char *option, const char *arg) {
    const char *wrong = sock_wrong_endpoint(arg);
    if (wrong != NULL)
        argp_failure(state, EX_USAGE, 0, "%s %s: %s", option, arg, wrong);
    return arg;
}

void option_host_name(char *out, size_t size) {
    char host[HOST_NAME_MAX + 1] = "";
    if (gethostname(host, sizeof host) != 0 || host[0] == '\0')
        memcpy(host, "host", sizeof "host");
    host[HOST_NAME_MAX] = '\0';
    size_t i = 0;
    for (; host[i] != '\0' && i + 1 < size; i++)
        out[i] = wire_allowed(&host[i], 1, WIRE_ID_CHARS) ? host[i] : '-';
    out[i] = '\0';
}

void option_log(struct argp_state *state, const char *arg) {
    if (!log_level_set(arg))
        argp_failure(state, EX_USAGE, 0, "--log %s: must be error, warn, info or debug", arg);
}
