/* Bytes drive a mux and its traces through anything that a prober may do; see world.h. */
#include "tests/unit/world.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static uint32_t below(void *context, uint32_t limit) {
    struct input *input = context;
    uint32_t value = 0;
    for (uint32_t room = 1; room<limit; room = room> UINT32_MAX >> 8 ? limit : room << 8) {
        value = value << 8;
        if (input->left > 0) {
            value |= *input->at++;
            input->left--;
        }
    }
    return value % limit;
}

static bool more(void *context) { return ((struct input *)context)->left > 0; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    if (size > 2000)
        return -1;
    (void)world_run(&(struct world_source){below, more, &input});
    return 0;
}
