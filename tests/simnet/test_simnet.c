/* Unit tests of the simulated internet's pure parts. They need no rights and no device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_delay.h"
#include "sim_packet.h"
#include "sim_path.h"
#include "sim_random.h"
#include "sim_report.h"
#include "sim_router.h"
#include "sim_truth.h"

#define MS INT64_C(1000000)
#define PERCENT (SIM_RANDOM_ALL / 100)

enum { ICMP = 1, TCP = 6, UDP = 17, ICMP6 = 58 };

static const struct sim_path_config plain = {
    .seed = 1, .min_hops = 8, .max_hops = 16, .shared_hops = 2, .rtt_us = 3000};
static const struct sim_router_config calm;

static struct sim_addr target(int version, uint32_t number) {
    struct sim_addr addr = {.version = (uint8_t)version};

    addr.bytes[0] = version == 4 ? 20 : 0x20;
    addr.bytes[version == 4 ? 1 : 13] = (uint8_t)(number >> 16);
    addr.bytes[version == 4 ? 2 : 14] = (uint8_t)(number >> 8);
    addr.bytes[version == 4 ? 3 : 15] = (uint8_t)number;
    return addr;
}

static unsigned word(const uint8_t *at) { return (unsigned)(at[0] << 8 | at[1]); }

static void put_sum(uint8_t *at, uint16_t sum) {
    at[0] = (uint8_t)(~sum >> 8 & 0xff);
    at[1] = (uint8_t)(~sum & 0xff);
}

static size_t header_size(int version) { return version == 4 ? 20 : 40; }

/* Where the checksum is in a transport header. */
static size_t sum_offset(int protocol) { return protocol == TCP ? 16 : protocol == UDP ? 6 : 2; }

static void fill_sums(uint8_t *packet, int version, int protocol, size_t length) {
    size_t header = header_size(version);
    uint8_t *at = packet + header + sum_offset(protocol);
    struct sim_addr src = {.version = (uint8_t)version}, dst = {.version = (uint8_t)version};
    size_t size = version == 4 ? 4 : 16;
    uint16_t pseudo = 0;

    memcpy(src.bytes, packet + (version == 4 ? 12 : 8), size);
    memcpy(dst.bytes, packet + (version == 4 ? 16 : 24), size);
    if (protocol != ICMP)
        pseudo = sim_packet_pseudo(&src, &dst, (uint8_t)protocol, length - header);
    at[0] = at[1] = 0;
    put_sum(at, sim_packet_sum(pseudo, packet + header, length - header));
    if (version == 4) {
        packet[10] = packet[11] = 0;
        put_sum(packet + 10, sim_packet_sum(0, packet, header));
    }
}

/* A probe with `data` bytes after the transport header; returns its length. */
static size_t make_probe(
    uint8_t *packet, int protocol, const struct sim_addr *dst, uint8_t ttl, size_t data) {
    int version = dst->version;
    size_t header = header_size(version);
    size_t length = header + (protocol == TCP ? 20 : 8) + data;
    uint8_t *at = packet + header;

    memset(packet, 0, length);
    if (version == 4) {
        const uint8_t src[4] = {198, 18, 0, 1};

        packet[0] = 0x45;
        packet[2] = (uint8_t)(length >> 8);
        packet[3] = (uint8_t)length;
        packet[8] = ttl;
        packet[9] = (uint8_t)protocol;
        memcpy(packet + 12, src, 4);
        memcpy(packet + 16, dst->bytes, 4);
    } else {
        packet[0] = 0x60;
        packet[4] = (uint8_t)((length - header) >> 8);
        packet[5] = (uint8_t)(length - header);
        packet[6] = (uint8_t)protocol;
        packet[7] = ttl;
        packet[8] = 0x20;
        packet[23] = 1;
        memcpy(packet + 24, dst->bytes, 16);
    }
    if (protocol == ICMP || protocol == ICMP6) {
        at[0] = protocol == ICMP ? 8 : 128;
        at[4] = 0x12; /* identifier */
        at[5] = 0x34;
        at[7] = ttl; /* sequence number */
    } else {
        at[0] = 0x80; /* ports 32769 and 80 */
        at[1] = 1;
        at[3] = 80;
        if (protocol == UDP) {
            at[4] = (uint8_t)((8 + data) >> 8);
            at[5] = (uint8_t)(8 + data);
        } else {
            at[7] = 7; /* sequence number */
            at[12] = 0x50;
            at[13] = SIM_TCP_SYN;
        }
    }
    for (size_t i = 0; i < data; i++)
        packet[length - data + i] = (uint8_t)(0xa0 + i);
    fill_sums(packet, version, protocol, length);
    return length;
}

