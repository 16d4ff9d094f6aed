#include "common/order.h"
#include "tests/sim/sim.h"

/* Reads that the broker may have held at a time: a bound that shows growth without end. */
#define MAX_READS 200

/* ---- records, copied -------------------------------------------------------------------- */

static struct record_run copy_run(struct sim *s, const struct record_run *run) {
    struct record_run copy = *run;
    copy.worker = sim_text(s, run->worker != NULL ? run->worker : "");
    return copy;
}

static struct entry *entry_new(struct sim *s) {
    struct disk_batch *open = &s->disk.open;
    struct entry *entry = sim_new(s, sizeof *entry);
    if (open->first == NULL) {
        open->last = &open->first;
        open->number = ++s->disk.batches;
    }
    *open->last = entry;
    open->last = &entry->next;
    return entry;
}

void disk_keep_trace(struct sim *s, const struct record_trace *record) {
    struct kept_trace *trace = sim_new(s, sizeof *trace);
    trace->record = *record;
    trace->record.id = sim_text(s, record->id);
    trace->record.submitter = sim_text(s, record->submitter);
    trace->record.trace = sim_copy(s, record->trace, record->trace_size);
    trace->record.run = copy_run(s, &record->run);
    trace->kept_us = s->now_us;
    entry_new(s)->trace = trace;
    SAY(s, "  keep trace %" PRId64 " %s", record->number, record->id);
}

void disk_keep_run(struct sim *s, const struct record_run *record) {
    struct record_run *run = sim_new(s, sizeof *run);
    *run = copy_run(s, record);
    entry_new(s)->run = run;
    SAY(s, "  keep run of %" PRId64 ": lease %" PRId64 " at %s, run %" PRId64 "%s", run->number,
        run->lease, run->worker, run->run, run->cancelling ? ", cancelling" : "");
}

static bool batch_ends(const struct disk_batch *batch, int64_t number) {
    for (const struct entry *e = batch->first; e != NULL; e = e->next)
        if (e->result != NULL && e->result->record.number == number)
            return true;
    return false;
}

static void check_part_ended(struct sim *s, const char *whole, const struct record_trace *part) {
    size_t size = strlen(whole);
    if (strncmp(part->id, whole, size) != 0 || part->id[size] != '/')
        return;
    KEEP(s, batch_ends(&s->disk.flying, part->number) || batch_ends(&s->disk.open, part->number),
        "%s is summed up before %s has ended", whole, part->id);
}

/* The result of a fanout comes after those of all its parts, committed or on their way to it. It is
 * checked when the core says so: a core that is wrong may not live until the commit. */
static void check_parts_ended(struct sim *s, const char *whole) {
    const struct disk *d = &s->disk;
    const struct disk_batch *batches[] = {&d->flying, &d->open};
    for (const struct kept_trace *t = d->traces; t != NULL; t = t->next)
        check_part_ended(s, whole, &t->record);
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
        for (const struct entry *e = batches[i]->first; e != NULL; e = e->next)
            if (e->trace != NULL)
                check_part_ended(s, whole, &e->trace->record);
}

void disk_keep_result(struct sim *s, const struct record_result *record) {
    check_parts_ended(s, record->id);
    struct kept_result *result = sim_new(s, sizeof *result);
    result->record = *record;
    result->record.id = sim_text(s, record->id);
    result->record.stream = sim_text(s, record->stream);
    result->record.trace = sim_copy(s, record->trace, record->trace_size);
    result->record.result = sim_copy(s, record->result, record->result_size);
    result->kept_us = s->now_us;
    entry_new(s)->result = result;
    SAY(s, "  keep result %" PRId64 " of %s (%" PRId64 "), %s %" PRId64, record->seq, record->id,
        record->number, record->stream, record->stream_seq);
}

/* ---- batches ---------------------------------------------------------------------------- */

static struct kept_trace **find_trace(struct disk *d, int64_t number) {
    struct kept_trace **at = &d->traces;
    while (*at != NULL && (*at)->record.number < number)
        at = &(*at)->next;
    return at;
}

