/* store-faults DIRECTORY FAULT: a store on a disk that fails at each write or sync of a workload in
 * turn (full, quota, error, sync, kill, power), on a disk that stays full for a while (stuck), and
 * with files that were cut or changed (truncate, flip). After each fault the store is opened again:
 * it must hold what it reported as committed, or report what it lost.
 *
 * Prints what it did. Exits with 1 and prints where, if something was wrong. */
#include "common/mem.h"
#include "common/runtime/log.h"
#include "tests/store/fault_vfs.h"
#include "tests/store/rig.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[4096];
static int failures;
static struct rig rig;
static struct rig_state expected[RIG_BATCHES + 1];

static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};

static void file_name(char *name, size_t size, int file) {
    (void)snprintf(name, size, "%s%s", path, suffixes[file]);
}

static void remove_store(void) {
    char name[4200];
    for (int i = 0; i < 4; i++) {
        file_name(name, sizeof name, i);
        (void)remove(name);
    }
}

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    failures++;
}

static bool is_state(int batches) { return strcmp(rig.loaded.text, expected[batches].text) == 0; }

/* ---- writes that fail --------------------------------------------------------------------- */

/* Returns how many batches were committed; -1 if it could not be opened. */
static int work(void) {
    int done = 0;
    if (!rig_open(&rig, path, INT64_MAX / 4, RIG_KEEP))
        return -1;
    while (done < RIG_BATCHES) {
        rig_work(&rig, done + 1);
        if (!rig_commit(&rig))
            break;
        done++;
    }
    rig_close(&rig);
    return done;
}

static void check_after(const char *kind, int64_t at, int done) {
    fault_vfs_set(FAULT_NONE, 0);
    if (!rig_open(&rig, path, INT64_MAX / 4, RIG_KEEP) || !rig_read_all(&rig)) {
        fail("%s at %" PRId64 ": cannot be opened again: %s", kind, at, rig.error);
    } else {
        /* The batch that was being written may have been committed. */
        int acknowledged = done < 0 ? 0 : done;
        int next = acknowledged < RIG_BATCHES ? acknowledged + 1 : acknowledged;
        if (!is_state(acknowledged) && !is_state(next))
            fail("%s at %" PRId64 ": after %d batches there is\n%swhere there should be\n%s", kind,
                at, acknowledged, rig.loaded.text, expected[acknowledged].text);
        if (done > 0 && rig.start.origin == rig.start.epoch)
            fail("%s at %" PRId64 ": a new origin, though nothing was lost", kind, at);
    }
    rig_close(&rig);
}

static void each_fault(const char *name, enum fault_kind kind) {
    int64_t at = 1, died = 0;
    fault_vfs_set(FAULT_NONE, 0);
    (void)work(); /* makes the reserve, which stays */
    for (;; at++) {
        remove_store();
        fault_vfs_set(kind, at);
        int done = work();
        if (!fault_vfs_happened())
            break;
        died += done < RIG_BATCHES;
        if (kind == FAULT_SYNC && fault_vfs_syncs() > at)
            fail("%s at %" PRId64 ": was synced again after it had failed", name, at);
        bool full = kind == FAULT_FULL || kind == FAULT_FULL_SHORT || kind == FAULT_QUOTA;
        if (full && done < RIG_BATCHES)
            fail("%s at %" PRId64 ": gave up after %d batches: %s", name, at, done, rig.error);
        check_after(name, at, done);
    }
    if (at < 20)
        fail("%s: only %" PRId64 " places to fail at", name, at - 1);
    printf("%s: %" PRId64 " places, %" PRId64 " times the store died\n", name, at - 1, died);
}

/* Without room, and with the reserve used up, a batch is tried again and again until there is room.
 * A try is a write that fails, and the first one gives the reserve up. */
