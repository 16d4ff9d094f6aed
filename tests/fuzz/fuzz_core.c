/* Bytes drive the broker's core through anything that its peers and its clock may do; what it owes
 * them is checked after each event, see core_model.h. */
#include "tests/fuzz/core_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_SCRIPT 1024
#define MAX_TRACES 3        /* in a submit that is made here */
#define MAX_SIMULATED_S 300 /* each second costs a tick */
#define MAX_END_S 120

struct input {
    const uint8_t *at;
    size_t left;
};

/* A number below limit, 0 where the input has ended. */
static unsigned below(struct input *in, unsigned limit) {
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++ % limit;
}

static bool flag(unsigned bits, unsigned bit) { return (bits >> bit & 1) != 0; }

/* ---- peers ------------------------------------------------------------------------------ */

/* Ids are as short or as long as can be; see model_number(). Two workers have the ids of the other
 * two, on a second socket. */
static struct core_peer peer_of(int number, bool client, bool enveloped) {
    static char peer_ids[CLIENTS][255] = {"a", "b", "c", "d"};
    int id = client ? number : number & 1;
    return (struct core_peer){
        peer_ids[id], (id & 1) != 0 ? 255 : 1, client ? 0 : number >> 1, enveloped};
}

/* ---- clients ---------------------------------------------------------------------------- */

static void put_key_bool(msgpack_packer *pk, const char *key, bool value) {
    wire_put_text(pk, key);
    if (value)
        msgpack_pack_true(pk);
    else
        msgpack_pack_false(pk);
}

static void put_label(msgpack_packer *pk, unsigned which) {
    static const char *const sites[] = {"ams", "fra"};
    msgpack_pack_map(pk, which > 0);
    if (which > 0)
        wire_put_key_text(pk, "site", sites[(which - 1) % 2]);
}

static const char *const ids[] = {NULL, "a", "b", "c", "d", "e", "f", "longer.id:1"};

#define IDS (sizeof ids / sizeof ids[0])

/* Packs the pairs of a trace, or with pk NULL only counts them. */
static uint32_t put_trace(msgpack_packer *pk, struct input *in) {
    static const char *const targets[] = {"192.0.2.1", "2001:db8::1", "host.example", "224.0.0.1"};
    static const char *const streams[] = {"s", "t"};
    static const int64_t priorities[] = {0, 9, 10}, deadlines[] = {100, 1000, 5000, 20000};
    unsigned id = below(in, IDS), look = below(in, 256), more = below(in, 256);
    unsigned target = look & 1 ? look >> 5 & 3 : 0, stream = look >> 1 & 3;
    unsigned priority = look >> 3 & 3, deadline = more & 7, labels = more >> 3 & 3;
    bool progress = flag(more, 5), meta = flag(more, 6);
    uint32_t pairs = 1U + (id > 0) + (stream > 1) + (priority > 0) + (deadline > 3) + (labels > 0) +
                     progress + meta;
    if (pk == NULL)
        return pairs;
    wire_put_key_text(pk, "target", targets[target]);
    if (id > 0)
        wire_put_key_text(pk, "id", ids[id]);
    if (stream > 1)
        wire_put_key_text(pk, "stream", streams[stream - 2]);
    if (priority > 0)
        wire_put_key_int(pk, "priority", priorities[priority - 1]);
    if (deadline > 3)
        wire_put_key_int(pk, "deadline_ms", deadlines[deadline - 4]);
    if (labels > 0) {
        wire_put_text(pk, "workers");
        put_label(pk, labels - 1);
    }
    if (progress)
        put_key_bool(pk, "progress", true);
    if (meta)
        wire_put_key_text(pk, "meta", "m");
    return pairs;
}

static void put_req(msgpack_packer *pk, unsigned which) {
    wire_put_text(pk, "req");
    if (which == 1)
        msgpack_pack_int(pk, 7);
    else
        wire_put_text(pk, "r-1");
}

static void put_ids(msgpack_packer *pk, struct input *in) {
    unsigned mask = below(in, 256), count = 0;
    for (unsigned i = 1; i < IDS; i++)
        count += flag(mask, i);
    wire_put_text(pk, "ids");
    msgpack_pack_array(pk, count + flag(mask, 0));
    for (unsigned i = 1; i < IDS; i++)
        if (flag(mask, i))
            wire_put_text(pk, ids[i]);
    if (flag(mask, 0)) /* twice, or unknown */
        wire_put_text(pk, count > 0 ? "a" : "unknown");
}