/* Checks all that a receiver would check; returns the offset of the transport header. */
static size_t check_sound(const uint8_t *packet, size_t length, int protocol) {
    int version = packet[0] >> 4;
    size_t header = header_size(version);
    uint8_t copy[SIM_PACKET_MAX];

    assert_in_range(length, header + 8, SIM_PACKET_MAX);
    assert_int_equal(packet[version == 4 ? 9 : 6], protocol);
    assert_int_equal(version == 4 ? word(packet + 2) : 40 + word(packet + 4), length);
    memcpy(copy, packet, length);
    fill_sums(copy, version, protocol, length);
    assert_memory_equal(copy, packet, length);
    return header;
}

static void test_random(void **state) {
    /* The published sequence of splitmix64 for this seed. */
    static const uint64_t expected[] = {UINT64_C(6457827717110365317),
        UINT64_C(3203168211198807973), UINT64_C(9817491932198370423)};
    struct sim_random random = {1234567};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(sim_random_next(&random), expected[i]);
    assert_int_equal(sim_random_below(UINT64_MAX, 5), 4);
    assert_int_equal(sim_random_below(0, 5), 0);
    assert_false(sim_random_chance(0, 0));
    assert_true(sim_random_chance(UINT64_MAX, SIM_RANDOM_ALL));
    assert_false(sim_random_chance(UINT64_MAX, SIM_RANDOM_ALL - 1));
}

static void test_checksum(void **state) {
    /* RFC 1071, section 3; then an IPv4 header that is well known. */
    static const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    static const uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
        0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};

    (void)state;
    assert_int_equal(sim_packet_sum(0, rfc, sizeof rfc), 0xddf2);
    assert_int_equal(sim_packet_sum(0, header, sizeof header), 0xffff);
    assert_int_equal(sim_packet_sum(0, rfc, 3), 0xf201); /* the odd byte is a high byte */
    assert_int_equal(sim_packet_sum(0xffff, rfc, 2), 0x0001);
}

static void test_path_is_pure(void **state) {
    struct sim_path_config config = plain, other = plain;
    struct sim_path a, b;
    struct sim_hop hop_a, hop_b;
    int differ = 0;

    (void)state;
    config.balanced = config.mpls = config.silent_router = other.balanced = 30 * PERCENT;
    other.seed = 2;
    for (uint32_t i = 0; i < 200; i++) {
        struct sim_addr dst = target(i % 2 ? 6 : 4, i);

        sim_path_init(&a, &config, &dst);
        sim_path_init(&b, &config, &dst);
        assert_memory_equal(&a, &b, sizeof a);
        for (uint32_t ttl = 1; ttl <= a.last; ttl++) {
            sim_path_hop(&a, &config, ttl, &hop_a);
            sim_path_hop(&b, &config, ttl, &hop_b);
            assert_memory_equal(&hop_a, &hop_b, sizeof hop_a);
            assert_int_equal(hop_a.rtt_us, ttl * 3000);
        }
        sim_path_init(&b, &other, &dst);
        differ += a.distance != b.distance;
    }
    assert_in_range(differ, 100, 200);
}

static void test_path_shares(void **state) {
    enum { PATHS = 20000 };
    struct sim_path_config config = plain;
    uint32_t hops = 0, silent = 0, balanced = 0, mpls = 0, open = 0, ends[3] = {0};
    uint32_t distances[SIM_PATH_MAX_HOPS + 1] = {0};

    (void)state;
    config.silent_router = 5 * PERCENT;
    config.silent_target = 10 * PERCENT;
    config.unreachable = 20 * PERCENT;
    config.balanced = 30 * PERCENT;
    config.mpls = 40 * PERCENT;
    config.tcp_open = 60 * PERCENT;
    config.shared_hops = 0;
    for (uint32_t i = 0; i < PATHS; i++) {
        struct sim_addr dst = target(i % 2 ? 6 : 4, i);
        struct sim_path path;
        struct sim_hop hop;

        sim_path_init(&path, &config, &dst);
        distances[path.distance]++;
        ends[path.end]++;
        open += path.tcp_open;
        for (uint32_t ttl = 1; ttl < path.last; ttl++) {
            sim_path_hop(&path, &config, ttl, &hop);
            hops++;
            silent += hop.silent;
            balanced += hop.n_addrs > 1;
            mpls += hop.n_labels > 0;
        }
        sim_path_hop(&path, &config, path.last, &hop);
        assert_int_equal(hop.target, path.end != SIM_END_UNREACHABLE);
        assert_int_equal(hop.silent, path.end == SIM_END_SILENT);
        if (path.end == SIM_END_UNREACHABLE)
            assert_int_equal(path.code, dst.version == 4 ? 0 : sim_path_code_v6(0));
    }
    for (uint32_t i = 0; i <= SIM_PATH_MAX_HOPS; i++)
        assert_in_range(distances[i], i >= 8 && i <= 16 ? PATHS / 9 * 9 / 10 : 0,
            i >= 8 && i <= 16 ? PATHS / 9 * 11 / 10 : 0);
    /* A hundredth of all paths or hops is more than three standard deviations. */
    assert_in_range(ends[SIM_END_SILENT], PATHS * 9 / 100, PATHS * 11 / 100);
    assert_in_range(ends[SIM_END_UNREACHABLE], PATHS * 19 / 100, PATHS * 21 / 100);
    assert_in_range(open, PATHS * 59 / 100, PATHS * 61 / 100);
    assert_in_range(silent, hops * 4 / 100, hops * 6 / 100);
    assert_in_range(balanced, hops * 29 / 100, hops * 31 / 100);
    assert_in_range(mpls, hops * 39 / 100, hops * 41 / 100);
}

