/* stats_text: the numbers of a broker as text for people; docs/protocol.md, section 6. Pure. */
#ifndef HOPMQ_CLIENT_STATS_TEXT_H
#define HOPMQ_CLIENT_STATS_TEXT_H

#include "clients/cli/text.h"
#include "common/protocol/wire.h"

/* `stats` is the map in the reply; what is missing in it, or is of another type, is left out. */
void stats_text(struct text *text, const msgpack_object *stats);

#endif
