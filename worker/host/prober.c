#include "worker/host/prober.h"

#include "common/mem.h"
#include "common/runtime/log.h"
#include "worker/host/mtr_spawn.h"
#include "worker/probing/mtr_features.h"
#include "worker/probing/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES 65536

/* Commands wait in a queue of this size while the pipe is full. It is large enough, since slots
 * bound how many commands can be out. */
#define OUT_BYTES (SLOTS_MAX * MTR_LINE_BYTES + MUX_MAX_SKIPS * 32)

enum prober_state {
    PROBER_OFF,      /* there is no child; the next one starts at due_us */
    PROBER_STARTING, /* the child is asked what it supports */
    PROBER_UP,       /* the child has answered */
    PROBER_CLOSING,  /* the input of the child is closed, and it ends by itself */
};

struct prober {
    struct reactor *reactor;
    struct prober_sink sink;
    char *path;
    enum prober_state state;
    struct mtr_child child;
    bool waits_to_write;
    int64_t due_us; /* the start of the next child, or the end of our patience with this one */
    int64_t up_us, backoff_us, restarts;
    int failures;    /* in a row */
    int bad_lines;   /* of this child */
    const char *why; /* why the child is to be replaced */
    struct mtr_framer framer;
    struct mtr_features said;
    size_t queued;
    char queue[OUT_BYTES];
};

/* ---- finding and starting --------------------------------------------------------------- */

struct prober *prober_new(struct reactor *reactor, const struct prober_sink *sink) {
    char why[MTR_SPAWN_WHY_BYTES];
    const char *fix;
    char *path = mtr_spawn_find(why, &fix);
    if (path == NULL) {
        (void)fprintf(stderr, "hopmq-worker: %s; %s\n", why, fix);
        return NULL;
    }
    struct prober *p = mem_new(1, sizeof *p);
    p->reactor = reactor;
    p->sink = *sink;
    p->path = path;
    p->child.in = p->child.out = -1;
    p->due_us = INT64_MAX;
    p->backoff_us = PROBER_BACKOFF_MIN_US;
    return p;
}

int64_t prober_restarts(const struct prober *p) { return p->restarts; }

/* Returns NULL, or why there is no child. A child whose ICMP id is taken is no failure: the next
 * one has another pid, and so another id. */
static const char *start_child(struct prober *p) {
    for (int tries = 0; tries < PROBER_ID_TRIES; tries++) {
        int failed = mtr_spawn_start(&p->child, p->path, reactor_original_mask(p->reactor));
        if (failed != 0) {
            log_event(
                LOG_LEVEL_ERROR, "prober-start", "path=%s error=\"%s\"", p->path, strerror(failed));
            return strerror(failed);
        }
        if (p->sink.started(p->sink.context, p->child.pid))
            return NULL;
        log_event(LOG_LEVEL_INFO, "prober-id-taken", "pid=%d", (int)p->child.pid);
        (void)mtr_spawn_end(&p->child);
    }
    return "its ICMP id could not be claimed";
}

static void on_readable(void *context, int fd, short events);

static void ask_features(struct prober *p) {
    char questions[MTR_FEATURES_BYTES] = "";
    memset(&p->said, 0, sizeof p->said);
    prober_send(p, questions, mtr_features_ask(questions));
    prober_flush(p);
}

/* There is no child. Plans the start of the next one, and reports trouble if it is no accident. */
static void failed(struct prober *p, const char *why) {
    char text[PROBER_WHY_BYTES];
    p->state = PROBER_OFF;
    p->due_us = reactor_now().mono_us + p->backoff_us;
    p->backoff_us =
        p->backoff_us * 2 < PROBER_BACKOFF_MAX_US ? p->backoff_us * 2 : PROBER_BACKOFF_MAX_US;
    if (++p->failures < PROBER_PATIENCE)
        return;
    (void)snprintf(text, sizeof text, "mtr-packet: %s", why);
    p->sink.trouble(p->sink.context, text);
}

void prober_start(struct prober *p) {
    const char *why = start_child(p);
    if (why != NULL) {
        failed(p, why);
        return;
    }
    (void)fcntl(p->child.in, F_SETFL, O_NONBLOCK);
    (void)fcntl(p->child.out, F_SETFL, O_NONBLOCK);
    p->state = PROBER_STARTING;
    p->due_us = reactor_now().mono_us + PROBER_START_US;
    memset(&p->framer, 0, sizeof p->framer);
    p->bad_lines = 0;
    reactor_fd(p->reactor, p->child.out, ZMQ_POLLIN, on_readable, p);
    ask_features(p);
}

