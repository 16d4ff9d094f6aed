#include "sim_packet.h"

#include <string.h>

#include "sim_random.h"

#define V4_HEADER 20u
#define V6_HEADER 40u
#define ICMP_HEADER 8u
#define UDP_HEADER 8u
#define TCP_HEADER 20u

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58 };
enum { ICMP_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_ECHO = 8, ICMP_EXPIRED = 11 };
enum { ICMP6_UNREACHABLE = 1, ICMP6_EXPIRED = 3, ICMP6_ECHO = 128, ICMP6_REPLY = 129 };

#define V4_DONT_FRAGMENT 0x4000u
#define V4_FRAGMENT 0x3fffu /* more fragments, or an offset */

/* RFC 4884, section 7: version 2; RFC 4950, section 3: class 1, type 1. */
#define EXTENSION_VERSION 0x20u
#define EXTENSION_HEADER 4u
#define OBJECT_HEADER 4u
#define LABEL_LENGTH 4u
enum { OBJECT_MPLS = 1, OBJECT_MPLS_INCOMING = 1 };

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value);
}

uint16_t sim_packet_sum(uint32_t sum, const uint8_t *bytes, size_t length) {
    uint64_t total = sum;

    for (; length > 1; length -= 2, bytes += 2)
        total += get16(bytes);
    if (length > 0)
        total += (uint32_t)bytes[0] << 8;
    while (total > 0xffff)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)total;
}

static size_t address_size(uint8_t version) { return version == 4 ? 4 : 16; }

uint16_t sim_packet_pseudo(
    const struct sim_addr *src, const struct sim_addr *dst, uint8_t protocol, size_t length) {
    size_t size = address_size(src->version);
    uint32_t sum = sim_packet_sum(protocol, src->bytes, size);

    sum += sim_packet_sum((uint32_t)length, dst->bytes, size);
    return sim_packet_sum(sum, NULL, 0);
}

/* True for an address that a single host behind a router can have. */
static bool global_unicast(const struct sim_addr *addr) {
    static const uint8_t zero[15];
    const uint8_t *bytes = addr->bytes;

    if (addr->version == 4)
        return bytes[0] != 0 && bytes[0] != 127 && bytes[0] < 224;
    if (bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80))
        return false;
    return memcmp(bytes, zero, sizeof zero) != 0; /* not :: and not ::1 */
}

static enum sim_parse parse_v4(struct sim_probe *probe) {
    const uint8_t *packet = probe->packet;
    size_t total;

    if (probe->length < V4_HEADER)
        return SIM_PARSE_MALFORMED;
    probe->header = (size_t)(packet[0] & 0x0f) * 4;
    total = get16(packet + 2);
    if (probe->header < V4_HEADER || total < probe->header || total > probe->length)
        return SIM_PARSE_MALFORMED;
    if (sim_packet_sum(0, packet, probe->header) != 0xffff)
        return SIM_PARSE_MALFORMED;
    probe->length = total;
    probe->ttl = packet[8];
    probe->protocol = packet[9];
    memcpy(probe->src.bytes, packet + 12, 4);
    memcpy(probe->dst.bytes, packet + 16, 4);
    return get16(packet + 6) & V4_FRAGMENT ? SIM_PARSE_IGNORED : SIM_PARSE_OK;
}

static enum sim_parse parse_v6(struct sim_probe *probe) {
    const uint8_t *packet = probe->packet;
    size_t total;

    if (probe->length < V6_HEADER)
        return SIM_PARSE_MALFORMED;
    total = V6_HEADER + get16(packet + 4);
    if (total > probe->length)
        return SIM_PARSE_MALFORMED;
    probe->header = V6_HEADER;
    probe->length = total;
    probe->ttl = packet[7];
    probe->protocol = packet[6];
    memcpy(probe->src.bytes, packet + 8, 16);
    memcpy(probe->dst.bytes, packet + 24, 16);
    return SIM_PARSE_OK;
}

static enum sim_parse parse_transport(struct sim_probe *probe) {
    const uint8_t *at = probe->packet + probe->header;
    size_t length = probe->length - probe->header;
    bool v4 = probe->dst.version == 4;

    if (probe->protocol == PROTO_UDP) {
        if (length < UDP_HEADER)
            return SIM_PARSE_MALFORMED;
        probe->kind = SIM_KIND_UDP;
    } else if (probe->protocol == PROTO_TCP) {
        if (length < TCP_HEADER)
            return SIM_PARSE_MALFORMED;
        probe->kind = SIM_KIND_TCP;
        probe->flags = at[13];
    } else if (probe->protocol == (v4 ? PROTO_ICMP : PROTO_ICMP6)) {
        if (length < ICMP_HEADER)
            return SIM_PARSE_MALFORMED;
        if (at[0] != (v4 ? ICMP_ECHO : ICMP6_ECHO) || at[1] != 0)
            return SIM_PARSE_IGNORED;
        probe->kind = SIM_KIND_ECHO;
        probe->checksum = get16(at + 2);
        probe->id = get16(at + 4);
        return SIM_PARSE_OK;
    } else {
        return SIM_PARSE_IGNORED;
    }
    probe->port_src = get16(at);
    probe->port_dst = get16(at + 2);
    return SIM_PARSE_OK;
}

