/* store-drive PATH KEEP_S KEEP_RESULTS: a store that is driven by commands on standard input, one
 * in a line. Each is answered by a line:
 *
 *   accept A B, start A B, finish A B    adds records of the traces A to B; "ok"
 *   again A SEQ                          adds a result of trace A with this seq; "ok"
 *   commit                               "committed", "full" while the disk is full, or "dead WHY"
 *   after SEQ LIMIT MAX_BYTES [STREAM]   "rows FIRST_SEQ MORE SEQ..."
 *   ids A B MAX_BYTES                    "rows 0 0 SEQ...", with -SEQ for a row without its result
 *   wait MS                              waits until something happens; "ok", "full" or "dead WHY"
 *   counters                             "counters NAME=VALUE..."
 *   loaded                               the lines of rig.h's struct rig_state, then "end"
 *
 * It begins with "open EPOCH ORIGIN SEQ NUMBER" or "error WHY", and closes the store at the end of
 * its input. With the PATH "memory" there is no file. */
#include "tests/store/rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 6

struct command {
    char *word[WORDS];
    int64_t number[WORDS]; /* of the same word */
};

static void read_command(struct command *command, char *line) {
    char *rest = line;
    memset(command, 0, sizeof *command);
    for (int i = 0; i < WORDS && (command->word[i] = strtok_r(rest, " \n", &rest)) != NULL; i++)
        command->number[i] = strtoll(command->word[i], NULL, 10);
}

static void say_state(const struct rig *rig, const char *good) {
    if (rig->dead)
        printf("dead %s\n", rig->error);
    else
        printf("%s\n", rig->full ? "full" : good);
}

static void ask(struct rig *rig, const struct record_read *read) {
    struct record_answer answer;
    if (!rig_ask(rig, read, &answer)) {
        say_state(rig, "no answer");
        return;
    }
    printf("rows %" PRId64 " %d", answer.first_seq, answer.more);
    for (size_t i = 0; i < answer.count; i++)
        printf(" %s%" PRId64, answer.rows[i].result == NULL ? "-" : "", answer.rows[i].seq);
    printf("\n");
}

static void ask_ids(struct rig *rig, const struct command *c) {
    static char names[1000][32];
    static const char *ids[1000];
    struct record_read read = {.query = RECORD_IDS, .max_bytes = (size_t)c->number[3]};
    for (int64_t n = c->number[1]; n <= c->number[2] && read.id_count < 1000; n++) {
        (void)snprintf(names[read.id_count], 32, "id-%" PRId64, n);
        ids[read.id_count] = names[read.id_count];
        read.id_count++;
    }
    read.ids = ids;
    ask(rig, &read);
}

static int64_t commits_timed(const struct store_counters *c) {
    int64_t count = 0;
    for (size_t i = 0; i < sizeof c->commit_times.counts / sizeof c->commit_times.counts[0]; i++)
        count += c->commit_times.counts[i];
    return count;
}

static void say_counters(struct rig *rig) {
    struct store_counters c;
    store_counters(rig->store, &c);
    printf("counters pending=%zu commits=%" PRId64 " records=%" PRId64 " reads=%" PRId64
           " commit_times=%" PRId64,
        store_pending_bytes(rig->store), c.commits, c.records, c.reads, commits_timed(&c));
    printf(" commit_max_us=%" PRId64 " commit_sum_us=%" PRId64 " read_us=%" PRId64, c.commit_max_us,
        c.commit_times.sum_us, c.read_us);
#define X(name, help) printf(" " #name "=%" PRId64, c.name);
    STORE_COUNTERS(X)
    STORE_GAUGES(X)
#undef X
    printf("\n");
}

static void obey(struct rig *rig, const struct command *c) {
    const char *op = c->word[0];
    if (strcmp(op, "accept") == 0)
        rig_accept(rig, c->number[1], c->number[2]);
    else if (strcmp(op, "start") == 0)
        rig_start(rig, c->number[1], c->number[2]);
    else if (strcmp(op, "finish") == 0)
        rig_finish(rig, c->number[1], c->number[2]);
    else if (strcmp(op, "again") == 0)
        rig_finish_as(rig, c->number[1], c->number[2]);
    else if (strcmp(op, "wait") == 0)
        rig_wait(rig, (int)c->number[1]);
    else if (strcmp(op, "commit") == 0 && !rig_commit(rig) && !rig->dead)
        printf("not ");
    if (strcmp(op, "ids") == 0)
        ask_ids(rig, c);
    else if (strcmp(op, "after") == 0)
        ask(rig, &(struct record_read){.query = RECORD_AFTER,
                     .after = c->number[1],
                     .limit = c->number[2],
                     .max_bytes = (size_t)c->number[3],
                     .stream = c->word[4]});
    else if (strcmp(op, "counters") == 0)
        say_counters(rig);
    else if (strcmp(op, "loaded") == 0)
        printf("%send\n", rig->loaded.text);
    else
        say_state(rig, strcmp(op, "commit") == 0 ? "committed" : "ok");
}

int main(int argc, char **argv) {
    static struct rig rig;
    struct command command;
    char line[256];
    if (argc != 4) {
        (void)fprintf(stderr, "usage: store-drive PATH|memory KEEP_S KEEP_RESULTS\n");
        return 64;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    const char *path = strcmp(argv[1], "memory") == 0 ? NULL : argv[1];
    if (!rig_open(&rig, path, strtoll(argv[2], NULL, 10) * 1000000, strtoll(argv[3], NULL, 10))) {
        printf("error %s\n", rig.error);
        return 1;
    }
    printf("open %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", rig.start.epoch,
        rig.start.origin, rig.start.seq, rig.start.number);
    while (fgets(line, sizeof line, stdin) != NULL) {
        read_command(&command, line);
        if (command.word[0] != NULL)
            obey(&rig, &command);
    }
    rig_close(&rig);
    return 0;
}
