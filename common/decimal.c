#include "common/decimal.h"

#define DIGITS 10

char *decimal_put(char *at, uint32_t value) {
    char digits[DIGITS];
    int first = DIGITS;
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (first < DIGITS)
        *at++ = digits[first++];
    return at;
}
