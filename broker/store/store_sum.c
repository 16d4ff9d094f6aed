#include "broker/store/store_sum.h"

#include <libdeflate.h>
#include <string.h>

static uint32_t sum_bytes(uint32_t sum, const void *bytes, size_t size) {
    return libdeflate_crc32(sum, bytes, size);
}

/* Covers the NUL too, so that "a" "bc" and "ab" "c" have different sums. */
static uint32_t sum_text(uint32_t sum, const char *text) {
    return sum_bytes(sum, text, strlen(text) + 1);
}

static uint32_t sum_numbers(const int64_t *numbers, size_t count) {
    unsigned char bytes[64];
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        for (unsigned shift = 0; shift < 64; shift += 8)
            bytes[size++] = (unsigned char)((uint64_t)numbers[i] >> shift);
    return sum_bytes(0, bytes, size);
}

uint32_t store_sum_trace(const struct record_trace *trace) {
    const int64_t numbers[] = {trace->number, trace->accepted_us};
    uint32_t sum = sum_text(sum_numbers(numbers, 2), trace->id);
    return sum_bytes(sum_text(sum, trace->submitter), trace->trace, trace->trace_size);
}

uint32_t store_sum_run(const struct record_run *run) {
    const int64_t numbers[] = {run->number, run->lease, run->run, run->returns, run->cancelling};
    return sum_text(sum_numbers(numbers, 5), run->worker);
}

uint32_t store_sum_result(const struct record_result *result) {
    const int64_t numbers[] = {
        result->seq, result->stream_seq, result->number, result->finished_us};
    uint32_t sum = sum_text(sum_text(sum_numbers(numbers, 4), result->id), result->stream);
    sum = sum_bytes(sum, result->trace, result->trace_size);
    return sum_bytes(sum, result->result, result->result_size);
}
