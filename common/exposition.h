/* exposition: metrics as text, in the format 0.0.4 that Prometheus reads. Pure.
 *
 *   # HELP hopmq_queued_traces Traces that wait for a worker.
 *   # TYPE hopmq_queued_traces gauge
 *   hopmq_queued_traces{priority="4"} 17
 *
 * Values are whole numbers, or microseconds that are written as seconds, the unit of Prometheus.
 */
#ifndef HOPMQ_EXPOSITION_H
#define HOPMQ_EXPOSITION_H

#include "common/histogram.h"

#include <stddef.h>

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE };

/* All zero is empty. */
struct exposition {
    char *text;
    size_t size, room;
    const char *family; /* of the samples that are added; must live until the next one begins */
};

/* Empties the text and keeps its memory. */
void exposition_clear(struct exposition *e);
void exposition_free(struct exposition *e);

/* Begins a family. Its samples follow, each with one label, or with none if `label` is NULL. Names
 * must be valid for Prometheus; help texts and label values may be any text. */
void exposition_family(
    struct exposition *e, enum exposition_type type, const char *name, const char *help);
void exposition_sample(
    struct exposition *e, const char *label, const char *label_value, int64_t value);
void exposition_sample_us(
    struct exposition *e, const char *label, const char *label_value, int64_t us);

/* A family of one sample without label. */
void exposition_value(struct exposition *e, enum exposition_type type, const char *name,
    const char *help, int64_t value);
void exposition_value_us(struct exposition *e, enum exposition_type type, const char *name,
    const char *help, int64_t us);

void exposition_histogram(
    struct exposition *e, const char *name, const char *help, const struct histogram *histogram);

/* A summary without quantiles: how many there were, and their sum. */
void exposition_summary(
    struct exposition *e, const char *name, const char *help, int64_t count, int64_t sum);
void exposition_summary_us(
    struct exposition *e, const char *name, const char *help, int64_t count, int64_t sum_us);

/* Appends the text of another exposition. */
void exposition_append(struct exposition *e, const struct exposition *other);

#endif