static void apply_trace(struct sim *s, struct kept_trace *trace) {
    struct kept_trace **at = find_trace(&s->disk, trace->record.number);
    KEEP(s, *at == NULL || (*at)->record.number != trace->record.number,
        "trace %" PRId64 " is kept twice", trace->record.number);
    trace->next = *at;
    *at = trace;
    if (trace->record.number > s->disk.number)
        s->disk.number = trace->record.number;
}

static void apply_run(struct sim *s, const struct record_run *run) {
    struct kept_trace *trace = *find_trace(&s->disk, run->number);
    if (trace != NULL && trace->record.number == run->number)
        trace->record.run = *run;
}

static void count_stream(struct disk *d, const char *name, int64_t seq) {
    int i = 0;
    while (i < d->stream_count && strcmp(d->streams[i].name, name) != 0)
        i++;
    if (i == MAX_STREAMS)
        abort();
    if (i == d->stream_count)
        (void)snprintf(d->streams[d->stream_count++].name, sizeof d->streams[i].name, "%s", name);
    d->streams[i].seq = seq;
}

static void apply_result(struct sim *s, struct kept_result *result) {
    struct disk *d = &s->disk;
    const struct record_result *r = &result->record;
    struct kept_trace **at = find_trace(d, r->number), *trace = *at;
    if (trace != NULL &&
        (trace->record.number != r->number || strcmp(trace->record.id, r->id) != 0))
        trace = NULL;
    history_commit(s, trace, result);
    if (trace != NULL)
        *at = trace->next;
    d->results[r->seq] = result;
    d->seq = r->seq;
    count_stream(d, r->stream, r->stream_seq);
}

static void apply(struct sim *s) {
    for (const struct entry *e = s->disk.flying.first; e != NULL; e = e->next)
        if (e->trace != NULL)
            apply_trace(s, e->trace);
        else if (e->run != NULL)
            apply_run(s, e->run);
        else
            apply_result(s, e->result);
    SAY(s, "  committed %" PRIu64, s->disk.flying.number);
    s->disk.committed = s->disk.flying.number;
    s->disk.flying.first = NULL;
    s->disk.busy = false;
}

static void answer(struct sim *s, const struct event *event);

static void answer_reads(struct sim *s) {
    for (struct held_read **at = &s->disk.reads; *at != NULL;) {
        struct held_read *read = *at;
        if (read->batch > s->disk.committed) {
            at = &read->next;
            continue;
        }
        *at = read->next;
        int64_t at_us = s->now_us + sim_draw(s, s->mix.commit_us);
        s->disk.answer_us = order_max(at_us, s->disk.answer_us);
        sim_at(s, s->disk.answer_us, BROKER, answer, read, 0);
    }
}

static void commit(struct sim *s, const struct event *event) {
    (void)event;
    apply(s);
    answer_reads(s);
    broker_committed(s);
}

uint64_t disk_batch(const struct sim *s) {
    const struct disk *d = &s->disk;
    return d->open.first != NULL ? d->open.number : d->batches;
}

void disk_flush(struct sim *s) {
    struct disk *d = &s->disk;
    if (d->busy || d->open.first == NULL)
        return;
    d->flying = d->open;
    d->open.first = NULL;
    d->busy = true;
    int64_t us = 10 + sim_draw(s, sim_chance(s, 80) ? s->mix.commit_us / 20 + 1 : s->mix.commit_us);
    sim_at(s, s->now_us + us, BROKER, commit, NULL, 0);
}

void disk_crash(struct sim *s) {
    struct disk *d = &s->disk;
    if (d->busy && sim_chance(s, 50))
        apply(s);
    d->open.first = d->flying.first = NULL;
    d->busy = false;
    d->reads = NULL;
    d->read_count = 0;
    d->batches = d->committed = 0;
}

struct disk_start disk_open(struct sim *s, int64_t wall_us) {
    struct disk *d = &s->disk;
    d->epoch = wall_us > d->epoch ? wall_us : d->epoch + 1;
    d->origin = d->origin != 0 ? d->origin : d->epoch;
    d->first_seq = d->first_seq != 0 ? d->first_seq : 1;
    return (struct disk_start){d->epoch, d->origin, d->seq, d->number};
}

/* ---- reads ------------------------------------------------------------------------------ */