static void put_request(msgpack_packer *pk, struct input *in) {
    static const char *const ops[] = {
        "submit", "submit", "trace", "status", "fetch", "cancel", "stats", "ping"};
    unsigned op = below(in, 8), look = below(in, 256), req = look & 3, pairs = 1;
    struct input again = *in;
    if (req == 3)
        req = 0;
    if (op == 2)
        pairs = put_trace(NULL, &again);
    else if (op < 2)
        pairs = 2;
    else if (op > 5)
        pairs = 0;
    msgpack_pack_map(pk, 2U + (req > 0) + pairs);
    wire_put_key_int(pk, "v", WIRE_VERSION);
    wire_put_key_text(pk, "op", ops[op]);
    if (req > 0)
        put_req(pk, req);
    if (op == 2) {
        (void)put_trace(pk, in);
    } else if (op < 2) {
        unsigned count = 1 + (look >> 3) % MAX_TRACES;
        put_key_bool(pk, "notify", flag(look, 2));
        wire_put_text(pk, "traces");
        msgpack_pack_array(pk, count);
        for (unsigned i = 0; i < count; i++) {
            again = *in;
            msgpack_pack_map(pk, put_trace(NULL, &again));
            (void)put_trace(pk, in);
        }
    } else if (op <= 5) {
        put_ids(pk, in);
    }
}

/* ---- workers ---------------------------------------------------------------------------- */

/* One of the last leases that were given to somebody, or a wrong one. */
static int64_t lease_of(const struct model *m, unsigned which) {
    if (which < m->given_count && which < 12)
        return m->given[m->given_count - 1 - which];
    return which == 12 ? INT64_MAX : which == 13 ? 1 : FIRST_LEASE + (int64_t)which;
}

static void put_leases(msgpack_packer *pk, const struct model *m, struct input *in) {
    unsigned mask = below(in, 256), count = 0;
    wire_put_text(pk, "leases");
    for (unsigned i = 0; i < 8; i++)
        count += flag(mask, i);
    msgpack_pack_array(pk, count);
    for (unsigned i = 0; i < 8; i++)
        if (flag(mask, i))
            msgpack_pack_int64(pk, lease_of(m, i));
}

static void put_hello(msgpack_packer *pk, const struct model *m, struct input *in) {
    static const char *const names[] = {"ams1", "fra1", "x", "ams1"};
    static const int64_t capacities[] = {1, 2, 3, 5};
    unsigned look = below(in, 256);
    bool trouble = look >> 6 == 2;
    msgpack_pack_map(pk, 10U + trouble);
    wire_put_key_int(pk, "v", WIRE_VERSION);
    wire_put_key_text(pk, "op", "hello");
    wire_put_key_text(pk, "name", names[look & 3]);
    wire_put_text(pk, "versions");
    msgpack_pack_array(pk, 2);
    msgpack_pack_int(pk, look >> 6 == 3 ? 3 : 1);
    msgpack_pack_int(pk, 3);
    wire_put_key_text(pk, "prober", "p");
    wire_put_key_int(pk, "capacity", capacities[look >> 2 & 3]);
    wire_put_text(pk, "labels");
    put_label(pk, look >> 4 & 3);
    wire_put_text(pk, "af");
    msgpack_pack_array(pk, 1U + ((look & 3) == 1));
    msgpack_pack_int(pk, 4);
    if ((look & 3) == 1)
        msgpack_pack_int(pk, 6);
    wire_put_text(pk, "protocols");
    msgpack_pack_array(pk, 1);
    wire_put_text(pk, "icmp");
    put_leases(pk, m, in);
    if (trouble)
        wire_put_key_text(pk, "trouble", "no rights");
}

static void put_probes(msgpack_packer *pk, unsigned look) {
    wire_put_text(pk, "probes");
    msgpack_pack_array(pk, 1);
    msgpack_pack_map(pk, 5U + flag(look, 1));
    wire_put_key_int(pk, "attempt", 1);
    wire_put_text(pk, "addr");
    msgpack_pack_nil(pk);
    wire_put_text(pk, "rtt_us");
    msgpack_pack_nil(pk);
    wire_put_key_int(pk, "sent_us", flag(look, 0) ? 3 : -3);
    wire_put_key_text(pk, "verdict", "no-reply");
    if (flag(look, 1)) { /* unknown, and as it is */
        wire_put_text(pk, "new");
        msgpack_pack_map(pk, 1);
        msgpack_pack_int(pk, 1);
        msgpack_pack_true(pk);
    }
}