static void test_path_addresses(void **state) {
    struct sim_path_config config = plain;
    struct sim_path path;
    struct sim_hop hop;
    struct sim_addr near[2][2];

    (void)state;
    config.balanced = 50 * PERCENT;
    config.max_hops = SIM_PATH_MAX_HOPS;
    for (uint32_t i = 0; i < 4000; i++) {
        struct sim_addr dst = target(i % 2 ? 6 : 4, i);
        struct sim_addr seen[SIM_PATH_MAX_HOPS * SIM_PATH_MAX_MEMBERS];
        size_t n = 0;

        sim_path_init(&path, &config, &dst);
        for (uint32_t ttl = 1; ttl < path.last; ttl++) {
            sim_path_hop(&path, &config, ttl, &hop);
            if (ttl <= 2 && i < 2)
                near[i % 2][ttl - 1] = hop.addrs[0];
            else if (ttl <= 2)
                assert_memory_equal(&near[i % 2][ttl - 1], &hop.addrs[0], sizeof hop.addrs[0]);
            for (uint32_t k = 0; k < hop.n_addrs; k++) {
                assert_int_equal(hop.addrs[k].bytes[0], i % 2 ? 0xfd : 10);
                for (size_t j = 0; j < n; j++)
                    assert_memory_not_equal(&seen[j], &hop.addrs[k], sizeof seen[j]);
                seen[n++] = hop.addrs[k];
            }
        }
    }
}

static void test_path_members(void **state) {
    struct sim_path_config config = plain;
    struct sim_addr dst = target(4, 7);
    struct sim_path path;
    struct sim_hop hop;
    unsigned seen = 0;

    (void)state;
    config.balanced = 100 * PERCENT;
    sim_path_init(&path, &config, &dst);
    sim_path_hop(&path, &config, 5, &hop);
    assert_in_range(hop.n_addrs, 2, SIM_PATH_MAX_MEMBERS);
    for (uint64_t flow = 0; flow < 100; flow++) {
        uint32_t member = sim_path_member(&hop, flow);

        assert_in_range(member, 0, hop.n_addrs - 1);
        assert_int_equal(member, sim_path_member(&hop, flow));
        seen |= 1u << member;
    }
    assert_int_equal(seen, (1u << hop.n_addrs) - 1);
}

/* One router may be all that a short path has; silent routers cannot say unreachable. */
static void test_path_unreachable_edges(void **state) {
    struct sim_path_config config = plain;
    struct sim_path path;

    (void)state;
    config.unreachable = 100 * PERCENT;
    config.shared_hops = SIM_PATH_MAX_HOPS;
    for (uint32_t i = 0; i < 100; i++) {
        struct sim_addr dst = target(6, i);

        config.min_hops = config.max_hops = 1;
        config.silent_router = 0;
        sim_path_init(&path, &config, &dst);
        assert_int_equal(path.end, SIM_END_REPLY);
        config.min_hops = config.max_hops = 2;
        sim_path_init(&path, &config, &dst);
        assert_int_equal(path.end, SIM_END_UNREACHABLE);
        assert_int_equal(path.last, 1);
        config.silent_router = 100 * PERCENT;
        sim_path_init(&path, &config, &dst);
        assert_int_equal(path.end, SIM_END_REPLY);
        assert_int_equal(path.last, 2);
    }
}

static const struct {
    int version, protocol;
    enum sim_kind kind;
} kinds[] = {
    {4, ICMP, SIM_KIND_ECHO},
    {6, ICMP6, SIM_KIND_ECHO},
    {4, UDP, SIM_KIND_UDP},
    {6, UDP, SIM_KIND_UDP},
    {4, TCP, SIM_KIND_TCP},
    {6, TCP, SIM_KIND_TCP},
};
#define N_KINDS (sizeof kinds / sizeof kinds[0])

