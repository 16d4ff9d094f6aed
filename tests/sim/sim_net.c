#include "tests/sim/sim.h"

struct message {
    int process, which;
    uint32_t number; /* of its connection */
    size_t size;
    const char *topic; /* on the feed */
    unsigned char bytes[];
};

#define ID_BYTES 5 /* of a routing id, as libzmq makes them */

static int64_t later(struct sim *s) {
    return s->now_us + 20 +
           sim_draw(s, sim_chance(s, 90) ? s->mix.delay_us / 10 + 1 : s->mix.delay_us);
}

/* When the next message of this direction comes. */
static int64_t arrival(struct sim *s, struct link *l, int way) {
    int64_t at_us = later(s);
    at_us = at_us < l->hold_us[way] ? l->hold_us[way] : at_us;
    l->last_us[way] = at_us < l->last_us[way] ? l->last_us[way] : at_us;
    return l->last_us[way];
}

static struct message *message_of(
    struct sim *s, int process, int which, const char *topic, const void *bytes, size_t size) {
    struct message *m = sim_new(s, sizeof *m + size);
    m->process = process;
    m->which = which;
    m->number = s->links[process][which].number;
    m->topic = topic;
    m->size = size;
    memcpy(m->bytes, bytes, size);
    return m;
}

/* ---- arrivals: of what is borrowed for a call nothing is left after it ------------------- */

static void *borrowed(const struct message *m) {
    void *bytes = malloc(m->size + 1);
    if (bytes == NULL)
        abort();
    return memcpy(bytes, m->bytes, m->size);
}

static void arrive_at_broker(struct sim *s, const struct event *event) {
    const struct message *m = event->data;
    const struct link *l = &s->links[m->process][m->which];
    if ((!l->open || l->number != m->number) && l->arrives[TO_BROKER] != m->number)
        return;
    void *bytes = borrowed(m);
    broker_message(s, m->process, m->number, bytes, m->size);
    free(bytes);
}

static void arrive_at_peer(struct sim *s, const struct event *event) {
    const struct message *m = event->data;
    struct link *l = &s->links[m->process][m->which];
    if (l->open && l->number == m->number)
        l->flying--;
    else if (l->arrives[TO_PEER] != m->number)
        return;
    void *bytes = borrowed(m);
    if (m->process < CLIENT)
        worker_message(s, m->process, bytes, m->size);
    else if (m->process < SUBSCRIBER)
        client_message(s, m->process, bytes, m->size);
    else if (m->which == LINK_REQUESTS)
        subscriber_message(s, m->process, bytes, m->size);
    else
        subscriber_feed(s, m->process, m->topic, bytes, m->size);
    free(bytes);
}

/* ---- sending ---------------------------------------------------------------------------- */

bool net_to_broker(struct sim *s, int process, const void *bytes, size_t size) {
    struct link *l = &s->links[process][LINK_REQUESTS];
    if (!l->open)
        return false;
    sim_at(s, arrival(s, l, TO_BROKER), BROKER, arrive_at_broker,
        message_of(s, process, LINK_REQUESTS, NULL, bytes, size), 0);
    return true;
}

bool net_to_peer(struct sim *s, const struct core_peer *peer, const void *bytes, size_t size,
    enum core_sent *why) {
    uint32_t number = 0;
    KEEP(s, peer->size == ID_BYTES, "a routing id of %zu bytes", peer->size);
    memcpy(&number, (const char *)peer->id + 1, sizeof number);
    for (int p = WORKER; p < PROCESSES; p++) {
        struct link *l = &s->links[p][LINK_REQUESTS];
        if (l->before == number && s->now_us < l->noticed_us)
            return true; /* into the void */
        if (!l->open || l->number != number)
            continue;
        *why = CORE_FULL;
        if (l->flying >= s->mix.hwm && !s->quiet)
            return false;
        l->flying++;
        sim_at(s, arrival(s, l, TO_PEER), p, arrive_at_peer,
            message_of(s, p, LINK_REQUESTS, NULL, bytes, size), 0);
        return true;
    }
    *why = CORE_GONE;
    return false;
}

void net_publish(struct sim *s, const char *topic, const void *bytes, size_t size) {
    topic = sim_text(s, topic);
    for (int p = SUBSCRIBER; p < PROCESSES; p++) {
        struct link *l = &s->links[p][LINK_FEED];
        if (!l->open || (l->flying >= s->mix.hwm && !s->quiet))
            continue;
        l->flying++;
        sim_at(s, arrival(s, l, TO_PEER), p, arrive_at_peer,
            message_of(s, p, LINK_FEED, topic, bytes, size), 0);
    }
}

/* ---- connections ------------------------------------------------------------------------ */

static void dial(struct sim *s, const struct event *event) {
    int which = (int)event->number;
    struct link *l = &s->links[event->process][which];
    l->dialling = false;
    if (!s->processes[BROKER].up || l->hold_us[TO_BROKER] > s->now_us) {
        net_dial(s, event->process, which);
        return;
    }
    l->open = true;
    l->number = ++s->next_number;
    l->flying = 0;
    SAY(s, "%s connects as %u", sim_name(event->process), l->number);
}

void net_dial(struct sim *s, int process, int which) {
    struct link *l = &s->links[process][which];
    if (l->open || l->dialling)
        return;
    l->dialling = true;
    sim_at(s, s->now_us + 10 * MS + sim_draw(s, s->quiet ? 100 * MS : 500 * MS), process, dial,
        NULL, which);
}

/* What is under way in a direction is lost, or comes: what the other side has in its buffers. */
void net_break(struct sim *s, int process, int which) {
    struct link *l = &s->links[process][which];
    if (!l->open)
        return;
    SAY(s, "%s is disconnected (%u)", sim_name(process), l->number);
    l->open = false;
    l->before = l->number;
    l->noticed_us = s->now_us + (sim_chance(s, 50) ? sim_draw(s, SECOND) : 0);
    for (int way = 0; way < 2; way++)
        l->arrives[way] = sim_chance(s, 50) ? l->number : 0;
    if (s->processes[process].up)
        net_dial(s, process, which);
}

void net_break_all(struct sim *s, int process) {
    for (int p = WORKER; p < PROCESSES; p++)
        for (int which = 0; which < LINKS; which++)
            if (process == BROKER || p == process)
                net_break(s, p, which);
}
