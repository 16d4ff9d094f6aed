#include "worker/probing/flows.h"

#include <stddef.h>

static int flows_compare(const struct flow_use *a, const struct flow_use *b) {
    return a->port != b->port ? a->port - b->port : addr_compare(&a->target, &b->target);
}

RB_PROTOTYPE(flow_tree, flow_use, link, flows_compare)
RB_GENERATE(flow_tree, flow_use, link, flows_compare)

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
