#include "worker/probing/slots.h"

#include "worker/probing/mtr_tokens.h"

#include <assert.h>
#include <string.h>

#define USES (1 << 20)

static_assert(1 << SLOTS_TOKEN_BITS == MTR_TOKEN_PROBES, "the first use of slot 0 has it");

void slots_init(struct slots *s) {
    memset(s, 0, sizeof *s);
    TAILQ_INIT(&s->free);
    TAILQ_INIT(&s->in_use);
    for (int i = 0; i < SLOTS_MAX; i++)
        TAILQ_INSERT_TAIL(&s->free, &s->at[i], age);
    s->limit = SLOTS_BEFORE_0_96;
}

void slots_limit(struct slots *s, int minor) {
    s->limit = minor >= 96 ? SLOTS_MAX : SLOTS_BEFORE_0_96;
}

bool slots_free(const struct slots *s, enum slot_kind kind) {
    const unsigned limits[] = {s->limit, SLOTS_TCP_LIKE, s->limit / 2};
    return s->in_flight < s->limit && s->of_kind[kind] < limits[kind];
}

struct slot *slots_take(struct slots *s, enum slot_kind kind) {
    struct slot *slot = TAILQ_FIRST(&s->free);
    TAILQ_REMOVE(&s->free, slot, age);
    *slot = (struct slot){.use = slot->use % (USES - 1) + 1, .used = true, .kind = kind};
    TAILQ_INSERT_TAIL(&s->in_use, slot, age);
    s->in_flight++;
    s->of_kind[kind]++;
    return slot;
}

void slots_release(struct slots *s, struct slot *slot) {
    slot->used = false;
    TAILQ_REMOVE(&s->in_use, slot, age);
    TAILQ_INSERT_TAIL(&s->free, slot, age);
    s->in_flight--;
    s->of_kind[slot->kind]--;
}

int32_t slots_token(const struct slots *s, const struct slot *slot) {
    return (int32_t)(slot->use << SLOTS_TOKEN_BITS | (uint32_t)(slot - s->at));
}

struct slot *slots_find(struct slots *s, int32_t token) {
    uint32_t index = (uint32_t)token & ((1U << SLOTS_TOKEN_BITS) - 1);
    if (index >= SLOTS_MAX || !s->at[index].used || slots_token(s, &s->at[index]) != token)
        return NULL;
    return &s->at[index];
}
