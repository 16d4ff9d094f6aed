/* ptr_read() with arbitrary bytes: a name that it returns may always be passed on. */
#include "worker/session/ptr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(rule)                                                                                \
    do {                                                                                           \
        if (!(rule)) {                                                                             \
            fprintf(stderr, "fuzz_ptr: broken: %s\n", #rule);                                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char name[RESULT_NAME_BYTES + 1];
    uint32_t ttl_s;
    memset(name, 'x', sizeof name);
    enum names_outcome outcome = ptr_read(data, size, name, &ttl_s);
    CHECK(memchr(name, '\0', sizeof name) != NULL);
    CHECK(outcome == NAMES_NAMED || outcome == NAMES_NONE || outcome == NAMES_REFUSED);
    CHECK((outcome == NAMES_NAMED) == result_is_name(name, strlen(name)));
    CHECK(outcome == NAMES_NAMED || (name[0] == '\0' && ttl_s == 0));
    return 0;
}
