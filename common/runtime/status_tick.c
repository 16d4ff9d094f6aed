#include "common/runtime/status_tick.h"

#include "common/mem.h"
#include "common/runtime/http_status.h"
#include "common/runtime/systemd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define STATUS_BYTES 256

struct status_tick {
    struct reactor *reactor;
    struct status_tick_sink sink;
    struct http_status *http; /* NULL: there is no HTTP server */
    struct systemd *systemd;  /* NULL: no service manager listens */
    struct exposition page;
    int timer; /* -1: neither is there */
    int64_t watchdog_us, watched_us;
    char status[STATUS_BYTES]; /* last sent to the service manager */
    bool ready;                /* READY=1 was sent */
};

static void put_page(struct status_tick *t) {
    exposition_clear(&t->page);
    exposition_family(
        &t->page, EXPOSITION_GAUGE, "hopmq_build_info", "Always 1; the label has the version.");
    exposition_sample(&t->page, "version", HOPMQ_VERSION, 1);
    exposition_histogram(&t->page, "hopmq_loop_lag_seconds",
        "Delay with which the main loop did what was due.", reactor_lag(t->reactor));
    t->sink.put_metrics(t->sink.context, &t->page);
}

static void tell(struct status_tick *t) {
    const char *unready = t->sink.unready(t->sink.context);
    char status[sizeof t->status];
    (void)snprintf(status, sizeof status, "%s", unready != NULL ? unready : "serving");
    int64_t now_us = reactor_now().mono_us;
    if (t->http != NULL) {
        put_page(t);
        http_status_publish(t->http, &t->page, unready);
    }
    if (!t->ready)
        systemd_send(t->systemd, "READY=1");
    t->ready = true;
    if (strcmp(t->status, status) != 0)
        systemd_send(t->systemd, "STATUS=%s", status);
    memcpy(t->status, status, sizeof t->status);
    if (t->watchdog_us > 0 && now_us - t->watched_us >= t->watchdog_us / 2) {
        systemd_send(t->systemd, "WATCHDOG=1");
        t->watched_us = now_us;
    }
}

static void on_timer(void *context, int fd, short events) {
    uint64_t expirations;
    (void)events;
    if (read(fd, &expirations, sizeof expirations) > 0)
        tell(context);
}

/* The timer expires at once and then every STATUS_TICK_US, or more often if the watchdog needs it.
 */
static void start_timer(struct status_tick *t) {
    int64_t every_us = t->watchdog_us > 0 && t->watchdog_us / 4 < STATUS_TICK_US
                           ? t->watchdog_us / 4
                           : STATUS_TICK_US;
    struct itimerspec when = {
        .it_value = {.tv_nsec = 1}, .it_interval = {every_us / 1000000, every_us % 1000000 * 1000}};
    t->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (t->timer < 0)
        return;
    (void)timerfd_settime(t->timer, 0, &when, NULL);
    reactor_fd(t->reactor, t->timer, ZMQ_POLLIN, on_timer, t);
}

struct status_tick *status_tick_new(struct reactor *reactor, const struct status_tick_sink *sink,
    const char *metrics, bool insecure) {
    struct status_tick *t = mem_new(1, sizeof *t);
    t->reactor = reactor;
    t->sink = *sink;
    t->timer = -1;
    t->systemd = systemd_new();
    t->watchdog_us = systemd_watchdog_us(t->systemd);
    if (metrics != NULL && (t->http = http_status_new(metrics, insecure)) == NULL) {
        status_tick_destroy(&t);
        return NULL;
    }
    if (t->http != NULL || t->systemd != NULL)
        start_timer(t);
    return t;
}

void status_tick_destroy(struct status_tick **status_tick) {
    struct status_tick *t = *status_tick;
    if (t == NULL)
        return;
    if (t->timer >= 0) {
        reactor_fd_end(t->reactor, t->timer);
        (void)close(t->timer);
    }
    http_status_destroy(&t->http);
    systemd_destroy(&t->systemd);
    exposition_free(&t->page);
    free(t);
    *status_tick = NULL;
}

void status_tick_stopping(struct status_tick *t) {
    t->ready = true; /* READY=1 must not follow */
    systemd_send(t->systemd, "STOPPING=1");
    if (t->timer >= 0)
        tell(t);
}
