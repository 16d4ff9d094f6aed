/* decimal: numbers as text, where printf would take longer than all around it. Pure. */
#ifndef HOPMQ_DECIMAL_H
#define HOPMQ_DECIMAL_H

#include <stdint.h>

#define DECIMAL_BYTES 20 /* of the greatest number */

/* Writes the digits and a NUL; where that stands is returned. */
char *decimal_put(char *out, uint64_t number);

#endif