static void test_packet_parse(void **state) {
    uint8_t packet[SIM_PACKET_MAX + 1];
    struct sim_probe probe;

    (void)state;
    for (size_t i = 0; i < N_KINDS; i++) {
        struct sim_addr dst = target(kinds[i].version, 7);
        size_t length = make_probe(packet, kinds[i].protocol, &dst, 9, 24);
        uint64_t flow;

        assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_OK);
        assert_int_equal(probe.kind, kinds[i].kind);
        assert_int_equal(probe.ttl, 9);
        assert_int_equal(probe.length, length);
        assert_memory_equal(&probe.dst, &dst, sizeof dst);
        assert_true(sim_packet_intact(&probe));
        flow = sim_packet_flow(&probe);

        packet[header_size(kinds[i].version) + 3] ^= 1; /* port, or ICMP checksum */
        assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_OK);
        assert_false(sim_packet_intact(&probe));
        assert_true(sim_packet_flow(&probe) != flow);
    }
    assert_int_equal(sim_packet_parse(&probe, packet, sizeof packet), SIM_PARSE_MALFORMED);
}

/* What nobody answers: multicast, ttl 0, fragments, other protocols and other ICMP. */
static void test_packet_ignored(void **state) {
    uint8_t packet[SIM_PACKET_MAX];
    struct sim_addr dst = target(4, 7), multicast = {4, {224, 0, 0, 1}};
    struct sim_addr multicast6 = {6, {0xff, 2, [15] = 2}};
    struct sim_probe probe;
    size_t length;

    (void)state;
    length = make_probe(packet, ICMP, &multicast, 1, 8);
    assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_IGNORED);
    length = make_probe(packet, ICMP6, &multicast6, 255, 8);
    assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_IGNORED);
    length = make_probe(packet, UDP, &dst, 0, 8);
    assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_IGNORED);
    length = make_probe(packet, UDP, &dst, 3, 8);
    packet[6] = 0x20; /* more fragments */
    fill_sums(packet, 4, UDP, length);
    assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_IGNORED);
    length = make_probe(packet, 132, &dst, 3, 8); /* SCTP */
    assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_IGNORED);
    length = make_probe(packet, ICMP, &dst, 3, 8);
    packet[20] = 11; /* an error must not cause an error */
    fill_sums(packet, 4, ICMP, length);
    assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_IGNORED);
}

/* Cut and garbled packets, each in a buffer of just its size so that sanitizers see every step. */
static void test_packet_hostile(void **state) {
    struct sim_path_config config = plain;
    struct sim_router *router;
    struct sim_answer answer;
    struct sim_random random = {42};
    const struct sim_router_counters *counters;
    uint8_t packet[SIM_PACKET_MAX];

    (void)state;
    config.mpls = 50 * PERCENT;
    router = sim_router_new(&config, &calm);
    for (size_t i = 0; i < N_KINDS; i++) {
        struct sim_addr dst = target(kinds[i].version, 7);
        size_t length = make_probe(packet, kinds[i].protocol, &dst, 64, 24);

        for (size_t cut = 0; cut < length; cut++) {
            uint8_t *copy = malloc(cut + 1);

            memcpy(copy, packet, cut);
            sim_router_handle(router, copy, cut, 0, &answer);
            assert_int_equal(answer.copies, 0);
            free(copy);
        }
        for (uint32_t round = 0; round < 20000; round++) {
            size_t cut = sim_random_below(sim_random_next(&random), (uint32_t)length + 1);
            uint8_t *copy = malloc(length + 1);

            memcpy(copy, packet, length);
            for (uint32_t k = 0; k < 1 + round % 4; k++) {
                uint64_t bits = sim_random_next(&random);

                copy[sim_random_below(bits, (uint32_t)length)] = (uint8_t)bits;
            }
            copy = realloc(copy, round % 2 ? cut + 1 : length + 1);
            if (round % 2 == 0)
                fill_sums(copy, kinds[i].version, kinds[i].protocol, length);
            sim_router_handle(router, copy, round % 2 ? cut : length, 0, &answer);
            if (answer.copies > 0)
                assert_in_range(answer.length, 28, SIM_PACKET_MAX);
            free(copy);
        }
    }
    counters = sim_router_counters(router);
    assert_in_range(counters->malformed, 1000, 120000);
    assert_int_equal(
        counters->malformed + counters->ignored + counters->bad_checksum + counters->answered,
        counters->packets);
    sim_router_destroy(&router);
    assert_null(router);
}

