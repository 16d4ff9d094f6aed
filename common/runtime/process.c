#include "common/runtime/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static int64_t us(const struct timeval *t) { return t->tv_sec * INT64_C(1000000) + t->tv_usec; }

static void put_memory(struct exposition *e) {
    int64_t total = 0, resident = 0, page = sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers there */
    bool read = fscanf(f, "%" SCNd64 " %" SCNd64, &total, &resident) == 2;
    (void)fclose(f);
    if (!read)
        return;
    exposition_value(e, EXPOSITION_GAUGE, "process_resident_memory_bytes",
        "Resident memory size in bytes.", resident * page);
    exposition_value(e, EXPOSITION_GAUGE, "process_virtual_memory_bytes",
        "Virtual memory size in bytes.", total * page);
}

static void put_descriptors(struct exposition *e) {
    struct rlimit limit;
    int64_t open = 0;
    DIR *d = opendir("/proc/self/fd");
    if (d != NULL) {
        while (readdir(d) != NULL)
            open++;
        (void)closedir(d);
        exposition_value(e, EXPOSITION_GAUGE, "process_open_fds",
            "Number of open file descriptors.",
            open - 3); /* without `.', `..' and this directory */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        exposition_value(e, EXPOSITION_GAUGE, "process_max_fds",
            "Maximum number of open file descriptors.", (int64_t)limit.rlim_cur);
}

void process_put(struct exposition *e, int64_t started_us) {
    struct rusage used;
    exposition_value_us(e, EXPOSITION_GAUGE, "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.", started_us);
    if (getrusage(RUSAGE_SELF, &used) == 0)
        exposition_value_us(e, EXPOSITION_COUNTER, "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            us(&used.ru_utime) + us(&used.ru_stime));
    put_memory(e);
    put_descriptors(e);
}
