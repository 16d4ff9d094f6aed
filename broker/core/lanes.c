#include "broker/core/lanes.h"

#include "broker/core/jobs.h"
#include "broker/core/matching.h"
#include "broker/core/ward.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "common/tail.h"

#include <stdlib.h>
#include <string.h>

int64_t lanes_order(const struct job *job) {
    const struct bond *bond = job->bond;
    return bond != NULL && bond->whole != NULL ? bond->whole->ticket : job->ticket;
}

/* No lane has two parts of one whole: they are for different workers. */
static int compare_order(const struct job *a, const struct job *b) {
    int64_t x = lanes_order(a), y = lanes_order(b);
    return x < y ? -1 : x > y;
}

static int compare_turn(const struct lane *a, const struct lane *b) {
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return compare_order(a->first, b->first);
}

static int compare_requirement(const struct lane *a, const struct lane *b) {
    if (a->requirement != b->requirement)
        return (uintptr_t)a->requirement < (uintptr_t)b->requirement ? -1 : 1;
    return a->priority - b->priority;
}

static int compare_tag(const struct client *a, const struct client *b) {
    return strcmp(a->tag, b->tag);
}

RB_PROTOTYPE(lane_job_tree, job, by_order, compare_order)
RB_GENERATE(lane_job_tree, job, by_order, compare_order)
TAIL_GENERATE(lane_job_tree, job, by_order, compare_order)
RB_PROTOTYPE(turn_tree, lane, by_turn, compare_turn)
RB_GENERATE(turn_tree, lane, by_turn, compare_turn)
RB_PROTOTYPE(client_lane_tree, lane, by_requirement, compare_requirement)
RB_GENERATE(client_lane_tree, lane, by_requirement, compare_requirement)
RB_PROTOTYPE(client_tree, client, by_tag, compare_tag)
RB_GENERATE(client_tree, client, by_tag, compare_tag)

/* ---- clients and lanes ------------------------------------------------------------------ */

const char *lanes_tag(const struct core_peer *peer, char tag[LANES_TAG_BYTES + 1]) {
    const uint8_t *id = peer->id;
    char *at = decimal_put(tag, (uint64_t)peer->socket);
    *at++ = '-';
    for (size_t i = 0; i < peer->size; i++) {
        *at++ = "0123456789abcdef"[id[i] >> 4];
        *at++ = "0123456789abcdef"[id[i] & 15];
    }
    *at = '\0';
    return tag;
}

static struct client *find_client(struct core *c, const char *tag) {
    struct client *at = RB_ROOT(&c->clients);
    int order;
    while (at != NULL && (order = strcmp(tag, at->tag)) != 0)
        at = order < 0 ? RB_LEFT(at, by_tag) : RB_RIGHT(at, by_tag);
    return at;
}

static struct client *new_client(struct core *c, const char *tag) {
    size_t size = strlen(tag) + 1;
    struct client *client = mem_new(1, sizeof *client + size);
    memcpy(client->tag, tag, size);
    client->time = c->turn;
    RB_INIT(&client->lanes);
    (void)RB_INSERT(client_tree, &c->clients, client);
    c->client_count++;
    return client;
}

static struct lane *get_lane(
    struct core *c, struct client *client, struct requirement *requirement, uint8_t priority) {
    struct lane key = {.requirement = requirement, .priority = priority};
    struct lane *lane = RB_FIND(client_lane_tree, &client->lanes, &key);
    if (lane != NULL)
        return lane;
    lane = mem_new(1, sizeof *lane);
    lane->client = client;
    lane->requirement = requirement;
    lane->priority = priority;
    RB_INIT(&lane->jobs);
    (void)RB_INSERT(client_lane_tree, &client->lanes, lane);
    matching_hold(c, requirement);
    return lane;
}

bool lanes_full(struct core *c, const char *tag) {
    return c->client_count >= CORE_MAX_CLIENTS && find_client(c, tag) == NULL;
}

void lanes_join(struct core *c, struct job *job, const char *tag, struct requirement *requirement) {
    struct client *client = find_client(c, tag);
    if (client == NULL)
        client = new_client(c, tag);
    job->lane = get_lane(c, client, requirement, job->priority);
    job->lane->held++;
    job->served_periods = requirement->served_periods - (requirement->serving > 0);
}

void lanes_leave(struct core *c, struct job *job) {
    struct lane *lane = job->lane;
    struct client *client = lane->client;
    job->lane = NULL;
    if (--lane->held > 0)
        return;
    (void)RB_REMOVE(client_lane_tree, &client->lanes, lane);
    matching_release(c, lane->requirement);
    free(lane);
    if (!RB_EMPTY(&client->lanes))
        return;
    (void)RB_REMOVE(client_tree, &c->clients, client);
    c->client_count--;
    free(client);
}

/* ---- turns ------------------------------------------------------------------------------ */

/* Gives the lane another first job, and the place among the turns that goes with it. */
static void set_first(struct lane *lane, struct job *first) {
    struct turn_tree *turns = &lane->requirement->turns[lane->priority];
    if (lane->first != NULL)
        (void)RB_REMOVE(turn_tree, turns, lane);
    lane->first = first;
    lane->time = lane->client->time;
    if (first != NULL)
        (void)RB_INSERT(turn_tree, turns, lane);
}

void lanes_add(struct core *c, struct job *job) {
    struct lane *lane = job->lane;
    struct client *client = lane->client;
    struct requirement *requirement = lane->requirement;
    if (client->queued++ == 0 && client->time < c->turn)
        client->time = c->turn;
    (void)lane_job_tree_tail_insert(&lane->jobs, &lane->last, job);
    lane->queued++;
    if (lane->first == NULL || compare_order(job, lane->first) < 0)
        set_first(lane, job);
    if (requirement->queued++ == 0) {
        TAILQ_INSERT_TAIL(&c->waiting, requirement, link);
        matching_update_ready(c, requirement);
    }
}

void lanes_take(struct core *c, struct job *job) {
    struct lane *lane = job->lane;
    struct requirement *requirement = lane->requirement;
    struct job *next = RB_NEXT(lane_job_tree, &lane->jobs, job);
    lane_job_tree_tail_remove(&lane->jobs, &lane->last, job);
    lane->queued--;
    lane->client->queued--;
    if (lane->first == job)
        set_first(lane, next);
    if (--requirement->queued == 0) {
        TAILQ_REMOVE(&c->waiting, requirement, link);
        matching_update_ready(c, requirement);
    }
}

struct lane *lanes_next(struct requirement *requirement) {
    for (int p = 0; p < PRIORITIES; p++) {
        struct lane *lane;
        while ((lane = RB_MIN(turn_tree, &requirement->turns[p])) != NULL) {
            if (lane->time == lane->client->time)
                return lane;
            set_first(lane, lane->first);
        }
    }
    return NULL;
}

void lanes_charge(struct core *c, struct client *client) {
    if (client->time < c->turn)
        client->time = c->turn;
    c->turn = client->time;
    client->time += 1 + (uint64_t)client->running;
}

int64_t lanes_position(const struct job *job) {
    const struct lane *lane = job->lane, *other;
    if (ward_suspects(job))
        return lane->requirement->suspect_count;
    int64_t before = lanes_order(job) - lanes_order(lane->first) + 1;
    if (before > lane->queued)
        before = lane->queued;
    struct lane key = {.requirement = lane->requirement};
    for (other = RB_NFIND(client_lane_tree, &lane->client->lanes, &key); other != lane;
         other = RB_NEXT(client_lane_tree, &lane->client->lanes, (struct lane *)other))
        before += other->queued;
    return before;
}