static void test_packet_error(void **state) {
    uint8_t packet[SIM_PACKET_MAX], reply[SIM_PACKET_MAX];
    struct sim_probe probe;

    (void)state;
    for (size_t i = 0; i < N_KINDS; i++) {
        bool v4 = kinds[i].version == 4;
        struct sim_addr dst = target(kinds[i].version, 7), from = target(kinds[i].version, 99);
        size_t length = make_probe(packet, kinds[i].protocol, &dst, 5, 24), at, size = v4 ? 4 : 16;
        struct sim_error error = {
            .from = &from, .reply_ttl = 251, .quoted_ttl = 1, .expired = true};

        assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_OK);
        at = check_sound(reply, sim_packet_error(&probe, &error, reply), v4 ? ICMP : ICMP6);
        assert_int_equal(reply[at], v4 ? 11 : 3);
        assert_int_equal(reply[at + 1], 0);
        assert_memory_equal(reply + (v4 ? 12 : 8), from.bytes, size);
        assert_memory_equal(reply + (v4 ? 16 : 24), packet + (v4 ? 12 : 8), size);
        /* The quote is the probe with one hop left, and its header is sound. */
        packet[v4 ? 8 : 7] = 1;
        fill_sums(packet, kinds[i].version, kinds[i].protocol, length);
        assert_memory_equal(reply + at + 8, packet, length);

        error.expired = false;
        error.code = 3;
        at = check_sound(reply, sim_packet_error(&probe, &error, reply), v4 ? ICMP : ICMP6);
        assert_int_equal(reply[at], v4 ? 3 : 1);
        assert_int_equal(reply[at + 1], 3);

        /* Long probes are quoted in part. */
        length = make_probe(packet, kinds[i].protocol, &dst, 5, 1000);
        assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_OK);
        assert_int_equal(sim_packet_error(&probe, &error, reply), at + 8 + SIM_PACKET_QUOTE);
        check_sound(reply, at + 8 + SIM_PACKET_QUOTE, v4 ? ICMP : ICMP6);
    }
}

static void test_packet_mpls(void **state) {
    static const struct sim_label labels[] = {{16000, 5, 0, 1}, {1048575, 0, 1, 254}};
    static const uint8_t object[] = {0, 12, 1, 1, 0x03, 0xe8, 0x0a, 1, 0xff, 0xff, 0xf1, 254};
    static const uint8_t zeros[SIM_PACKET_QUOTE];
    uint8_t packet[SIM_PACKET_MAX], reply[SIM_PACKET_MAX];
    struct sim_probe probe;

    (void)state;
    for (size_t i = 0; i < N_KINDS; i++) {
        bool v4 = kinds[i].version == 4;
        struct sim_addr dst = target(kinds[i].version, 7), from = target(kinds[i].version, 99);
        size_t length = make_probe(packet, kinds[i].protocol, &dst, 5, 24), total, at;
        struct sim_error error = {.from = &from,
            .reply_ttl = 251,
            .quoted_ttl = 1,
            .expired = true,
            .labels = labels,
            .n_labels = 2};
        const uint8_t *extension;

        assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_OK);
        total = sim_packet_error(&probe, &error, reply);
        at = check_sound(reply, total, v4 ? ICMP : ICMP6);
        assert_int_equal(total, at + 8 + SIM_PACKET_QUOTE + 4 + sizeof object);
        /* RFC 4884: the quote's length in 32-bit words at byte 5, or in 64-bit words at byte 4. */
        assert_int_equal(reply[at + 4], v4 ? 0 : 16);
        assert_int_equal(reply[at + 5], v4 ? 32 : 0);
        assert_memory_equal(reply + at + 8 + length, zeros, SIM_PACKET_QUOTE - length);
        extension = reply + at + 8 + SIM_PACKET_QUOTE;
        assert_int_equal(extension[0], 0x20);
        assert_int_equal(sim_packet_sum(0, extension, 4 + sizeof object), 0xffff);
        assert_memory_equal(extension + 4, object, sizeof object);
    }
}

static void test_packet_echo(void **state) {
    uint8_t packet[SIM_PACKET_MAX], reply[SIM_PACKET_MAX];
    struct sim_probe probe;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sim_addr dst = target(kinds[i].version, 7);
        size_t header = header_size(kinds[i].version);
        size_t length = make_probe(packet, kinds[i].protocol, &dst, 64, 1452 - header), at;

        assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_OK);
        assert_int_equal(sim_packet_echo(&probe, 200, reply), length);
        at = check_sound(reply, length, kinds[i].protocol);
        assert_int_equal(reply[at], i == 0 ? 0 : 129);
        assert_memory_equal(reply + at + 4, packet + at + 4, length - at - 4);
    }
}

