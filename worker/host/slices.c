#include "worker/host/slices.h"

#include "common/mem.h"
#include "common/order.h"
#include "common/runtime/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct slices {
    struct reactor *reactor;
    struct slices_sink sink;
    int sockets[SEQUENCE_SLICES];       /* listening; -1: the slice is not ours */
    int64_t rested_us[SEQUENCE_SLICES]; /* when a worker may use the slice, this one or another */
    unsigned leaving;                   /* slices to be given away once their numbers are free */
    unsigned resting;                   /* slices that are not used before rested_us */
    int id;                             /* the socket of our ICMP id; -1: none */
    int64_t due_us;
    int64_t again_us;           /* when a worker with a slice looks for more */
    int64_t ask_us, give_up_us; /* of a worker without a slice */
    unsigned asked;             /* the slice whose holder was asked last */
};

static socklen_t name(struct sockaddr_un *at, const char *kind, unsigned number) {
    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    int n = snprintf(at->sun_path + 1, sizeof at->sun_path - 1, "hopmq/%s/%u", kind, number);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static int stream_socket(void) {
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Returns a socket that is bound to the name, or -1 if another process has the name. */
static int claim(const char *kind, unsigned number) {
    struct sockaddr_un at;
    socklen_t size = name(&at, kind, number);
    int fd = stream_socket();
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&at, size) == 0)
        return fd;
    if (errno != EADDRINUSE)
        log_event(LOG_LEVEL_ERROR, "claim", "what=%s error=\"%s\"", kind, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* The slices that stay ours, and those of them that are used. */
static unsigned kept(const struct slices *s) {
    unsigned mask = 0;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++)
        if (s->sockets[i] >= 0 && (s->leaving >> i & 1) == 0)
            mask |= 1U << i;
    return mask;
}

static unsigned owned(const struct slices *s) { return kept(s) & ~s->resting; }

static void own(struct slices *s) {
    unsigned have = owned(s);
    log_event(LOG_LEVEL_INFO, "slices", "have=%d of=%d", __builtin_popcount(have), SEQUENCE_SLICES);
    s->sink.own(s->sink.context, have);
}

/* ---- giving away ------------------------------------------------------------------------ */

/* A worker asks for slices: it gets half of ours as soon as their numbers are free. Slices that
 * rest go first, then the upper ones. */
static void on_asked(void *context, int fd, short events) {
    (void)events;
    struct slices *s = context;
    int peer;
    bool asked = false;
    while ((peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        (void)close(peer);
        asked = true;
    }
    unsigned count = (unsigned)__builtin_popcount(kept(s));
    if (!asked || s->leaving != 0 || count < 2)
        return;
    for (unsigned left = count / 2; left > 0; left--) {
        unsigned from = s->resting != 0 ? s->resting : owned(s), i = SEQUENCE_SLICES;
        while ((from >> --i & 1) == 0)
            continue;
        s->leaving |= 1U << i;
        s->resting &= ~(1U << i);
    }
    log_event(LOG_LEVEL_INFO, "slices-leave", "have=%u give=%u", count, count / 2);
    s->sink.own(s->sink.context, owned(s));
    s->due_us = 0;
}

static void leave(struct slices *s, int64_t now_us) {
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++) {
        if ((s->leaving >> i & 1) == 0)
            continue;
        int64_t free_us = s->sink.slice_free_us(s->sink.context, i);
        if (free_us < s->rested_us[i])
            free_us = s->rested_us[i];
        if (free_us > now_us) {
            s->due_us = order_min(s->due_us, free_us);
            continue;
        }
        reactor_fd_end(s->reactor, s->sockets[i]);
        (void)close(s->sockets[i]);
        s->sockets[i] = -1;
        s->leaving &= ~(1U << i);
        s->again_us = now_us + SLICES_AGAIN_US; /* or this worker would take it back at once */
    }
}

/* ---- taking ----------------------------------------------------------------------------- */

/* Takes all slices that are free, and returns them. */
static unsigned slices_take(struct slices *s, int64_t rested_us) {
    unsigned taken = 0;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++) {
        if (s->sockets[i] >= 0 || (s->sockets[i] = claim("slice", i)) < 0)
            continue;
        (void)listen(s->sockets[i], SEQUENCE_SLICES);
        reactor_fd(s->reactor, s->sockets[i], ZMQ_POLLIN, on_asked, s);
        s->rested_us[i] = rested_us;
        taken |= 1U << i;
    }
    return taken;
}