static void stuck(void) {
    const int tries = 3;
    remove_store();
    fault_vfs_set(FAULT_NONE, 0);
    if (!rig_open(&rig, path, INT64_MAX / 4, RIG_KEEP)) {
        fail("stuck: %s", rig.error);
        return;
    }
    rig_work(&rig, 1);
    (void)rig_commit(&rig);
    fault_vfs_set(FAULT_FULL_ALL, 1);
    rig_work(&rig, 2);
    uint64_t batch = store_batch(rig.store);
    store_flush(rig.store);
    for (int waits = 0; fault_vfs_writes() < tries && waits < 600; waits++)
        rig_wait(&rig, 100);
    if (fault_vfs_writes() < tries || rig.dead || !rig.full)
        fail("stuck: %" PRId64 " tries, dead %d, full %d", fault_vfs_writes(), rig.dead, rig.full);
    if (store_committed(rig.store) >= batch)
        fail("stuck: committed without a write that succeeded");
    fault_vfs_set(FAULT_NONE, 0);
    if (!rig_commit(&rig))
        fail("stuck: not committed although there is room again: %s", rig.error);
    rig_close(&rig);
    check_after("stuck", 0, 2);
    printf("stuck: %d tries\n", tries);
}

/* ---- files that were cut or changed ------------------------------------------------------- */

struct copy {
    unsigned char *bytes;
    size_t size;
};

static struct copy read_file(int file) {
    struct copy copy = {NULL, 0};
    char name[4200];
    file_name(name, sizeof name, file);
    FILE *f = fopen(name, "rb");
    if (f == NULL)
        return copy;
    (void)fseek(f, 0, SEEK_END);
    copy.size = (size_t)ftell(f);
    rewind(f);
    copy.bytes = mem_new(copy.size, 1);
    if (fread(copy.bytes, 1, copy.size, f) != copy.size)
        copy.size = 0;
    (void)fclose(f);
    return copy;
}

static void write_file(int file, const struct copy *copy, size_t size) {
    char name[4200];
    file_name(name, sizeof name, file);
    FILE *f = fopen(name, "wb");
    if (f == NULL || fwrite(copy->bytes, 1, size, f) != size)
        fail("%s: cannot be written", name);
    if (f != NULL)
        (void)fclose(f);
}

/* Copies what a power cut leaves: the file after `before` batches and an orderly end, and a WAL and
 * a mark that have the batches up to `batches`. */
static bool prepare(int before, int batches, struct copy copies[4]) {
    remove_store();
    for (int batch = 0; batch < batches; batch++) {
        if (batch == 0 || batch == before) {
            if (batch > 0)
                rig_close(&rig);
            if (!rig_open(&rig, path, INT64_MAX / 4, RIG_KEEP))
                return false;
        }
        rig_work(&rig, batch + 1);
        if (!rig_commit(&rig))
            return false;
    }
    for (int i = 0; i < 4; i++)
        copies[i] = read_file(i);
    rig_close(&rig);
    return copies[0].size > 0;
}

static void restore(const struct copy copies[4], size_t wal_size) {
    remove_store();
    write_file(0, &copies[0], copies[0].size);
    if (wal_size > 0)
        write_file(1, &copies[1], wal_size);
    write_file(3, &copies[3], copies[3].size);
}

/* The next length of the WAL to try: each length in its head and around the begin and the end of a
 * frame, some in between, where only a checksum shows the cut, and the whole. */
static size_t next_length(size_t length, size_t whole) {
    const size_t head = 32, frame_head = 24, frame = 24 + 8192, step = 251;
    size_t in_frame = length < head ? 0 : (length - head) % frame;
    if (length < head || in_frame < frame_head || in_frame > frame - 3 || length == whole)
        return length + 1;
    size_t end = length - in_frame + frame - 2;
    size_t next = length + step < end ? length + step : end;
    return next < whole ? next : whole;
}

