/* decimal: numbers as text, for places where printf() would take most of the time. Pure. */
#ifndef HOPMQ_DECIMAL_H
#define HOPMQ_DECIMAL_H

#include <stdint.h>

#define DECIMAL_BYTES 20 /* the digits of UINT64_MAX */

/* Writes the digits and a NUL, and returns the address of the NUL. */
char *decimal_put(char *out, uint64_t number);

#endif