static void test_packet_tcp(void **state) {
    enum { NONE = 0x100 };
    static const struct {
        uint8_t flags;
        bool open;
        size_t data;
        int answer;
        uint32_t seq, ack;
    } cases[] = {
        /* Every segment has sequence number 7 and acknowledges 0x01020304. */
        {SIM_TCP_SYN, true, 0, SIM_TCP_SYN | SIM_TCP_ACK, 99, 8},
        {SIM_TCP_SYN, true, 5, SIM_TCP_SYN | SIM_TCP_ACK, 99, 8},
        {SIM_TCP_SYN, false, 0, SIM_TCP_RST | SIM_TCP_ACK, 0, 8},
        {SIM_TCP_SYN, false, 5, SIM_TCP_RST | SIM_TCP_ACK, 0, 13},
        {SIM_TCP_FIN | SIM_TCP_ACK, true, 0, SIM_TCP_RST, 0x01020304, 0},
        {SIM_TCP_ACK, true, 5, SIM_TCP_RST, 0x01020304, 0},
        {SIM_TCP_FIN, false, 0, SIM_TCP_RST | SIM_TCP_ACK, 0, 8},
        {SIM_TCP_ACK, true, 0, NONE, 0, 0},
        {SIM_TCP_RST, true, 0, NONE, 0, 0},
        {SIM_TCP_RST | SIM_TCP_ACK, false, 0, NONE, 0, 0},
    };
    uint8_t packet[SIM_PACKET_MAX], reply[SIM_PACKET_MAX];
    struct sim_probe probe;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        int version = i % 2 ? 6 : 4;
        struct sim_addr dst = target(version, 7);
        size_t header = header_size(version), length, total;

        length = make_probe(packet, TCP, &dst, 64, cases[i / 2].data);
        packet[header + 13] = cases[i / 2].flags;
        memcpy(packet + header + 8, "\1\2\3\4", 4);
        fill_sums(packet, version, TCP, length);
        assert_int_equal(sim_packet_parse(&probe, packet, length), SIM_PARSE_OK);
        total = sim_packet_tcp(&probe, cases[i / 2].open, 99, 64, reply);
        if (cases[i / 2].answer == NONE) {
            assert_int_equal(total, 0);
            continue;
        }
        check_sound(reply, total, TCP);
        assert_int_equal(reply[header + 13], cases[i / 2].answer);
        assert_int_equal(
            word(reply + header + 4) << 16 | word(reply + header + 6), cases[i / 2].seq);
        assert_int_equal(
            word(reply + header + 8) << 16 | word(reply + header + 10), cases[i / 2].ack);
        assert_int_equal(word(reply + header), 80);
        assert_int_equal(word(reply + header + 2), 32769);
    }
}

static void test_delay(void **state) {
    enum { PACKETS = 5000 };
    struct sim_delay *delay = sim_delay_new(PACKETS, PACKETS * 4 + 3);
    struct sim_random random = {7};
    const struct sim_parcel *parcel;
    int64_t last_due = -1;
    uint32_t last = 0, number;

    (void)state;
    assert_null(sim_delay_peek(delay));
    for (uint32_t i = 0; i < PACKETS; i++)
        assert_int_equal(sim_delay_push(delay, sim_random_below(sim_random_next(&random), 500),
                             (const uint8_t *)&i, sizeof i),
            0);
    assert_int_equal(sim_delay_push(delay, 0, (const uint8_t *)"x", 1), -1);
    for (size_t left = PACKETS; left > 0; left--) {
        assert_int_equal(sim_delay_size(delay), left);
        parcel = sim_delay_peek(delay);
        memcpy(&number, parcel->packet, sizeof number);
        assert_int_equal(parcel->length, sizeof number);
        assert_true(parcel->due_ns > last_due || (parcel->due_ns == last_due && number > last));
        last_due = parcel->due_ns;
        last = number;
        sim_delay_drop(delay);
    }
    assert_null(sim_delay_peek(delay));
    sim_delay_destroy(&delay);

    delay = sim_delay_new(10, 5); /* full by bytes, and empty again */
    assert_int_equal(sim_delay_push(delay, 1, (const uint8_t *)"abc", 3), 0);
    assert_int_equal(sim_delay_push(delay, 1, (const uint8_t *)"abc", 3), -1);
    sim_delay_drop(delay);
    assert_int_equal(sim_delay_push(delay, 1, (const uint8_t *)"abcde", 5), 0);
    sim_delay_destroy(&delay);
    assert_null(delay);
}

/* How many of `count` time exceeded from hop `ttl` of one target come at one time. */
static unsigned answers_at(struct sim_router *router, uint8_t ttl, int64_t now_ns, unsigned count) {
    struct sim_addr dst = target(4, 7);
    uint8_t packet[SIM_PACKET_MAX];
    size_t length = make_probe(packet, UDP, &dst, ttl, 8);
    struct sim_answer answer;
    unsigned answered = 0;

    for (unsigned i = 0; i < count; i++) {
        sim_router_handle(router, packet, length, now_ns, &answer);
        answered += answer.copies;
    }
    return answered;
}

