/* process: memory, descriptors and processor time of this process, under Prometheus's names. */
#ifndef HOPMQ_PROCESS_H
#define HOPMQ_PROCESS_H

#include "common/exposition.h"

/* started_us is the wall clock's time at which the process was started. Counting descriptors takes
 * about a microsecond for each. */
void process_put(struct exposition *e, int64_t started_us);

#endif
