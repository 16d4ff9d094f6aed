#include "worker/host/berth.h"

#include "common/mem.h"
#include "common/runtime/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct berth {
    struct reactor *reactor;
    struct berth_sink sink;
    int slices[SEQUENCE_SLICES];        /* listening sockets; -1: not ours */
    int64_t rested_us[SEQUENCE_SLICES]; /* when each may be used, by whomever */
    unsigned leaving;                   /* slices that we give away once their numbers are free */
    unsigned resting;                   /* others that are not used yet */
    int id;                             /* the socket that holds our ICMP id; -1 */
    int64_t due_us;
    int64_t again_us;           /* once we have a slice: when to look for more */
    int64_t ask_us, give_up_us; /* before */
    unsigned asked;             /* whom we asked last */
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

/* A socket bound to the name, or -1 if somebody else has it. */
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

/* What stays with us, and what of it is in use. */
static unsigned kept(const struct berth *b) {
    unsigned mask = 0;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++)
        if (b->slices[i] >= 0 && (b->leaving >> i & 1) == 0)
            mask |= 1U << i;
    return mask;
}

static unsigned owned(const struct berth *b) { return kept(b) & ~b->resting; }

static void own(struct berth *b) {
    unsigned have = owned(b);
    log_event(LOG_LEVEL_INFO, "slices", "have=%d of=%d", __builtin_popcount(have), SEQUENCE_SLICES);
    b->sink.own(b->sink.context, have);
}

/* ---- giving away ------------------------------------------------------------------------ */

/* Somebody asks: half of what we have is theirs when its numbers are free. What rests goes first,
 * then the upper slices. */
static void on_asked(void *context, int fd, short events) {
    (void)events;
    struct berth *b = context;
    int peer;
    bool asked = false;
    while ((peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        (void)close(peer);
        asked = true;
    }
    unsigned count = (unsigned)__builtin_popcount(kept(b));
    if (!asked || b->leaving != 0 || count < 2)
        return;
    for (unsigned left = count / 2; left > 0; left--) {
        unsigned from = b->resting != 0 ? b->resting : owned(b), i = SEQUENCE_SLICES;
        while ((from >> --i & 1) == 0)
            continue;
        b->leaving |= 1U << i;
        b->resting &= ~(1U << i);
    }
    log_event(LOG_LEVEL_INFO, "slices-leave", "have=%u give=%u", count, count / 2);
    b->sink.own(b->sink.context, owned(b));
    b->due_us = 0;
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

static void leave(struct berth *b, int64_t now_us) {
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++) {
        if ((b->leaving >> i & 1) == 0)
            continue;
        int64_t free_us = b->sink.slice_free_us(b->sink.context, i);
        if (free_us < b->rested_us[i])
            free_us = b->rested_us[i];
        if (free_us > now_us) {
            b->due_us = earlier(b->due_us, free_us);
            continue;
        }
        reactor_fd_end(b->reactor, b->slices[i]);
        (void)close(b->slices[i]);
        b->slices[i] = -1;
        b->leaving &= ~(1U << i);
        b->again_us = now_us + BERTH_AGAIN_US; /* or we would take it back */
    }
}

/* ---- taking ----------------------------------------------------------------------------- */

/* Returns those that were free. */
static unsigned take(struct berth *b, int64_t rested_us) {
    unsigned taken = 0;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++) {
        if (b->slices[i] >= 0 || (b->slices[i] = claim("slice", i)) < 0)
            continue;
        (void)listen(b->slices[i], SEQUENCE_SLICES);
        reactor_fd(b->reactor, b->slices[i], ZMQ_POLLIN, on_asked, b);
        b->rested_us[i] = rested_us;
        taken |= 1U << i;
    }
    return taken;
}

static void use_rested(struct berth *b, int64_t now_us) {
    unsigned rested = 0;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++) {
        if ((b->resting >> i & 1) == 0)
            continue;
        if (b->rested_us[i] <= now_us)
            rested |= 1U << i;
        else
            b->due_us = earlier(b->due_us, b->rested_us[i]);
    }
    b->resting &= ~rested;
    if (rested != 0)
        own(b);
}

