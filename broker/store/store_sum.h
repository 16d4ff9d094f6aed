/* store_sum: CRC-32 checksums of rows, so that a damaged row does not pass for a trace or a result.
 * It counts as shell only because it uses libdeflate. */
#ifndef HOPMQ_STORE_SUM_H
#define HOPMQ_STORE_SUM_H

#include "broker/core/records.h"

/* Does not cover `run`, which changes and has a checksum of its own. */
uint32_t store_sum_trace(const struct record_trace *trace);
uint32_t store_sum_run(const struct record_run *run);
uint32_t store_sum_result(const struct record_result *result);

#endif
