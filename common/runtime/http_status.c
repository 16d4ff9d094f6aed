#include "common/runtime/http_status.h"

#include "common/mem.h"
#include "common/runtime/listen.h"
#include "common/runtime/log.h"
#include "common/runtime/process.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT "text/plain; charset=utf-8"
#define PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"

/* Memory for one connection; a request that needs more is refused. */
#define CONNECTION_BYTES 8192

#define REASON_BYTES 256

struct http_status {
    struct MHD_Daemon *server;
    int64_t started_us;        /* wall clock */
    atomic_llong published_us; /* monotonic; 0: nothing yet */
    pthread_mutex_t lock;      /* protects page and unready */
    struct exposition page;
    char unready[REASON_BYTES]; /* empty if the process serves */
};

static int64_t clock_us(clockid_t clock) {
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* ---- the server's thread ---------------------------------------------------------------- */

static enum MHD_Result send_text(
    struct MHD_Connection *to, unsigned status, const char *type, char *text, size_t size) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(to, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result send_line(struct MHD_Connection *to, unsigned status, const char *line) {
    char text[REASON_BYTES + 1];
    size_t size = (size_t)snprintf(text, sizeof text, "%.*s\n", REASON_BYTES - 1, line);
    return send_text(to, status, TEXT, mem_copy(text, size), size);
}

static enum MHD_Result send_page(struct http_status *h, struct MHD_Connection *to) {
    struct exposition whole = {0};
    (void)pthread_mutex_lock(&h->lock);
    exposition_append(&whole, &h->page);
    (void)pthread_mutex_unlock(&h->lock);
    process_put(&whole, h->started_us);
    return send_text(to, MHD_HTTP_OK, PROMETHEUS, whole.text, whole.size);
}

/* Why the process is not healthy, NULL if it is. */
static const char *illness(struct http_status *h) {
    int64_t published_us = atomic_load(&h->published_us);
    if (published_us == 0)
        return "starting";
    return clock_us(CLOCK_MONOTONIC) - published_us > HTTP_STATUS_HEALTHY_US
               ? "the main loop does not run"
               : NULL;
}

static enum MHD_Result send_readiness(struct http_status *h, struct MHD_Connection *to) {
    char unready[REASON_BYTES];
    const char *ill = illness(h);
    (void)pthread_mutex_lock(&h->lock);
    memcpy(unready, h->unready, sizeof unready);
    (void)pthread_mutex_unlock(&h->lock);
    const char *why = ill != NULL ? ill : unready;
    return why[0] != '\0' ? send_line(to, MHD_HTTP_SERVICE_UNAVAILABLE, why)
                          : send_line(to, MHD_HTTP_OK, "ready");
}

static enum MHD_Result answer_request(void *context, struct MHD_Connection *to, const char *path,
    const char *method, const char *version, const char *upload, size_t *upload_size,
    void **state) {
    struct http_status *h = context;
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return send_line(to, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are allowed");
    const char *ill = illness(h);
    if (strcmp(path, "/healthz") == 0)
        return ill == NULL ? send_line(to, MHD_HTTP_OK, "healthy")
                           : send_line(to, MHD_HTTP_SERVICE_UNAVAILABLE, ill);
    if (strcmp(path, "/readyz") == 0)
        return send_readiness(h, to);
    if (strcmp(path, "/metrics") != 0)
        return send_line(to, MHD_HTTP_NOT_FOUND, "not found; try /metrics, /healthz or /readyz");
    return send_page(h, to);
}

/* ---- the main loop ---------------------------------------------------------------------- */

struct http_status *http_status_new(const char *address, bool insecure) {
    int fd = listen_at("--metrics", address, insecure);
    if (fd < 0)
        return NULL;
    struct http_status *h = mem_new(1, sizeof *h);
    h->started_us = clock_us(CLOCK_REALTIME);
    (void)pthread_mutex_init(&h->lock, NULL);
    h->server = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL, answer_request, h,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_STATUS_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTP_STATUS_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    if (h->server == NULL) {
        (void)fprintf(stderr, "%s: --metrics %s: the server could not be started\n",
            program_invocation_short_name, address);
        (void)close(fd);
        http_status_destroy(&h);
        return NULL;
    }
    log_event(LOG_LEVEL_INFO, "metrics", "address=%s port=%d", address, listen_port(fd));
    return h;
}

void http_status_destroy(struct http_status **http) {
    struct http_status *h = *http;
    if (h == NULL)
        return;
    if (h->server != NULL)
        MHD_stop_daemon(h->server);
    (void)pthread_mutex_destroy(&h->lock);
    exposition_free(&h->page);
    free(h);
    *http = NULL;
}

void http_status_publish(struct http_status *h, struct exposition *page, const char *unready) {
    if (pthread_mutex_trylock(&h->lock) == 0) {
        struct exposition old = h->page;
        h->page = *page;
        *page = old;
        (void)snprintf(h->unready, sizeof h->unready, "%s", unready != NULL ? unready : "");
        (void)pthread_mutex_unlock(&h->lock);
    }
    atomic_store(&h->published_us, clock_us(CLOCK_MONOTONIC));
}