/* That we connect is the request; there is nothing to be said. */
static void ask(struct berth *b) {
    struct sockaddr_un at;
    b->asked = (b->asked + SEQUENCE_SLICES - 1) % SEQUENCE_SLICES;
    socklen_t size = name(&at, "slice", b->asked);
    int fd = stream_socket();
    if (fd < 0)
        return;
    (void)connect(fd, (const struct sockaddr *)&at, size);
    (void)close(fd);
}

static void seek(struct berth *b, int64_t now_us) {
    if (take(b, now_us) != 0) {
        b->due_us = b->again_us = now_us + BERTH_AGAIN_US;
        own(b);
        return;
    }
    if (now_us >= b->give_up_us) {
        b->due_us = INT64_MAX;
        b->sink.full(b->sink.context);
        return;
    }
    if (now_us >= b->ask_us) {
        ask(b);
        b->ask_us = now_us + BERTH_ASK_US;
    }
    b->due_us = now_us + BERTH_TRY_US;
}

uint32_t berth_begin(const struct berth *b) {
    (void)b;
    return arc4random();
}

bool berth_claim_id(struct berth *b, pid_t pid) {
    if (b->id >= 0)
        (void)close(b->id);
    b->id = claim("icmp-id", (unsigned)pid % BERTH_ICMP_IDS);
    return b->id >= 0;
}

/* ---- looking ---------------------------------------------------------------------------- */

/* The number of a name of this kind, or -1. */
static long number_of(const char *name, const char *kind) {
    size_t size = strlen(kind);
    char *end;
    if (strncmp(name, kind, size) != 0)
        return -1;
    long number = strtol(name + size, &end, 10);
    return end == name + size || *end != '\n' ? -1 : number;
}

bool berth_survey(struct berth_survey *survey, pid_t pid) {
    unsigned slices = 0;
    char *line = NULL;
    const char *name;
    size_t size = 0;
    memset(survey, 0, sizeof *survey);
    FILE *list = fopen("/proc/self/net/unix", "re");
    if (list == NULL)
        return false;
    while (getline(&line, &size, list) >= 0) {
        /* '@' stands for the first byte of an abstract name. */
        if ((name = strchr(line, '@')) == NULL)
            continue;
        long slice = number_of(name, "@hopmq/slice/"), id = number_of(name, "@hopmq/icmp-id/");
        if (slice >= 0 && slice < SEQUENCE_SLICES)
            slices |= 1U << slice;
        survey->workers += id >= 0;
        survey->id_taken = survey->id_taken || id == (long)pid % BERTH_ICMP_IDS;
    }
    survey->slices = (unsigned)__builtin_popcount(slices);
    free(line);
    (void)fclose(list);
    return true;
}

/* ---- life ------------------------------------------------------------------------------- */

struct berth *berth_new(struct reactor *reactor, const struct berth_sink *sink) {
    struct berth *b = mem_new(1, sizeof *b);
    b->reactor = reactor;
    b->sink = *sink;
    b->id = -1;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++)
        b->slices[i] = -1;
    int64_t now_us = reactor_now().mono_us;
    b->give_up_us = now_us + BERTH_PATIENCE_US;
    sink->own(sink->context, 0);
    seek(b, now_us);
    return b;
}

void berth_destroy(struct berth **berth) {
    struct berth *b = *berth;
    if (b == NULL)
        return;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++)
        if (b->slices[i] >= 0)
            (void)close(b->slices[i]);
    if (b->id >= 0)
        (void)close(b->id);
    free(b);
    *berth = NULL;
}

void berth_tick(struct berth *b, int64_t now_us) {
    if (now_us < b->due_us)
        return;
    if (owned(b) == 0) {
        seek(b, now_us);
        return;
    }
    b->due_us = INT64_MAX;
    leave(b, now_us);
    if (now_us >= b->again_us) {
        b->resting |= take(b, now_us + BERTH_REST_US);
        b->again_us = now_us + BERTH_AGAIN_US;
    }
    use_rested(b, now_us);
    b->due_us = earlier(b->due_us, b->again_us);
}

int64_t berth_next(const struct berth *b) { return b->due_us; }
