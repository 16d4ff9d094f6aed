#include "worker/flows.h"

#include <string.h>

static int compare(const struct flow_use *a, const struct flow_use *b) {
    int order = a->port - b->port;
    if (order == 0)
        order = a->target.af - b->target.af;
    return order != 0 ? order : memcmp(a->target.bytes, b->target.bytes, sizeof a->target.bytes);
}

RB_PROTOTYPE(flow_tree, flow_use, link, compare)
RB_GENERATE(flow_tree, flow_use, link, compare)

void flows_init(struct flows *f) { RB_INIT(&f->tree); }

bool flows_take(struct flows *f, struct flow_use *use, const struct addr *target, int flow) {
    use->target = *target;
    for (int i = 0; i < FLOWS_AT_ONCE; i++) {
        use->port = (uint16_t)(FLOWS_FIRST_PORT + flow + i * FLOWS);
        if (RB_INSERT(flow_tree, &f->tree, use) == NULL)
            return true;
    }
    use->port = 0;
    return false;
}

void flows_release(struct flows *f, struct flow_use *use) {
    if (use->port != 0)
        (void)RB_REMOVE(flow_tree, &f->tree, use);
    use->port = 0;
}
