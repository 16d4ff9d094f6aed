/*
 * simnet: a simulated internet for tests: options, the loop between device and delay queue, the
 * command that runs inside.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "sim_delay.h"
#include "sim_options.h"
#include "sim_report.h"
#include "sim_router.h"
#include "sim_truth.h"
#include "sim_tun.h"

/* The status that test programs and Automake understand as "skipped". */
#define EXIT_SKIP 77

/* As in a shell, added to the number of the signal that ended the command. */
#define EXIT_NOT_RUN 126
#define EXIT_NOT_FOUND 127
#define EXIT_SIGNAL 128

/* How many packets are read before replies that are due get their turn again. */
#define BATCH 16

#define NS_PER_US 1000
#define NS_PER_S INT64_C(1000000000)

struct simnet {
    int tun, signals;
    bool watch_stdin; /* without a command the end of the input ends the simulation */
    pid_t command;    /* 0: none */
    bool done;
    int status;
    struct sim_router *router;
    struct sim_delay *delay;
    struct sim_answer answer;
    FILE *stats; /* the report goes here, or NULL */
    struct sim_report report;
};

static int64_t clock_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void write_due(struct simnet *self) {
    const struct sim_parcel *parcel;

    while ((parcel = sim_delay_peek(self->delay))) {
        int64_t lag_ns = clock_ns() - parcel->due_ns;

        if (lag_ns < 0)
            return;
        if (write(self->tun, parcel->packet, parcel->length) == (ssize_t)parcel->length)
            self->report.out++;
        else
            self->report.write_errors++;
        sim_report_lag(&self->report, lag_ns);
        sim_delay_drop(self->delay);
    }
}

/* Returns false when nothing is left to read. */
static bool read_batch(struct simnet *self) {
    uint8_t packet[SIM_PACKET_MAX + 1]; /* a packet that fills one byte more is too long */
    struct sim_answer *answer = &self->answer;

    for (int i = 0; i < BATCH; i++) {
        ssize_t length = read(self->tun, packet, sizeof packet);

        if (length < 0 && errno == EBADFD && self->tun >= 0) {
            fprintf(stderr, "simnet: " SIM_TUN_DEVICE " was deleted\n");
            close(self->tun);
            self->tun = -1; /* poll() would find the old descriptor ready for ever */
        }
        if (length < 0)
            return errno == EINTR;
        sim_router_handle(self->router, packet, (size_t)length, clock_ns(), answer);
        for (uint32_t copy = 0; copy < answer->copies; copy++)
            if (sim_delay_push(self->delay, answer->due_ns[copy], answer->packet, answer->length) !=
                0)
                self->report.overflow++;
        if (sim_delay_size(self->delay) > self->report.queue_max)
            self->report.queue_max = sim_delay_size(self->delay);
    }
    return true;
}

static void reap(struct simnet *self) {
    int status;

    if (waitpid(self->command, &status, WNOHANG) != self->command)
        return;
    self->done = true;
    self->status = WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static void read_signals(struct simnet *self) {
    struct signalfd_siginfo info;

    while (read(self->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        int number = (int)info.ssi_signo;

        if (number == SIGCHLD) {
            if (self->command > 0)
                reap(self);
        } else if (self->command == 0) {
            self->done = true;
        } else if (info.ssi_code != SI_KERNEL) {
            /* The terminal has sent this signal to the command, too. */
            kill(self->command, number);
        }
    }
}

static void read_stdin(struct simnet *self) {
    char discarded[4096];
    ssize_t length = read(STDIN_FILENO, discarded, sizeof discarded);

    if (length == 0 || (length < 0 && errno != EINTR && errno != EAGAIN))
        self->done = true;
}

/* Waits for a packet, a due reply, a signal, or the end of the input. */
static void wait_for_work(struct simnet *self, bool more) {
    const struct sim_parcel *parcel = sim_delay_peek(self->delay);
    struct timespec timeout = {0, 0};
    struct pollfd fds[] = {
        {.fd = self->tun, .events = POLLIN},
        {.fd = self->signals, .events = POLLIN},
        {.fd = self->watch_stdin ? STDIN_FILENO : -1, .events = POLLIN},
    };

    if (!more && parcel) {
        int64_t wait_ns = parcel->due_ns - clock_ns();

        if (wait_ns > 0) {
            timeout.tv_sec = wait_ns / NS_PER_S;
            timeout.tv_nsec = wait_ns % NS_PER_S;
        }
    }
    if (ppoll(fds, sizeof fds / sizeof fds[0], more || parcel ? &timeout : NULL, NULL) <= 0)
        return;
    if (fds[1].revents)
        read_signals(self);
    if (fds[2].revents)
        read_stdin(self);
}

static void run(struct simnet *self) {
    int64_t start_ns = clock_ns();
    struct rusage usage;

    while (!self->done) {
        bool more;

        write_due(self);
        more = read_batch(self);
        wait_for_work(self, more);
    }
    getrusage(RUSAGE_SELF, &usage);
    self->report.cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                          usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    self->report.elapsed_us = (clock_ns() - start_ns) / NS_PER_US;
    self->report.device_drops = sim_tun_drops();
}

/* Returns only in the parent. */
static pid_t start_command(char **command) {
    pid_t parent = getpid();
    pid_t pid = fork();
    sigset_t none;
    int error;

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_SIGNAL + SIGKILL); /* the parent died before it was watched */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(command[0], command);
    error = errno;
    fprintf(stderr, "simnet: %s: %s\n", command[0], strerror(error));
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN);
}