/* ---- ending ----------------------------------------------------------------------------- */

static void close_input(struct prober *p) {
    if (p->child.in < 0)
        return;
    if (p->waits_to_write)
        reactor_fd_end(p->reactor, p->child.in);
    p->waits_to_write = false;
    (void)close(p->child.in);
    p->child.in = -1;
    p->queued = 0;
}

/* Kills and reaps the child. Its answers that were not read yet are lost. Returns its status, which
 * is its own if it had ended before. */
static int reap(struct prober *p) {
    int status = 0;
    if (p->child.out < 0)
        return status;
    reactor_fd_end(p->reactor, p->child.out);
    close_input(p);
    status = mtr_spawn_end(&p->child);
    log_event(LOG_LEVEL_DEBUG, "prober-reaped", "pid=%d status=%d", (int)p->child.pid, status);
    return status;
}

/* The child has ended, or is to end. `why` is NULL if it has closed a pipe: its status then says
 * more. */
static void ended(struct prober *p, const char *why) {
    char text[PROBER_WHY_BYTES];
    enum prober_state was = p->state;
    int status = reap(p);
    p->state = PROBER_OFF;
    p->due_us = INT64_MAX;
    if (was == PROBER_CLOSING)
        return;
    if (why == NULL) {
        if (WIFEXITED(status))
            (void)snprintf(text, sizeof text, "ended with status %d", WEXITSTATUS(status));
        else if (WTERMSIG(status) == SIGKILL) /* which may have been sent by reap() */
            (void)snprintf(text, sizeof text, "closed its output, or was killed");
        else
            (void)snprintf(text, sizeof text, "ended by signal %d", WTERMSIG(status));
        why = text;
    }
    if (was == PROBER_UP && reactor_now().mono_us - p->up_us > PROBER_STEADY_US) {
        p->backoff_us = PROBER_BACKOFF_MIN_US;
        p->failures = 0;
    }
    log_event(LOG_LEVEL_WARN, "prober-ended", "pid=%d why=\"%s\" restart_ms=%" PRId64,
        (int)p->child.pid, why, p->backoff_us / 1000);
    p->restarts++;
    if (was == PROBER_UP)
        p->sink.down(p->sink.context);
    failed(p, why);
}

bool prober_close(struct prober *p) {
    if (p->state == PROBER_UP) {
        close_input(p);
        p->state = PROBER_CLOSING;
        p->due_us = reactor_now().mono_us + PROBER_CLOSE_US;
    } else if (p->state != PROBER_CLOSING) {
        (void)reap(p);
        p->state = PROBER_OFF;
        p->due_us = INT64_MAX;
    }
    return p->state == PROBER_OFF;
}

bool prober_closing(const struct prober *p) { return p->state == PROBER_CLOSING; }

void prober_replace(struct prober *p, const char *why) {
    if (p->state == PROBER_OFF)
        return;
    /* Not at once, since the caller may be the mux in the middle of its work. */
    p->why = why;
    p->due_us = 0;
}

void prober_destroy(struct prober **prober) {
    struct prober *p = *prober;
    if (p == NULL)
        return;
    (void)reap(p);
    free(p->path);
    free(p);
    *prober = NULL;
}

/* ---- lines in --------------------------------------------------------------------------- */

static void count_bad(struct prober *p) {
    if (++p->bad_lines == PROBER_MAX_BAD_LINES)
        prober_replace(p, "too many lines that are no answers");
}

static void bad_line(struct prober *p) {
    p->sink.bad_line(p->sink.context);
    count_bad(p);
}

static void feature_answer(struct prober *p, const struct mtr_reply *reply) {
    if (p->state != PROBER_STARTING || !mtr_features_take(&p->said, reply))
        bad_line(p);
}

