/* flows: local ports that keep the five-tuple of a trace constant, and its own. Pure.
 *
 * Routers choose among paths by the five-tuple, so a trace whose probes all have the same one stays
 * on one path (Paris traceroute, Augustin et al. 2006). With both ports given, mtr-packet keeps the
 * five-tuple of UDP probes and puts its sequence number into the checksum. These ports are below
 * 33000, where mtr-packet's own begin: a probe to or from one of those could be taken for
 * another's.
 */
#ifndef HOPMQ_FLOWS_H
#define HOPMQ_FLOWS_H

#include "common/addr.h"

#include <bsd/sys/tree.h>

/* `flow` is 0..FLOWS - 1 and means the port FLOWS_FIRST_PORT + flow. Of traces with one flow to one
 * target, FLOWS_AT_ONCE may run at the same time: each has a port of its own, in steps of FLOWS. */
#define FLOWS 1024
#define FLOWS_FIRST_PORT 10000
#define FLOWS_AT_ONCE 22

/* The port of a running trace; embed it in what runs it. */
struct flow_use {
    RB_ENTRY(flow_use) link;
    struct addr target;
    uint16_t port; /* 0: none */
};

RB_HEAD(flow_tree, flow_use);

struct flows {
    struct flow_tree tree;
};

void flows_init(struct flows *flows);

/* Gives `use` a port that no other running trace to the target has; false if all are taken. */
bool flows_take(struct flows *flows, struct flow_use *use, const struct addr *target, int flow);

/* Harmless without a port. */
void flows_release(struct flows *flows, struct flow_use *use);

#endif
