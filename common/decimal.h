/* decimal: a number as text, where snprintf() would cost more than all else. Pure. */
#ifndef HOPMQ_DECIMAL_H
#define HOPMQ_DECIMAL_H

#include <stdint.h>

/* Writes the digits, up to ten and no end mark, and returns where they end. */
char *decimal_put(char *at, uint32_t value);

#endif