static void rights_answer(struct prober *p, const struct mtr_reply *reply) {
    if (p->state != PROBER_STARTING) {
        bad_line(p);
        return;
    }
    if (reply->class == MTR_SILENT) {
        log_event(LOG_LEVEL_ERROR, "prober-without-rights",
            "path=%s fix=\"setcap cap_net_raw+ep %s, or run the worker with CAP_NET_RAW\"", p->path,
            p->path);
        p->failures = PROBER_PATIENCE; /* the next child will have no rights either */
        prober_replace(p, "has no raw sockets");
        return;
    }
    if (p->said.version[0] == '\0') {
        prober_replace(p, "did not say what it supports");
        return;
    }
    p->state = PROBER_UP;
    p->due_us = INT64_MAX;
    p->up_us = reactor_now().mono_us;
    log_event(LOG_LEVEL_INFO, "prober-up", "pid=%d version=%s receive_bytes=%d", (int)p->child.pid,
        p->said.version, mtr_spawn_widen(&p->child));
    p->sink.up(p->sink.context, p->said.version, p->said.families, p->said.protocols);
}

static void take_line(struct prober *p, const char *line, size_t size, int64_t now_us) {
    struct mtr_reply reply;
    if (!mtr_line_parse(&reply, line, size) || reply.token == 0) {
        bad_line(p);
        log_event(
            LOG_LEVEL_WARN, "prober-bad-line", "line=\"%.*s\"", size > 80 ? 80 : (int)size, line);
        return;
    }
    if (reply.token >= MTR_TOKEN_SEQ_CHECK) {
        if (!p->sink.reply(p->sink.context, &reply, now_us))
            count_bad(p);
    } else if (reply.token == MTR_TOKEN_RIGHTS)
        rights_answer(p, &reply);
    else if (reply.class == MTR_FEATURE)
        feature_answer(p, &reply);
    else
        bad_line(p);
}

/* Reads all that is there. The caller does this before anything is written, so that the child's
 * pipe never fills. */
void prober_read(struct prober *p) {
    char data[READ_BYTES];
    uint64_t overlong = p->framer.overlong;
    for (int reads = 0; p->child.out >= 0 && reads < REACTOR_DRAIN; reads++) {
        ssize_t got = read(p->child.out, data, sizeof data);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got <= 0) {
            ended(p, got == 0 ? NULL : strerror(errno));
            return;
        }
        int64_t now_us = reactor_now().mono_us;
        const char *at = data, *line;
        size_t left = (size_t)got, size;
        while ((line = mtr_framer_next(&p->framer, &at, &left, &size)) != NULL) {
            reactor_took(p->reactor, 1);
            take_line(p, line, size, now_us);
        }
    }
    for (; overlong < p->framer.overlong; overlong++)
        bad_line(p);
}

static void on_readable(void *context, int fd, short events) {
    (void)fd;
    (void)events;
    prober_read(context);
}

/* ---- lines out -------------------------------------------------------------------------- */

static void on_writable(void *context, int fd, short events) {
    (void)fd;
    (void)events;
    prober_flush(context);
}

void prober_flush(struct prober *p) {
    size_t done = 0;
    while (p->child.in >= 0 && done < p->queued) {
        ssize_t put = write(p->child.in, p->queue + done, p->queued - done);
        if (put > 0) {
            done += (size_t)put;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            prober_replace(p, NULL);
        break;
    }
    p->queued -= done;
    memmove(p->queue, p->queue + done, p->queued);
    bool wait = p->queued > 0 && p->child.in >= 0;
    if (wait && !p->waits_to_write)
        reactor_fd(p->reactor, p->child.in, ZMQ_POLLOUT, on_writable, p);
    else if (!wait && p->waits_to_write && p->child.in >= 0)
        reactor_fd_end(p->reactor, p->child.in);
    p->waits_to_write = wait;
}

void prober_send(struct prober *p, const char *line, size_t size) {
    if (size > sizeof p->queue - p->queued) {
        prober_replace(p, "answers commands that it has not read");
        return;
    }
    memcpy(p->queue + p->queued, line, size);
    p->queued += size;
}

/* ---- time ------------------------------------------------------------------------------- */

void prober_tick(struct prober *p, int64_t now_us) {
    if (now_us < p->due_us)
        return;
    if (p->state == PROBER_OFF) {
        prober_start(p);
    } else if (p->due_us == 0) {
        ended(p, p->why);
    } else {
        ended(p, p->state == PROBER_STARTING ? "did not say what it supports" : "did not end");
    }
}

int64_t prober_next(const struct prober *p) { return p->due_us; }
