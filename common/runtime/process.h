/* process: what the kernel knows of this process, as metrics under Prometheus's names. */
#ifndef HOPMQ_PROCESS_H
#define HOPMQ_PROCESS_H

#include "common/exposition.h"

/* Memory, descriptors, processor time. `started_us` is when the process was started, by the wall
 * clock. Counting descriptors takes about a microsecond for each. */
void process_put(struct exposition *e, int64_t started_us);

#endif
