/* Runs every file of the directories named as arguments through a fuzz target, so that an
 * ordinary test run, without clang, replays what the fuzzer once found. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False if the file cannot be read. */
static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0, room = 0, got;
    if (file == NULL)
        return 0;
    do {
        if (size == room) {
            room = room == 0 ? 4096 : room * 2;
            data = realloc(data, room);
            if (data == NULL)
                abort();
        }
        got = fread(data + size, 1, room - size, file);
        size += got;
    } while (got > 0);
    int failed = ferror(file);
    (void)fclose(file);
    if (!failed) {
        /* just as long as the input, so that a sanitizer sees a read beyond it */
        uint8_t *exact = malloc(size > 0 ? size : 1);
        if (exact == NULL)
            abort();
        memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    free(data);
    return !failed;
}

/* The number of files, or -1. */
static int replay_directory(const char *name) {
    DIR *directory = opendir(name);
    const struct dirent *entry;
    int count = 0;
    if (directory == NULL)
        return -1;
    while ((entry = readdir(directory)) != NULL) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        if (!replay_file(path)) {
            count = -1;
            break;
        }
        count++;
    }
    (void)closedir(directory);
    return count;
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = replay_directory(argv[i]);
        if (count < 0) {
            perror(argv[i]);
            return 1;
        }
        total += count;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