static void put_body(msgpack_packer *pk, unsigned look) {
    bool hop = flag(look, 0), strange = flag(look, 1), wrong = (look & 12) == 12;
    msgpack_pack_map(pk, 11U + strange + wrong);
    wire_put_key_text(pk, "target", "192.0.2.1");
    wire_put_text(pk, "dst");
    msgpack_pack_nil(pk);
    wire_put_text(pk, "src");
    msgpack_pack_nil(pk);
    wire_put_key_text(pk, "protocol", "icmp");
    wire_put_key_int(pk, "first_ttl", 1);
    wire_put_key_int(pk, "max_ttl", 30);
    wire_put_key_int(pk, "started_us", 7);
    wire_put_key_int(pk, "finished_us", 8);
    wire_put_key_int(pk, "probes_sent", 1);
    wire_put_key_text(pk, "stop", flag(look, 4) ? "reached" : "cancelled");
    if (strange)
        wire_put_key_text(pk, "new", "n");
    if (wrong)
        wire_put_key_int(pk, flag(look, 5) ? "seq" : "op", 1);
    wire_put_text(pk, "hops");
    msgpack_pack_array(pk, hop);
    if (hop) {
        msgpack_pack_map(pk, 2);
        wire_put_key_int(pk, "ttl", 1);
        put_probes(pk, 1);
    }
}

static void put_result(msgpack_packer *pk, struct input *in) {
    msgpack_sbuffer body;
    msgpack_packer inner;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&inner, &body, msgpack_sbuffer_write);
    put_body(&inner, below(in, 64));
    wire_put_text(pk, "body");
    msgpack_pack_bin(pk, body.size);
    msgpack_pack_bin_body(pk, body.data, body.size);
    msgpack_sbuffer_destroy(&body);
}

static void put_beat(msgpack_packer *pk, const struct model *m, struct input *in) {
    unsigned look = below(in, 16);
    bool stats = flag(look, 0), leases = (look & 6) != 6, trouble = flag(look, 3);
    msgpack_pack_map(pk, 2U + leases + stats + trouble);
    wire_put_key_int(pk, "v", WIRE_VERSION);
    wire_put_key_text(pk, "op", "heartbeat");
    if (leases)
        put_leases(pk, m, in);
    if (trouble)
        wire_put_key_text(pk, "trouble", "it died");
    if (stats) {
        wire_put_text(pk, "stats");
        msgpack_pack_map(pk, 1);
        wire_put_key_int(pk, "probes_sent", 12);
    }
}

static void put_worker_message(msgpack_packer *pk, const struct model *m, struct input *in) {
    static const char *const ops[] = {"hop", "result", "return", "drain", "bye", "who"};
    static const uint32_t pairs[] = {3, 2, 2, 0, 0, 0};
    unsigned kind = below(in, 16);
    if (kind < 4) {
        put_hello(pk, m, in);
        return;
    }
    if (kind < 6) {
        put_beat(pk, m, in);
        return;
    }
    unsigned op = kind < 10 ? 1 : kind < 12 ? 0 : kind - 10;
    msgpack_pack_map(pk, 2 + pairs[op]);
    wire_put_key_int(pk, "v", WIRE_VERSION);
    wire_put_key_text(pk, "op", ops[op]);
    if (op > 2)
        return;
    wire_put_key_int(pk, "lease", lease_of(m, below(in, 16)));
    if (op == 0) {
        wire_put_key_int(pk, "ttl", 1);
        put_probes(pk, below(in, 4));
    } else if (op == 1) {
        put_result(pk, in);
    } else {
        wire_put_key_text(pk, "reason", "no");
    }
}

/* ---- the script ------------------------------------------------------------------------- */

static void say_made(struct model *m, struct input *in, bool client) {
    unsigned who = below(in, 256);
    int number = (int)(who & 3);
    struct core_peer peer = peer_of(number, client, client && flag(who, 2));
    msgpack_sbuffer bytes;
    msgpack_packer pk;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&pk, &bytes, msgpack_sbuffer_write);
    if (client) {
        put_request(&pk, in);
        model_client_says(m, &peer, number, bytes.data, bytes.size);
    } else {
        put_worker_message(&pk, m, in);
        model_worker_says(m, &peer, number, bytes.data, bytes.size);
    }
    msgpack_sbuffer_destroy(&bytes);
}

