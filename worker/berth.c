#include "worker/berth.h"

#include "common/log.h"
#include "common/mem.h"

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
    unsigned leaving;                   /* slices that we give away once their numbers are free */
    int id;                             /* the socket that holds our ICMP id; -1 */
    int64_t due_us, ask_us, give_up_us; /* while we have no slice */
    unsigned asked;                     /* whom we asked last */
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

static unsigned owned(const struct berth *b) {
    unsigned mask = 0;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++)
        if (b->slices[i] >= 0 && (b->leaving >> i & 1) == 0)
            mask |= 1U << i;
    return mask;
}

/* ---- giving away ------------------------------------------------------------------------ */

/* Somebody asks: half of what we have, the upper one, is theirs when its numbers are free. */
static void on_asked(void *context, int fd, short events) {
    (void)events;
    struct berth *b = context;
    int peer;
    bool asked = false;
    while ((peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        (void)close(peer);
        asked = true;
    }
    unsigned have = owned(b), count = (unsigned)__builtin_popcount(have);
    if (!asked || b->leaving != 0 || count < 2)
        return;
    for (unsigned i = SEQUENCE_SLICES, left = count / 2; left > 0; left--) {
        while ((have >> --i & 1) == 0)
            continue;
        b->leaving |= 1U << i;
    }
    log_event(LOG_LEVEL_INFO, "slices-leave", "have=%u give=%u", count, count / 2);
    b->sink.own(b->sink.context, owned(b));
    b->due_us = 0;
}

static void leave(struct berth *b, int64_t now_us) {
    b->due_us = INT64_MAX;
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++) {
        if ((b->leaving >> i & 1) == 0)
            continue;
        int64_t free_us = b->sink.slice_free_us(b->sink.context, i);
        if (free_us > now_us) {
            b->due_us = free_us < b->due_us ? free_us : b->due_us;
            continue;
        }
        reactor_fd_end(b->reactor, b->slices[i]);
        (void)close(b->slices[i]);
        b->slices[i] = -1;
        b->leaving &= ~(1U << i);
    }
}

/* ---- taking ----------------------------------------------------------------------------- */

static bool take(struct berth *b) {
    for (unsigned i = 0; i < SEQUENCE_SLICES; i++) {
        if (b->slices[i] >= 0 || (b->slices[i] = claim("slice", i)) < 0)
            continue;
        (void)listen(b->slices[i], SEQUENCE_SLICES);
        reactor_fd(b->reactor, b->slices[i], ZMQ_POLLIN, on_asked, b);
    }
    unsigned have = owned(b);
    if (have == 0)
        return false;
    log_event(LOG_LEVEL_INFO, "slices", "have=%d of=%d", __builtin_popcount(have), SEQUENCE_SLICES);
    b->sink.own(b->sink.context, have);
    return true;
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
    if (take(b)) {
        b->due_us = INT64_MAX;
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
    if (b->leaving != 0)
        leave(b, now_us);
    else if (owned(b) == 0)
        seek(b, now_us);
    else
        b->due_us = INT64_MAX;
}

int64_t berth_next(const struct berth *b) { return b->due_us; }
