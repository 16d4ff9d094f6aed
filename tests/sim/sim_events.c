#include "common/order.h"
#include "tests/sim/sim.h"

#include "common/mem.h"
#include "tests/unit/rng.h"

#include <stdarg.h>

/* More than any schedule needs that ends. */
#define MAX_EVENTS 50000

/* ---- chance and memory ------------------------------------------------------------------ */

int64_t sim_draw(struct sim *s, int64_t limit) {
    return limit <= 1 ? 0 : (int64_t)(rng_next(&s->random) % (uint64_t)limit);
}

bool sim_chance(struct sim *s, unsigned percent) { return sim_draw(s, 100) < (int64_t)percent; }

#define CHUNK_BYTES ((size_t)1 << 20)

struct chunk {
    struct chunk *next;
    _Alignas(16) unsigned char bytes[CHUNK_BYTES];
};

void *sim_new(struct sim *s, size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (size > CHUNK_BYTES)
        abort();
    if (s->chunk == NULL || s->used + size > CHUNK_BYTES) {
        struct chunk **next = s->chunk == NULL ? &s->chunks : &s->chunk->next;
        if (*next == NULL)
            *next = mem_new(1, sizeof **next);
        s->chunk = *next;
        s->used = 0;
    }
    void *at = s->chunk->bytes + s->used;
    s->used += size;
    return memset(at, 0, size);
}

void *sim_copy(struct sim *s, const void *bytes, size_t size) {
    void *copy = sim_new(s, size);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

char *sim_text(struct sim *s, const char *text) { return sim_copy(s, text, strlen(text) + 1); }

void sim_free_memory(struct sim *s) {
    while (s->chunks != NULL) {
        struct chunk *next = s->chunks->next;
        free(s->chunks);
        s->chunks = next;
    }
}

/* ---- events: a heap --------------------------------------------------------------------- */

static bool before(const struct event *a, const struct event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void push(struct sim *s, struct event event) {
    if (s->heap_size == s->heap_room) {
        s->heap_room = s->heap_room * 2 + 64;
        s->heap = mem_grow(s->heap, s->heap_room, sizeof *s->heap);
    }
    event.order = s->next_order++;
    size_t i = s->heap_size++;
    for (; i > 0 && before(&event, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = event;
}

static void sink(struct sim *s, size_t i, struct event event) {
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->heap_size)
            break;
        if (child + 1 < s->heap_size && before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!before(&s->heap[child], &event))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = event;
}

static struct event pop(struct sim *s) {
    struct event first = s->heap[0], last = s->heap[--s->heap_size];
    sink(s, 0, last);
    return first;
}

void sim_resume_all(struct sim *s) {
    for (int p = 0; p < PROCESSES; p++)
        if (s->processes[p].paused_until_us > s->now_us)
            s->processes[p].paused_until_us = s->processes[p].resumed_us = s->now_us;
    for (size_t i = 0; i < s->heap_size; i++)
        if (s->heap[i].waits)
            s->heap[i].at_us = s->now_us;
    for (size_t i = s->heap_size; i-- > 0;)
        sink(s, i, s->heap[i]);
}

void sim_at(struct sim *s, int64_t at_us, int process,
    void (*act)(struct sim *, const struct event *), void *data, int64_t number) {
    push(s, (struct event){.at_us = at_us,
                .act = act,
                .process = process,
                .life = s->processes[process].life,
                .data = data,
                .number = number});
}

void sim_wake(
    struct sim *s, int process, int64_t mono_us, void (*wake)(struct sim *, const struct event *)) {
    struct process *p = &s->processes[process];
    if (mono_us == NEVER)
        return;
    int64_t at_us = mono_us - p->mono_us;
    at_us = order_max(at_us, s->now_us);
    if (at_us >= p->timer_us)
        return;
    p->timer_us = at_us;
    sim_at(s, at_us, process, wake, NULL, at_us);
}

void sim_run(struct sim *s) {
    while (s->heap_size > 0 && !s->over) {
        struct event event = pop(s);
        const struct process *p = &s->processes[event.process];
        if (event.at_us > s->now_us)
            s->now_us = event.at_us;
        if (event.life != p->life)
            continue;
        if (p->paused_until_us > s->now_us) {
            event.at_us = p->paused_until_us;
            event.waits = true;
            push(s, event);
            continue;
        }
        KEEP(s, ++s->events < MAX_EVENTS, "it never ends");
        event.act(s, &event);
    }
}

/* ---- processes -------------------------------------------------------------------------- */

const char *sim_name(int process) {
    static const char *const names[] = {
        "broker", "w1", "w2", "w3", "c1", "c2", "c3", "s1", "s2", "nobody"};
    return names[process];
}

struct instant sim_time(const struct sim *s, int process) {
    const struct process *p = &s->processes[process];
    return (struct instant){s->now_us + p->mono_us, WALL + s->now_us + p->wall_us};
}

void sim_die(struct sim *s, int process) {
    struct process *p = &s->processes[process];
    p->up = false;
    p->life++;
    p->paused_until_us = 0;
    p->timer_us = NEVER;
}

/* ---- the transcript --------------------------------------------------------------------- */

void sim_say(struct sim *s, const char *format, ...) {
    va_list args;
    printf("%3" PRId64 ".%06" PRId64 "  ", s->now_us / SECOND, s->now_us % SECOND);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
}

/* Numbers about a worker, and the bodies of results, make lines too long to read. */
void sim_say_message(struct sim *s, const char *who, const void *bytes, size_t size) {
    struct wire_error err;
    if (!s->verbose)
        return;
    printf("%3" PRId64 ".%06" PRId64 "  %s", s->now_us / SECOND, s->now_us % SECOND, who);
    if (!wire_doc_read(&s->inner, bytes, size, 1 << 20, &err)) {
        printf(" (%s)\n", err.message);
        return;
    }
    const msgpack_object_map *map = &s->inner.root.via.map;
    for (uint32_t i = 0; i < map->size; i++) {
        static const char *const left_out[] = {
            "v", "stats", "hops", "body", "trace", "counters", "workers"};
        bool shown = true;
        for (size_t k = 0; k < sizeof left_out / sizeof left_out[0]; k++)
            shown = shown && !wire_is(&map->ptr[i].key, left_out[k]);
        if (!shown)
            continue;
        printf(" %.*s=", (int)map->ptr[i].key.via.str.size, map->ptr[i].key.via.str.ptr);
        msgpack_object_print(stdout, map->ptr[i].val);
    }
    (void)putchar('\n');
}

_Noreturn void sim_broken(struct sim *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(s->why, sizeof s->why, format, args);
    va_end(args);
    SAY(s, "BROKEN: %s", s->why);
    longjmp(s->end, 1);
}