static void say_raw(struct model *m, struct input *in, bool client) {
    unsigned who = below(in, 256);
    size_t size = below(in, 256);
    int number = (int)(who & 3);
    struct core_peer peer = peer_of(number, client, client && flag(who, 2));
    if (size > in->left)
        size = in->left;
    /* just as long, so that a sanitizer sees a read beyond it */
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    CHECK(bytes != NULL);
    if (size > 0)
        memcpy(bytes, in->at, size);
    in->at += size;
    in->left -= size;
    if (client && memmem(bytes, size, "fanout", 6) == NULL) /* the model has no places */
        model_client_says(m, &peer, number, bytes, size);
    else if (!client)
        model_worker_says(m, &peer, number, bytes, size);
    free(bytes);
}

static void wrong_frames(struct model *m, unsigned who) {
    struct core_peer peer = peer_of((int)(who & 3), flag(who, 3), flag(who, 2) && flag(who, 3));
    if (flag(who, 3)) {
        model_begin(m, (int)(who & 3), -1);
        m->enveloped = peer.enveloped;
        core_client_frames(m->core, &peer, who, &m->now);
        CHECK(m->replies == 1 && m->failed);
    } else {
        model_begin(m, -1, (int)(who & 3));
        core_worker_frames(m->core, &peer, who);
        CHECK(m->replies == 0);
    }
    model_end(m, false);
}

/* It reads, or does not, or is gone. */
static enum takes other_than(enum takes now, bool gone) {
    return now != TAKES_THEM ? TAKES_THEM : gone ? IS_GONE : IS_FULL;
}

static void something_else(struct model *m, struct input *in) {
    unsigned what = below(in, 256), who = what >> 4;
    switch (what & 7) {
    case 0:
    case 1:
        m->client_takes[who & 3] = other_than(m->client_takes[who & 3], flag(who, 2));
        break;
    case 2:
    case 3:
        m->worker_takes[who & 3] = other_than(m->worker_takes[who & 3], flag(who, 2));
        break;
    case 4:
        wrong_frames(m, who);
        break;
    case 5:
        core_connection(m->core, who & 1);
        model_tick(m); /* too early */
        break;
    case 6: /* the next tick comes late */
        model_wait(m, 0);
        m->now.mono_us += 500000;
        m->now.wall_us += 500000;
        break;
    default:
        if (who != 15)
            break;
        m->draining = true;
        core_drain(m->core);
        model_end(m, false);
    }
}

static void play(struct model *m, struct input *in) {
    static const int64_t steps_ms[] = {
        1, 50, 249, 250, 1000, 1000, 2000, 4000, 5000, 20000, 200000};
    int64_t simulated_ms = 0;
    while (in->left > 0) {
        unsigned event = below(in, 32);
        if (event < 11) {
            say_made(m, in, true);
        } else if (event < 22) {
            say_made(m, in, false);
        } else if (event < 27) {
            int64_t ms = steps_ms[below(in, sizeof steps_ms / sizeof steps_ms[0])];
            simulated_ms += ms;
            if (simulated_ms > MAX_SIMULATED_S * 1000)
                return;
            model_wait(m, ms * 1000);
        } else if (event < 29) {
            say_raw(m, in, event == 27);
        } else {
            something_else(m, in);
        }
    }
}

/* Lets the deadlines come, if that is not too long. */
static void run_out(struct model *m) {
    int64_t last = m->now.mono_us;
    for (size_t i = 0; i < m->promise_count; i++)
        if (m->promises[i].seq == 0 && m->promises[i].due_us > last)
            last = m->promises[i].due_us;
    if (last - m->now.mono_us > MAX_END_S * 1000000)
        return;
    model_wait(m, last - m->now.mono_us + MAX_LATE_US);
    CHECK(m->accepted == m->seq && m->nameless == 0);
}

/* The first byte holds limits, and how the end is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct model model;
    struct input in = {data, size};
    if (size > MAX_SCRIPT)
        return -1;
    unsigned first = below(&in, 256);
    model_open(&model, 1 + (first & 7), (int)(first >> 5 & 1));
    play(&model, &in);
    if (flag(first, 6))
        run_out(&model);
    if (flag(first, 7))
        model_shutdown(&model);
    model_close(&model);
    return 0;
}