static void use_rested(struct slices *s, int64_t now_us) {
    unsigned rested = 0;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++) {
        if ((s->resting >> i & 1) == 0)
            continue;
        if (s->rested_us[i] <= now_us)
            rested |= 1U << i;
        else
            s->due_us = order_min(s->due_us, s->rested_us[i]);
    }
    s->resting &= ~rested;
    if (rested != 0)
        own(s);
}

/* To connect is to ask. Nothing is sent. */
static void slices_ask(struct slices *s) {
    struct sockaddr_un at;
    s->asked = (s->asked + SEQUENCE_SLICES - 1) % SEQUENCE_SLICES;
    socklen_t size = name(&at, "slice", s->asked);
    int fd = stream_socket();
    if (fd < 0)
        return;
    (void)connect(fd, (const struct sockaddr *)&at, size);
    (void)close(fd);
}

static void seek(struct slices *s, int64_t now_us) {
    if (slices_take(s, now_us) != 0) {
        s->due_us = s->again_us = now_us + SLICES_AGAIN_US;
        own(s);
        return;
    }
    if (now_us >= s->give_up_us) {
        s->due_us = INT64_MAX;
        s->sink.full(s->sink.context);
        return;
    }
    if (now_us >= s->ask_us) {
        slices_ask(s);
        s->ask_us = now_us + SLICES_ASK_US;
    }
    s->due_us = now_us + SLICES_TRY_US;
}

uint32_t slices_begin(const struct slices *s) {
    (void)s;
    return arc4random();
}

bool slices_claim_id(struct slices *s, pid_t pid) {
    if (s->id >= 0)
        (void)close(s->id);
    s->id = claim("icmp-id", (unsigned)pid % SLICES_ICMP_IDS);
    return s->id >= 0;
}

/* ---- looking ---------------------------------------------------------------------------- */

/* Returns the number in a name of this kind, or -1. */
static long number_of(const char *name, const char *kind) {
    size_t size = strlen(kind);
    char *end;
    if (strncmp(name, kind, size) != 0)
        return -1;
    long number = strtol(name + size, &end, 10);
    return end == name + size || *end != '\n' ? -1 : number;
}

bool slices_survey(struct slices_survey *survey, pid_t pid) {
    unsigned slices = 0;
    char *line = NULL;
    const char *name;
    size_t size = 0;
    memset(survey, 0, sizeof *survey);
    FILE *list = fopen("/proc/self/net/unix", "re");
    if (list == NULL)
        return false;
    while (getline(&line, &size, list) >= 0) {
        /* The kernel writes '@' for the first byte of an abstract name, which is 0. */
        if ((name = strchr(line, '@')) == NULL)
            continue;
        long slice = number_of(name, "@hopmq/slice/"), id = number_of(name, "@hopmq/icmp-id/");
        if (slice >= 0 && slice < SEQUENCE_SLICES)
            slices |= 1U << slice;
        survey->workers += id >= 0;
        survey->id_taken = survey->id_taken || id == (long)pid % SLICES_ICMP_IDS;
    }
    survey->held = (unsigned)__builtin_popcount(slices);
    free(line);
    (void)fclose(list);
    return true;
}

/* ---- life ------------------------------------------------------------------------------- */

struct slices *slices_new(struct reactor *reactor, const struct slices_sink *sink) {
    struct slices *s = mem_new(1, sizeof *s);
    s->reactor = reactor;
    s->sink = *sink;
    s->id = -1;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++)
        s->sockets[i] = -1;
    int64_t now_us = reactor_now().mono_us;
    s->give_up_us = now_us + SLICES_PATIENCE_US;
    sink->own(sink->context, 0);
    seek(s, now_us);
    return s;
}

void slices_destroy(struct slices **slices) {
    struct slices *s = *slices;
    if (s == NULL)
        return;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++)
        if (s->sockets[i] >= 0)
            (void)close(s->sockets[i]);
    if (s->id >= 0)
        (void)close(s->id);
    free(s);
    *slices = NULL;
}

void slices_tick(struct slices *s, int64_t now_us) {
    if (now_us < s->due_us)
        return;
    if (owned(s) == 0) {
        seek(s, now_us);
        return;
    }
    s->due_us = INT64_MAX;
    leave(s, now_us);
    if (now_us >= s->again_us) {
        s->resting |= slices_take(s, now_us + SLICES_REST_US);
        s->again_us = now_us + SLICES_AGAIN_US;
    }
    use_rested(s, now_us);
    s->due_us = order_min(s->due_us, s->again_us);
}

int64_t slices_next(const struct slices *s) { return s->due_us; }
