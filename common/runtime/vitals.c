#include "common/runtime/vitals.h"

#include "common/mem.h"
#include "common/runtime/metrics.h"
#include "common/runtime/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define STATUS_BYTES 256

struct vitals {
    struct reactor *reactor;
    struct vitals_sink sink;
    struct metrics *metrics; /* NULL: nobody asks */
    struct notify *notify;   /* NULL: nobody asks */
    struct exposition page;
    int timer; /* -1: none */
    int64_t watchdog_us, watched_us;
    char status[STATUS_BYTES]; /* that was told last */
    bool ready;                /* was told */
};

static void put_metrics(struct vitals *v) {
    exposition_clear(&v->page);
    exposition_family(
        &v->page, EXPOSITION_GAUGE, "hopmq_build_info", "Always 1; the label tells the version.");
    exposition_sample(&v->page, "version", HOPMQ_VERSION, 1);
    exposition_histogram(&v->page, "hopmq_loop_lag_seconds",
        "How late the main loop did what was due.", reactor_lag(v->reactor));
    v->sink.put_metrics(v->sink.context, &v->page);
}

static void tell(struct vitals *v) {
    const char *unready = v->sink.unready(v->sink.context);
    char status[sizeof v->status];
    (void)snprintf(status, sizeof status, "%s", unready != NULL ? unready : "serving");
    int64_t now_us = reactor_now().mono_us;
    if (v->metrics != NULL) {
        put_metrics(v);
        metrics_publish(v->metrics, &v->page, unready);
    }
    if (!v->ready)
        notify_send(v->notify, "READY=1");
    v->ready = true;
    if (strcmp(v->status, status) != 0)
        notify_send(v->notify, "STATUS=%s", status);
    memcpy(v->status, status, sizeof v->status);
    if (v->watchdog_us > 0 && now_us - v->watched_us >= v->watchdog_us / 2) {
        notify_send(v->notify, "WATCHDOG=1");
        v->watched_us = now_us;
    }
}

static void on_timer(void *context, int fd, short events) {
    uint64_t expirations;
    (void)events;
    if (read(fd, &expirations, sizeof expirations) > 0)
        tell(context);
}

/* The first time at once; so often that the watchdog is never missed. */
static void start(struct vitals *v) {
    int64_t every_us =
        v->watchdog_us > 0 && v->watchdog_us / 4 < VITALS_US ? v->watchdog_us / 4 : VITALS_US;
    struct itimerspec when = {
        .it_value = {.tv_nsec = 1}, .it_interval = {every_us / 1000000, every_us % 1000000 * 1000}};
    v->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (v->timer < 0)
        return;
    (void)timerfd_settime(v->timer, 0, &when, NULL);
    reactor_fd(v->reactor, v->timer, ZMQ_POLLIN, on_timer, v);
}

struct vitals *vitals_new(
    struct reactor *reactor, const struct vitals_sink *sink, const char *metrics, bool insecure) {
    struct vitals *v = mem_new(1, sizeof *v);
    v->reactor = reactor;
    v->sink = *sink;
    v->timer = -1;
    v->notify = notify_new();
    v->watchdog_us = notify_watchdog_us(v->notify);
    if (metrics != NULL && (v->metrics = metrics_new(metrics, insecure)) == NULL) {
        vitals_destroy(&v);
        return NULL;
    }
    if (v->metrics != NULL || v->notify != NULL)
        start(v);
    return v;
}

void vitals_destroy(struct vitals **vitals) {
    struct vitals *v = *vitals;
    if (v == NULL)
        return;
    if (v->timer >= 0) {
        reactor_fd_end(v->reactor, v->timer);
        (void)close(v->timer);
    }
    metrics_destroy(&v->metrics);
    notify_destroy(&v->notify);
    exposition_free(&v->page);
    free(v);
    *vitals = NULL;
}

void vitals_stopping(struct vitals *v) {
    v->ready = true; /* or past it */
    notify_send(v->notify, "STOPPING=1");
    if (v->timer >= 0)
        tell(v);
}