static void test_router_limit(void **state) {
    struct sim_router_config config = {.icmp_limit = 100};
    struct sim_router *router = sim_router_new(&plain, &config);

    (void)state;
    assert_int_equal(answers_at(router, 3, 1000 * MS, 50), 10); /* the burst */
    assert_int_equal(answers_at(router, 4, 1000 * MS, 50), 10); /* each has its own */
    assert_int_equal(answers_at(router, 3, 1009 * MS, 5), 0);
    assert_int_equal(answers_at(router, 3, 1010 * MS, 5), 1);
    assert_int_equal(answers_at(router, 3, 1055 * MS, 5), 4);
    assert_int_equal(answers_at(router, 3, 5000 * MS, 50), 10); /* it does not save up more */
    assert_int_equal(sim_router_counters(router)->limited, 40 + 40 + 5 + 4 + 1 + 40);
    sim_router_destroy(&router);
}

static void test_router_path(void **state) {
    struct sim_path_config config = plain;
    struct sim_router *router;
    uint8_t packet[SIM_PACKET_MAX];

    (void)state;
    config.balanced = config.mpls = 50 * PERCENT;
    config.unreachable = 30 * PERCENT;
    router = sim_router_new(&config, &calm);
    for (uint32_t i = 0; i < 100 * N_KINDS; i++) {
        size_t kind = i % N_KINDS;
        bool v4 = kinds[kind].version == 4;
        struct sim_addr dst = target(kinds[kind].version, i);
        struct sim_path path;

        sim_path_init(&path, &config, &dst);
        for (uint32_t ttl = 1; ttl <= path.last + 3; ttl++) {
            struct sim_answer answer;
            struct sim_hop hop;
            const uint8_t *from = answer.packet + (v4 ? 12 : 8);
            bool known = false;

            sim_path_hop(&path, &config, ttl < path.last ? ttl : path.last, &hop);
            sim_router_handle(router, packet,
                make_probe(packet, kinds[kind].protocol, &dst, (uint8_t)ttl, 24), 7 * MS, &answer);
            assert_int_equal(answer.copies, 1);
            assert_int_equal(answer.due_ns[0], 7 * MS + (int64_t)hop.ttl * 3 * MS);
            for (uint32_t k = 0; k < hop.n_addrs; k++)
                known |= memcmp(from, hop.addrs[k].bytes, v4 ? 4 : 16) == 0;
            assert_true(known);
            if (hop.target && kinds[kind].kind == SIM_KIND_UDP)
                assert_int_equal(answer.packet[v4 ? 21 : 41], v4 ? 3 : 4);
            if (!hop.target) /* the quoted ttl is what was left */
                assert_int_equal(answer.packet[v4 ? 36 : 55], ttl - hop.ttl + 1);
        }
    }
    sim_router_destroy(&router);
}

static void test_router_weather(void **state) {
    struct sim_router_config config = {.loss = 10 * PERCENT,
        .duplicate = 20 * PERCENT,
        .late = 30 * PERCENT,
        .late_ms = 500,
        .jitter_us = 1000};
    struct sim_router *a = sim_router_new(&plain, &config), *b = sim_router_new(&plain, &config);
    const struct sim_router_counters *counters = sim_router_counters(a);
    struct sim_addr dst = target(6, 7);
    uint8_t packet[SIM_PACKET_MAX];
    size_t length = make_probe(packet, ICMP6, &dst, 4, 24);

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        struct sim_answer answer, same;

        sim_router_handle(a, packet, length, 0, &answer);
        sim_router_handle(b, packet, length, 0, &same);
        assert_int_equal(answer.copies, same.copies);
        for (uint32_t k = 0; k < answer.copies; k++) {
            int64_t extra = answer.due_ns[k] - 12 * MS;

            assert_int_equal(answer.due_ns[k], same.due_ns[k]);
            assert_true((extra >= 0 && extra <= MS) || (extra >= 500 * MS && extra <= 501 * MS));
        }
    }
    assert_in_range(counters->lost, 1800, 2200);
    assert_in_range(counters->duplicates, 3400, 3800);
    assert_in_range(counters->late, 5100, 5700);
    assert_int_equal(counters->answered + counters->lost, 20000);
    sim_router_destroy(&a);
    sim_router_destroy(&b);
}

