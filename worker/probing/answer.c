#include "worker/probing/answer.h"

#include <string.h>

enum answer_trust answer_trust(const struct answer_facts *f) {
    if (f->repeats)
        return ANSWER_DUPLICATE;
    if (f->reply->addr.af == 0) {
        bool early = f->out_us < f->timeout_us - ANSWER_CLOCK_STEP_US;
        return early && strcmp(f->reply->word, "no-reply") == 0 ? ANSWER_EARLY_SILENCE
                                                                : ANSWER_SOUND;
    }
    if (f->clock_step_us >= ANSWER_CLOCK_STEP_US || f->clock_step_us <= -ANSWER_CLOCK_STEP_US)
        return ANSWER_CLOCK_STEP;
    if (f->reply->rtt_us > f->out_us + ANSWER_CLOCK_STEP_US)
        return ANSWER_IMPOSSIBLE_TIME;
    return ANSWER_SOUND;
}
