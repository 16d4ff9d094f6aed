#include "common/exposition.h"

#include "common/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for a piece with names and numbers. Help texts and label values are not pieces. */
#define PIECE_BYTES 256

static void exposition_put(struct exposition *e, const char *bytes, size_t size) {
    if (e->size + size > e->room) {
        e->room = 2 * (e->size + size);
        e->text = mem_grow(e->text, e->room, 1);
    }
    memcpy(e->text + e->size, bytes, size);
    e->size += size;
}

static void piece(struct exposition *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void piece(struct exposition *e, const char *format, ...) {
    char text[PIECE_BYTES];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    exposition_put(e, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

static void escaped(struct exposition *e, const char *text, const char *special) {
    for (; *text != '\0'; text++)
        if (*text == '\n')
            exposition_put(e, "\\n", 2);
        else if (strchr(special, *text) != NULL)
            exposition_put(e, (const char[]){'\\', *text}, 2);
        else
            exposition_put(e, text, 1);
}

void exposition_clear(struct exposition *e) { e->size = 0; }

void exposition_free(struct exposition *e) {
    free(e->text);
    *e = (struct exposition){0};
}

static void family(struct exposition *e, const char *type, const char *name, const char *help) {
    e->family = name;
    piece(e, "# HELP %s ", name);
    escaped(e, help, "\\");
    piece(e, "\n# TYPE %s %s\n", name, type);
}

void exposition_family(
    struct exposition *e, enum exposition_type type, const char *name, const char *help) {
    family(e, type == EXPOSITION_COUNTER ? "counter" : "gauge", name, help);
}

static void head(struct exposition *e, const char *label, const char *label_value) {
    exposition_put(e, e->family, strlen(e->family));
    if (label == NULL)
        return;
    piece(e, "{%s=\"", label);
    escaped(e, label_value, "\\\"");
    exposition_put(e, "\"}", 2);
}

static void seconds(struct exposition *e, int64_t us) {
    piece(e, " %s%" PRId64 ".%06" PRId64 "\n", us < 0 ? "-" : "",
        us < 0 ? -(us / 1000000) : us / 1000000, us < 0 ? -(us % 1000000) : us % 1000000);
}

void exposition_sample(
    struct exposition *e, const char *label, const char *label_value, int64_t value) {
    head(e, label, label_value);
    piece(e, " %" PRId64 "\n", value);
}

void exposition_sample_us(
    struct exposition *e, const char *label, const char *label_value, int64_t us) {
    head(e, label, label_value);
    seconds(e, us);
}

void exposition_value(struct exposition *e, enum exposition_type type, const char *name,
    const char *help, int64_t value) {
    exposition_family(e, type, name, help);
    exposition_sample(e, NULL, "", value);
}

void exposition_value_us(struct exposition *e, enum exposition_type type, const char *name,
    const char *help, int64_t us) {
    exposition_family(e, type, name, help);
    exposition_sample_us(e, NULL, "", us);
}

void exposition_histogram(
    struct exposition *e, const char *name, const char *help, const struct histogram *h) {
    int64_t count = 0;
    family(e, "histogram", name, help);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        int64_t bound_us = histogram_bound_us(i);
        count += h->counts[i];
        if (bound_us == INT64_MAX)
            piece(e, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n", name, count);
        else
            piece(e, "%s_bucket{le=\"%g\"} %" PRId64 "\n", name, (double)bound_us / 1e6, count);
    }
    piece(e, "%s_sum", name);
    seconds(e, h->sum_us);
    piece(e, "%s_count %" PRId64 "\n", name, count);
}

void exposition_summary(
    struct exposition *e, const char *name, const char *help, int64_t count, int64_t sum) {
    family(e, "summary", name, help);
    piece(e, "%s_sum %" PRId64 "\n%s_count %" PRId64 "\n", name, sum, name, count);
}

void exposition_summary_us(
    struct exposition *e, const char *name, const char *help, int64_t count, int64_t sum_us) {
    family(e, "summary", name, help);
    piece(e, "%s_sum", name);
    seconds(e, sum_us);
    piece(e, "%s_count %" PRId64 "\n", name, count);
}

void exposition_append(struct exposition *e, const struct exposition *other) {
    if (other->size > 0)
        exposition_put(e, other->text, other->size);
}
