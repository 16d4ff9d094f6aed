#include "common/decimal.h"

char *decimal_put(char *at, uint32_t value) {
    int size = 1;
    for (uint32_t rest = value; rest >= 10; rest /= 10)
        size++;
    for (char *digit = at + size; digit > at; value /= 10)
        *--digit = (char)('0' + value % 10);
    return at + size;
}