/* Second copies come up to duplicate_ms later. */
static void test_router_repeats_later(void **state) {
    struct sim_router_config config = {.duplicate = 100 * PERCENT, .duplicate_ms = 800};
    struct sim_router *router = sim_router_new(&plain, &config);
    struct sim_addr dst = target(6, 7);
    uint8_t packet[SIM_PACKET_MAX];
    size_t length = make_probe(packet, ICMP6, &dst, 4, 24);
    int64_t sum_ns = 0;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        struct sim_answer answer;

        sim_router_handle(router, packet, length, 0, &answer);
        assert_int_equal(answer.copies, 2);
        assert_int_equal(answer.due_ns[0], 12 * MS);
        assert_in_range(answer.due_ns[1] - answer.due_ns[0], 0, 800 * MS);
        sum_ns += answer.due_ns[1] - answer.due_ns[0];
    }
    assert_in_range(sum_ns / 10000, 380 * MS, 420 * MS);
    sim_router_destroy(&router);
}

/* Routers forward what they do not look at; the target drops what is broken. */
static void test_router_bad_checksum(void **state) {
    struct sim_router *router = sim_router_new(&plain, &calm);
    uint8_t packet[SIM_PACKET_MAX];
    struct sim_answer answer;

    (void)state;
    for (size_t i = 0; i < N_KINDS; i++) {
        struct sim_addr dst = target(kinds[i].version, 7);

        for (uint8_t ttl = 2; ttl <= 64; ttl += 62) {
            size_t length = make_probe(packet, kinds[i].protocol, &dst, ttl, 24);

            packet[length - 1] ^= 1;
            sim_router_handle(router, packet, length, 0, &answer);
            assert_int_equal(answer.copies, ttl == 2 ? 1 : 0);
        }
    }
    assert_int_equal(sim_router_counters(router)->bad_checksum, N_KINDS);
    sim_router_destroy(&router);
}

static void test_truth(void **state) {
    struct sim_path_config config = plain;
    char input[] = "tcp 20.0.0.7\nudp 2001:db8::7\nsctp 20.0.0.7\n", *text;
    FILE *in = fmemopen(input, sizeof input - 1, "r"), *out;
    size_t size;

    (void)state;
    config.min_hops = config.max_hops = 2;
    config.shared_hops = 0;
    config.silent_target = 100 * PERCENT;
    out = open_memstream(&text, &size);
    assert_int_equal(sim_truth_print(&config, in, out), 3);
    fclose(in);
    fclose(out);
    assert_string_equal(text,
        "{\"protocol\":\"tcp\",\"dst\":\"20.0.0.7\",\"distance\":2,\"end\":\"silent\","
        "\"code\":null,\"hops\":["
        "{\"ttl\":1,\"addrs\":[\"10.2.215.121\"],\"rtt_us\":3000,\"silent\":false,\"mpls\":[]},"
        "{\"ttl\":2,\"addrs\":[\"20.0.0.7\"],\"rtt_us\":6000,\"silent\":true,\"mpls\":[]}]}\n"
        "{\"protocol\":\"udp\",\"dst\":\"2001:db8::7\",\"distance\":2,\"end\":\"silent\","
        "\"code\":null,\"hops\":["
        "{\"ttl\":1,\"addrs\":[\"fd68:6f70:6d71:0:8771:2618:e688:65bc\"],\"rtt_us\":3000,"
        "\"silent\":false,\"mpls\":[]},"
        "{\"ttl\":2,\"addrs\":[\"2001:db8::7\"],\"rtt_us\":6000,\"silent\":true,\"mpls\":[]}]}\n");
    free(text);
}

static void test_report(void **state) {
    struct sim_report *report = calloc(1, sizeof *report);

    (void)state;
    assert_int_equal(sim_report_percentile(report, 500), 0);
    for (int64_t us = 1; us <= 100; us++)
        sim_report_lag(report, us * 1000 + 999);
    assert_int_equal(sim_report_percentile(report, 500), 50);
    assert_int_equal(sim_report_percentile(report, 990), 99);
    sim_report_lag(report, 1800 * 1000 * MS); /* longer than is told apart */
    assert_int_equal(sim_report_percentile(report, 1000), 1800 * 1000 * 1000);
    free(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_path_is_pure),
        cmocka_unit_test(test_path_shares),
        cmocka_unit_test(test_path_addresses),
        cmocka_unit_test(test_path_members),
        cmocka_unit_test(test_path_unreachable_edges),
        cmocka_unit_test(test_packet_parse),
        cmocka_unit_test(test_packet_ignored),
        cmocka_unit_test(test_packet_hostile),
        cmocka_unit_test(test_packet_error),
        cmocka_unit_test(test_packet_mpls),
        cmocka_unit_test(test_packet_echo),
        cmocka_unit_test(test_packet_tcp),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_router_limit),
        cmocka_unit_test(test_router_path),
        cmocka_unit_test(test_router_weather),
        cmocka_unit_test(test_router_repeats_later),
        cmocka_unit_test(test_router_bad_checksum),
        cmocka_unit_test(test_truth),
        cmocka_unit_test(test_report),
    };

    return cmocka_run_group_tests_name("simnet", tests, NULL, NULL);
}