static void write_report(const struct simnet *self, bool verbose) {
    const struct sim_router_counters *counters = sim_router_counters(self->router);

    if (verbose)
        sim_report_print(&self->report, counters, stderr);
    if (self->stats)
        sim_report_print(&self->report, counters, self->stats);
}

/* From here on signals come only through the descriptor that this returns. */
static int catch_signals(void) {
    sigset_t caught;

    signal(SIGCHLD, SIG_DFL); /* if it were ignored, the exit status of the command would be lost */
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGCHLD);
    sigprocmask(SIG_BLOCK, &caught, NULL);
    return signalfd(-1, &caught, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int simulate(struct simnet *self, const struct sim_options *options) {
    self->router = sim_router_new(&options->path, &options->router);
    self->delay = sim_delay_new(SIM_DELAY_MAX_PACKETS, SIM_DELAY_MAX_BYTES);
    self->signals = catch_signals();
    if (!self->router || !self->delay || self->signals < 0) {
        fprintf(stderr, "simnet: %s\n", strerror(errno));
        return EX_OSERR;
    }
    if (options->stats) {
        self->stats = fopen(
            options->stats, "we"); /* opened now, so that a wrong path is noticed at the start */
        if (!self->stats) {
            fprintf(stderr, "simnet: --stats %s: %s\n", options->stats, strerror(errno));
            return EX_CANTCREAT;
        }
    }
    if (options->command) {
        self->command = start_command(options->command);
        if (self->command < 0) {
            fprintf(stderr, "simnet: fork: %s\n", strerror(errno));
            return EX_OSERR;
        }
    } else {
        self->watch_stdin = true;
        printf("ready %d\n", (int)getpid());
        fflush(stdout);
    }
    /* Linux lets timers be 50 us late to save power. The command keeps that default. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    run(self);
    write_report(self, options->verbose);
    return self->status;
}

static int print_truth(const struct sim_options *options) {
    unsigned long line = sim_truth_print(&options->path, stdin, stdout);

    if (line == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "simnet: --truth: line %lu: must be PROTOCOL DESTINATION\n", line);
    return EX_DATAERR;
}

int main(int argc, char **argv) {
    char reason[SIM_TUN_REASON];
    struct sim_options options;
    struct simnet *self;
    int status;

    sim_options_parse(&options, argc, argv);
    if (options.mode == SIM_MODE_TRUTH)
        return print_truth(&options);

    self = calloc(1, sizeof *self);
    if (!self) {
        fprintf(stderr, "simnet: %s\n", strerror(errno));
        return EX_OSERR;
    }
    self->tun = sim_tun_open(reason, sizeof reason);
    if (self->tun < 0) {
        fprintf(stderr, "simnet: cannot simulate here: %s\n", reason);
        status = EXIT_SKIP;
    } else {
        status = options.mode == SIM_MODE_PROBE ? EXIT_SUCCESS : simulate(self, &options);
    }
    if (self->stats && fclose(self->stats) != 0) {
        fprintf(stderr, "simnet: --stats %s: %s\n", options.stats, strerror(errno));
        if (status == EXIT_SUCCESS)
            status = EX_IOERR;
    }
    sim_router_destroy(&self->router);
    sim_delay_destroy(&self->delay);
    free(self);
    return status;
}