void disk_read(struct sim *s, const struct record_read *read) {
    struct held_read *held = sim_new(s, sizeof *held);
    struct held_read **last = &s->disk.reads;
    KEEP(s, ++s->disk.read_count <= MAX_READS, "%d reads wait", s->disk.read_count);
    KEEP(s, read->limit <= 1000 && read->id_count <= 1000, "a read without bounds");
    held->read = *read;
    const char **ids = sim_new(s, (read->id_count + 1) * sizeof *ids);
    for (size_t i = 0; i < read->id_count; i++)
        ids[i] = sim_text(s, read->ids[i]);
    held->read.ids = ids;
    if (read->stream != NULL)
        held->read.stream = sim_text(s, read->stream);
    held->batch = disk_batch(s);
    while (*last != NULL)
        last = &(*last)->next;
    *last = held;
    SAY(s, "  read %" PRIu64 ": %s", read->ticket, read->query == RECORD_IDS ? "ids" : "after");
    answer_reads(s);
}

struct rows {
    struct record_result at[MAX_RESULTS];
    size_t count, bytes;
};

/* False if the result is left out for its size. */
static bool add_row(struct rows *rows, const struct record_result *row, size_t max_bytes) {
    bool fits = rows->bytes == 0 || rows->bytes + row->result_size <= max_bytes;
    rows->at[rows->count] = *row;
    if (!fits)
        rows->at[rows->count].result = NULL;
    else
        rows->bytes += row->result_size;
    rows->count++;
    return fits;
}

static void read_ids(struct sim *s, const struct record_read *read, struct rows *rows) {
    for (size_t i = 0; i < read->id_count; i++)
        for (int64_t seq = s->disk.seq; seq >= s->disk.first_seq; seq--) {
            const struct kept_result *result = s->disk.results[seq];
            if (result == NULL || strcmp(result->record.id, read->ids[i]) != 0)
                continue;
            (void)add_row(rows, &result->record, read->max_bytes);
            break;
        }
}

/* True if there are more. */
static bool read_after(struct sim *s, const struct record_read *read, struct rows *rows) {
    for (int64_t seq = read->after + 1; seq <= s->disk.seq; seq++) {
        const struct kept_result *result = seq >= 1 ? s->disk.results[seq] : NULL;
        if (result == NULL ||
            (read->stream != NULL && strcmp(result->record.stream, read->stream) != 0))
            continue;
        if ((int64_t)rows->count == read->limit)
            return true;
        if (!add_row(rows, &result->record, read->max_bytes)) {
            rows->count--;
            return true;
        }
    }
    return false;
}

static int64_t first_kept(const struct disk *d) {
    int64_t seq = d->first_seq;
    while (seq <= d->seq && d->results[seq] == NULL)
        seq++;
    return seq;
}

static void answer(struct sim *s, const struct event *event) {
    const struct held_read *held = event->data;
    const struct record_read *read = &held->read;
    struct rows *rows = sim_new(s, sizeof *rows);
    struct record_answer reply = {.ticket = read->ticket, .rows = rows->at};
    s->disk.read_count--;
    if (read->query == RECORD_IDS)
        read_ids(s, read, rows);
    else
        reply.more = read_after(s, read, rows);
    reply.count = rows->count;
    reply.first_seq = first_kept(&s->disk);
    broker_answer(s, &reply);
}

/* ---- retention -------------------------------------------------------------------------- */

bool disk_is_member(const struct sim *s, const struct kept_result *result) {
    const char *slash = strchr(result->record.id, '/');
    if (slash == NULL)
        return false;
    size_t size = (size_t)(slash - result->record.id);
    for (const struct kept_trace *t = s->disk.traces; t != NULL; t = t->next)
        if (strlen(t->record.id) == size && memcmp(t->record.id, result->record.id, size) == 0)
            return true;
    return false;
}

void disk_retire(struct sim *s, int64_t keep) {
    struct disk *d = &s->disk;
    for (int64_t seq = d->first_seq; seq <= d->seq - keep; seq++) {
        if (d->results[seq] != NULL && disk_is_member(s, d->results[seq]))
            return;
        d->results[seq] = NULL;
        d->first_seq = seq + 1;
    }
    SAY(s, "  results before %" PRId64 " are deleted", d->first_seq);
}