enum sim_parse sim_packet_parse(struct sim_probe *probe, const uint8_t *packet, size_t length) {
    enum sim_parse result;
    uint8_t version = length > 0 ? packet[0] >> 4 : 0;

    if ((version != 4 && version != 6) || length > SIM_PACKET_MAX)
        return SIM_PARSE_MALFORMED;
    memset(probe, 0, sizeof *probe);
    probe->packet = packet;
    probe->length = length;
    probe->src.version = probe->dst.version = version;
    result = version == 4 ? parse_v4(probe) : parse_v6(probe);
    if (result != SIM_PARSE_OK)
        return result;
    if (!global_unicast(&probe->src) || !global_unicast(&probe->dst) || probe->ttl == 0)
        return SIM_PARSE_IGNORED;
    return parse_transport(probe);
}

static uint64_t mix_address(uint64_t hash, const struct sim_addr *addr) {
    for (size_t i = 0; i < address_size(addr->version); i += 4)
        hash = sim_random_mix(hash, get32(addr->bytes + i));
    return hash;
}

uint64_t sim_packet_flow(const struct sim_probe *probe) {
    uint64_t flow = mix_address(mix_address(probe->protocol, &probe->src), &probe->dst);

    if (probe->kind == SIM_KIND_ECHO)
        return sim_random_mix(flow, (uint32_t)probe->id << 16 | probe->checksum);
    return sim_random_mix(flow, (uint32_t)probe->port_src << 16 | probe->port_dst);
}

bool sim_packet_intact(const struct sim_probe *probe) {
    const uint8_t *at = probe->packet + probe->header;
    size_t length = probe->length - probe->header;
    uint16_t pseudo = 0;

    if (probe->kind == SIM_KIND_UDP) {
        if (get16(at + 4) < UDP_HEADER || get16(at + 4) > length)
            return false;
        length = get16(at + 4);
        if (probe->src.version == 4 && get16(at + 6) == 0)
            return true; /* over IPv4 it may be left out */
    } else if (probe->kind == SIM_KIND_TCP) {
        size_t header = (size_t)(at[12] >> 4) * 4;

        if (header < TCP_HEADER || header > length)
            return false;
    }
    if (probe->protocol != PROTO_ICMP)
        pseudo = sim_packet_pseudo(&probe->src, &probe->dst, probe->protocol, length);
    return sim_packet_sum(pseudo, at, length) == 0xffff;
}

/* Writes the IP header of an answer to the probe's source; returns the header's length. */
static size_t put_ip(const struct sim_probe *probe, const struct sim_addr *from, uint8_t protocol,
    uint8_t ttl, size_t payload, uint8_t *reply) {
    if (from->version == 6) {
        memset(reply, 0, 8);
        reply[0] = 0x60;
        put16(reply + 4, (uint32_t)payload);
        reply[6] = protocol;
        reply[7] = ttl;
        memcpy(reply + 8, from->bytes, 16);
        memcpy(reply + 24, probe->src.bytes, 16);
        return V6_HEADER;
    }
    memset(reply, 0, V4_HEADER);
    reply[0] = 0x45;
    put16(reply + 2, (uint32_t)(V4_HEADER + payload));
    put16(reply + 6, V4_DONT_FRAGMENT);
    reply[8] = ttl;
    reply[9] = protocol;
    memcpy(reply + 12, from->bytes, 4);
    memcpy(reply + 16, probe->src.bytes, 4);
    put16(reply + 10, ~(uint32_t)sim_packet_sum(0, reply, V4_HEADER));
    return V4_HEADER;
}

/* Fills the checksum at `offset` of a transport message whose checksum field is 0. */
static void put_sum(const struct sim_probe *probe, const struct sim_addr *from, uint8_t protocol,
    uint8_t *message, size_t length, size_t offset) {
    uint16_t pseudo = 0;

    if (protocol != PROTO_ICMP)
        pseudo = sim_packet_pseudo(from, &probe->src, protocol, length);
    put16(message + offset, ~(uint32_t)sim_packet_sum(pseudo, message, length));
}

/* Writes the extension structure with one MPLS object; returns its length. */
static size_t put_extension(const struct sim_error *error, uint8_t *at) {
    size_t object = OBJECT_HEADER + LABEL_LENGTH * error->n_labels;
    size_t length = EXTENSION_HEADER + object;
    uint8_t *next = at + EXTENSION_HEADER;

    memset(at, 0, EXTENSION_HEADER);
    at[0] = EXTENSION_VERSION;
    put16(next, (uint32_t)object);
    next[2] = OBJECT_MPLS;
    next[3] = OBJECT_MPLS_INCOMING;
    next += OBJECT_HEADER;
    for (uint32_t i = 0; i < error->n_labels; i++, next += LABEL_LENGTH) {
        const struct sim_label *label = &error->labels[i];

        put32(next,
            label->label << 12 | (uint32_t)label->tc << 9 | (uint32_t)label->s << 8 | label->ttl);
    }
    put16(at + 2, ~(uint32_t)sim_packet_sum(0, at, length));
    return length;
}