static void truncated(void) {
    const int before = 6, all = 9;
    struct copy copies[4];
    int64_t places = 0, lost = 0;
    if (!prepare(before, all, copies)) {
        fail("truncate: %s", rig.error);
        return;
    }
    for (size_t size = 0; size <= copies[1].size; size = next_length(size, copies[1].size)) {
        places++;
        restore(copies, size);
        if (!rig_open(&rig, path, INT64_MAX / 4, RIG_KEEP) || !rig_read_all(&rig)) {
            fail("WAL of %zu bytes: cannot be opened: %s", size, rig.error);
            return;
        }
        int state = all;
        while (state >= before && !is_state(state))
            state--;
        bool said = rig.start.origin == rig.start.epoch;
        if (state < before)
            fail("WAL of %zu bytes: there is\n%s", size, rig.loaded.text);
        else if (said != (state < all))
            fail("WAL of %zu bytes: %d of %d batches are there, and the loss was %s", size, state,
                all, said ? "said" : "not said");
        if (rig.start.number != 3 * all || rig.start.seq != 3 * (all - 2))
            fail("WAL of %zu bytes: goes on after seq %" PRId64 ", number %" PRId64, size,
                rig.start.seq, rig.start.number);
        lost += said;
        rig_close(&rig);
    }
    printf("truncate: %" PRId64 " lengths of %zu bytes, %" PRId64 " with a loss that was said\n",
        places, copies[1].size, lost);
}

/* A row with a changed byte must not pass for a trace or a result. */
static void flipped(void) {
    struct copy copies[4];
    int64_t places = 0, refused = 0, left_out = 0;
    if (!prepare(RIG_BATCHES - 1, RIG_BATCHES, copies)) {
        fail("flip: %s", rig.error);
        return;
    }
    for (size_t at = 16; at < copies[0].size; at += 37, places++) {
        copies[0].bytes[at] ^= 0x10;
        restore(copies, 0);
        copies[0].bytes[at] ^= 0x10;
        if (!rig_open(&rig, path, INT64_MAX / 4, RIG_KEEP)) {
            refused++;
            continue;
        }
        (void)rig_read_all(&rig);
        bool whole = is_state(RIG_BATCHES - 1);
        left_out += !whole;
        for (char *line = strtok(rig.loaded.text, "\n"); line != NULL; line = strtok(NULL, "\n"))
            if (strstr(expected[RIG_BATCHES - 1].text, line) == NULL)
                fail("byte %zu changed: there is %s", at, line);
        rig_close(&rig);
    }
    printf("flip: %" PRId64 " places, %" PRId64 " times refused, %" PRId64
           " times less came back\n",
        places, refused, left_out);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        enum fault_kind kinds[2];
    } faults[] = {
        {"full", {FAULT_FULL, FAULT_FULL_SHORT}},
        {"quota", {FAULT_QUOTA, FAULT_NONE}},
        {"error", {FAULT_ERROR, FAULT_ERROR_SHORT}},
        {"sync", {FAULT_SYNC, FAULT_NONE}},
        {"kill", {FAULT_KILL, FAULT_NONE}},
        {"power", {FAULT_POWER, FAULT_NONE}},
    };
    if (argc != 3 || !fault_vfs_register()) {
        (void)fprintf(stderr,
            "usage: store-faults DIRECTORY full|quota|stuck|error|sync|kill|power|truncate|flip\n");
        return 64;
    }
    (void)snprintf(path, sizeof path, "%s/faults.store", argv[1]);
    for (int batches = 0; batches <= RIG_BATCHES; batches++)
        rig_expect(&expected[batches], batches);
    if (strcmp(argv[2], "stuck") == 0)
        stuck();
    if (strcmp(argv[2], "truncate") == 0)
        truncated();
    if (strcmp(argv[2], "flip") == 0)
        flipped();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        for (int k = 0; k < 2 && strcmp(argv[2], faults[i].name) == 0; k++)
            if (faults[i].kinds[k] != FAULT_NONE)
                each_fault(faults[i].name, faults[i].kinds[k]);
    return failures > 0;
}
