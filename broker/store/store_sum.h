/* store_sum: checksums (CRC-32) of what stands in a row, so that damage does not pass for a trace
 * or a result. Shell, for libdeflate only. */
#ifndef HOPMQ_STORE_SUM_H
#define HOPMQ_STORE_SUM_H

#include "broker/core/records.h"

/* Without `run`, which changes and has a sum of its own. */
uint32_t store_sum_trace(const struct record_trace *trace);
uint32_t store_sum_run(const struct record_run *run);
uint32_t store_sum_result(const struct record_result *result);

#endif