size_t sim_packet_error(
    const struct sim_probe *probe, const struct sim_error *error, uint8_t *reply) {
    bool v4 = probe->src.version == 4;
    uint8_t protocol = v4 ? PROTO_ICMP : PROTO_ICMP6;
    uint8_t *icmp = reply + (v4 ? V4_HEADER : V6_HEADER);
    uint8_t *quote = icmp + ICMP_HEADER;
    size_t quoted = probe->length < SIM_PACKET_QUOTE ? probe->length : SIM_PACKET_QUOTE;
    size_t length;

    memset(icmp, 0, ICMP_HEADER + SIM_PACKET_QUOTE);
    if (error->expired) {
        icmp[0] = v4 ? ICMP_EXPIRED : ICMP6_EXPIRED;
    } else {
        icmp[0] = v4 ? ICMP_UNREACHABLE : ICMP6_UNREACHABLE;
        icmp[1] = error->code;
    }
    memcpy(quote, probe->packet, quoted);
    if (v4) {
        quote[8] = error->quoted_ttl;
        put16(quote + 10, 0);
        put16(quote + 10, ~(uint32_t)sim_packet_sum(0, quote, probe->header));
    } else {
        quote[7] = error->quoted_ttl;
    }
    if (error->n_labels > 0) {
        /* The padded quote's length: 32-bit words in ICMP, 64-bit words in ICMPv6. */
        icmp[v4 ? 5 : 4] = (uint8_t)(SIM_PACKET_QUOTE / (v4 ? 4 : 8));
        quoted = SIM_PACKET_QUOTE + put_extension(error, quote + SIM_PACKET_QUOTE);
    }
    length = ICMP_HEADER + quoted;
    put_sum(probe, error->from, protocol, icmp, length, 2);
    return put_ip(probe, error->from, protocol, error->reply_ttl, length, reply) + length;
}

size_t sim_packet_echo(const struct sim_probe *probe, uint8_t reply_ttl, uint8_t *reply) {
    bool v4 = probe->src.version == 4;
    uint8_t *icmp = reply + (v4 ? V4_HEADER : V6_HEADER);
    size_t length = probe->length - probe->header;

    memcpy(icmp, probe->packet + probe->header, length);
    icmp[0] = v4 ? ICMP_REPLY : ICMP6_REPLY;
    put16(icmp + 2, 0);
    put_sum(probe, &probe->dst, probe->protocol, icmp, length, 2);
    return put_ip(probe, &probe->dst, probe->protocol, reply_ttl, length, reply) + length;
}

size_t sim_packet_tcp(
    const struct sim_probe *probe, bool open, uint32_t isn, uint8_t reply_ttl, uint8_t *reply) {
    const uint8_t *segment = probe->packet + probe->header;
    uint8_t *tcp = reply + (probe->src.version == 4 ? V4_HEADER : V6_HEADER);
    size_t data = probe->length - probe->header - (size_t)(segment[12] >> 4) * 4;
    uint32_t next = get32(segment + 4) + (uint32_t)data; /* sequence number after the segment */
    uint8_t flags = SIM_TCP_RST | SIM_TCP_ACK;
    uint32_t seq = 0;

    if (probe->flags & SIM_TCP_RST)
        return 0;
    next += (probe->flags & SIM_TCP_SYN) != 0;
    next += (probe->flags & SIM_TCP_FIN) != 0;
    if (probe->flags & SIM_TCP_ACK) {
        if (data == 0 && !(probe->flags & (SIM_TCP_SYN | SIM_TCP_FIN)))
            return 0;
        flags = SIM_TCP_RST; /* RFC 9293, 3.10.7.1: its number is that of the segment's ACK */
        seq = get32(segment + 8);
        next = 0;
    } else if (open && probe->flags & SIM_TCP_SYN) {
        flags = SIM_TCP_SYN | SIM_TCP_ACK;
        seq = isn;
        next = get32(segment + 4) + 1; /* data in a SYN is ignored */
    }

    memset(tcp, 0, TCP_HEADER);
    put16(tcp, probe->port_dst);
    put16(tcp + 2, probe->port_src);
    put32(tcp + 4, seq);
    put32(tcp + 8, next);
    tcp[12] = (TCP_HEADER / 4) << 4;
    tcp[13] = flags;
    put16(tcp + 14, flags & SIM_TCP_SYN ? 0xffff : 0);
    put_sum(probe, &probe->dst, PROTO_TCP, tcp, TCP_HEADER, 16);
    return put_ip(probe, &probe->dst, PROTO_TCP, reply_ttl, TCP_HEADER, reply) + TCP_HEADER;
}
