/* The store's reader: the thread that answers queries, each after the commit of what was added
 * before it was asked. */
#include "broker/store/store_schema.h"
#include "broker/store/store_state.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

struct store_question *store_question_new(const struct record_read *read, uint64_t batch) {
    struct store_question *q = mem_new(1, sizeof *q);
    *q = (struct store_question){.read = *read, .batch = batch};
    char **ids = mem_new(read->id_count, sizeof *ids);
    for (size_t i = 0; i < read->id_count; i++)
        ids[i] = mem_copy(read->ids[i], strlen(read->ids[i]) + 1);
    q->ids = ids;
    q->read.ids = (const char *const *)ids;
    if (read->stream != NULL)
        q->read.stream = q->stream = mem_copy(read->stream, strlen(read->stream) + 1);
    return q;
}

void store_question_free(struct store_question *q) {
    for (size_t i = 0; i < q->read.id_count; i++)
        free(q->ids[i]);
    free(q->ids);
    free(q->stream);
    free(q);
}

/* A read that fails makes this answer fail; the store goes on. */
static struct store_news *answer_question(struct store *s, const struct store_question *q) {
    struct store_news *news = mem_new(1, sizeof *news);
    char why[STORE_ERROR_BYTES];
    int64_t damaged = s->reads.damaged;
    int code;
    news->kind = STORE_ANSWER;
    do
        code = store_reads_answer(&s->reads, &q->read, &news->rows, &news->answer);
    while (code == SQLITE_BUSY && news->rows.count == 0);
    news->answer.failed = code != SQLITE_OK;
    if (news->answer.failed) {
        batch_clear(&news->rows);
        store_schema_explain(s->path, s->reads.db, code, why, sizeof why);
        store_say(s, STORE_SAY, LOG_LEVEL_ERROR, "store-read", "code=%d why=\"%s\"", code, why);
    }
    if (s->reads.damaged > damaged)
        store_say(s, STORE_SAY, LOG_LEVEL_ERROR, "store-damaged",
            "store=%s results=%d why=\"rows do not match their checksum and are left out of an "
            "answer\"",
            s->path, (int)(s->reads.damaged - damaged));
    return news;
}

void *store_reader_run(void *store) {
    struct store *s = store;
    (void)pthread_mutex_lock(&s->mutex);
    while (!s->stop && !s->dead) {
        struct store_question *q = STAILQ_FIRST(&s->questions);
        if (q == NULL || q->batch > s->committed) {
            (void)pthread_cond_wait(&s->to_reader, &s->mutex);
            continue;
        }
        STAILQ_REMOVE_HEAD(&s->questions, link);
        (void)pthread_mutex_unlock(&s->mutex);
        int64_t started_us = store_now_us(), damaged = s->reads.damaged;
        struct store_news *news = answer_question(s, q);
        store_question_free(q);
        (void)pthread_mutex_lock(&s->mutex);
        s->counters.reads++;
        s->counters.read_us += store_now_us() - started_us;
        s->counters.damaged += s->reads.damaged - damaged;
        (void)pthread_mutex_unlock(&s->mutex);
        store_tell(s, news);
        (void)pthread_mutex_lock(&s->mutex);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return NULL;
}
