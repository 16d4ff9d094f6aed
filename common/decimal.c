#include "common/decimal.h"

#include <string.h>

char *decimal_put(char *out, uint64_t number) {
    char digits[DECIMAL_BYTES];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    memcpy(out, digits + at, sizeof digits - at);
    out += sizeof digits - at;
    *out = '\0';
    return out;
}
