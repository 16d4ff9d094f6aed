#include "worker/session/capabilities.h"

#include "worker/probing/mtr_line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define IPV6_SIZE_MIN 48

static bool capabilities_refuse(struct result_body *body, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool capabilities_refuse(
    struct result_body *body, const char *code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(body->error_message, sizeof body->error_message, format, args);
    va_end(args);
    (void)snprintf(body->error_code, sizeof body->error_code, "%s", code);
    body->stop = STOP_PROBER_ERROR;
    return false;
}

unsigned capabilities_flows(const char *version, unsigned families, unsigned protocols) {
    unsigned flows = 0;
    for (int af = 4; af <= 6; af += 2)
        if ((protocols >> TRACE_UDP & 1) != 0 && mtr_keeps_flow(version, af))
            flows |= families & 1U << af;
    return flows;
}

bool capabilities_check(const struct trace *trace, int af, unsigned protocols, const char *version,
    struct result_body *body) {
    if ((protocols >> trace->protocol & 1) == 0)
        return capabilities_refuse(body, "unavailable",
            "protocol: %s: not supported by mtr-packet %s", trace_protocol_names[trace->protocol],
            version);
    if (trace->protocol == TRACE_UDP && af == 6 && mtr_minor(version) == 93)
        return capabilities_refuse(
            body, "unavailable", "protocol: udp: mtr-packet 0.93 cannot send UDP over IPv6");
    if (trace->protocol == TRACE_UDP && trace->port >= CAPABILITIES_PORT_LIMIT)
        return capabilities_refuse(body, "bad-request",
            "port: %" PRId64
            ": must be below %d for udp, since mtr-packet numbers its probes from there on",
            trace->port, CAPABILITIES_PORT_LIMIT);
    if (trace->flow >= 0 && !mtr_keeps_flow(version, af))
        return capabilities_refuse(body, "unavailable",
            "flow: IPv%d needs mtr-packet 0.%d, this worker has %s", af, af == 4 ? 93 : 96,
            version);
    if (trace->size < IPV6_SIZE_MIN && af == 6)
        return capabilities_refuse(body, "bad-request",
            "size: %" PRId64 ": must be %d..1500 for IPv6", trace->size, IPV6_SIZE_MIN);
    return true;
}
