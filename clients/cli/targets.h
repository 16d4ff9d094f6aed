/* targets: the targets that a command is given, as arguments and as lines of a file. */
#ifndef HOPMQ_CLIENT_TARGETS_H
#define HOPMQ_CLIENT_TARGETS_H

#include <stdbool.h>

struct targets;

enum targets_got {
    TARGETS_ONE,   /* *target holds until the next call */
    TARGETS_LATER, /* nothing until targets_fd() is readable */
    TARGETS_END,
    TARGETS_BROKEN, /* reading the file failed; the reason is on standard error */
};

/* First `count` arguments, then the file (NULL: none); "-" is standard input, in either place. Ends
 * the process with EX_NOINPUT if the file cannot be opened. The strings must outlive the
 * targets. */
struct targets *targets_new(char **arguments, int count, const char *file);
void targets_destroy(struct targets **targets);

/* The next one, and its line: 0 for an argument. Never waits. */
enum targets_got targets_next(struct targets *targets, const char **target, unsigned *line);

/* Where lines come from now. */
int targets_fd(const struct targets *targets);
const char *targets_file(const struct targets *targets);

#endif
