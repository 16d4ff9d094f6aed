/*
 * sim_packet: IP packets: reads a probe, builds the answers that a router or a target gives.
 *
 * Pure: bytes in, value or error out. Every length that a packet claims is checked against the
 * bytes that are there.
 */
#ifndef SIM_PACKET_H
#define SIM_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim_path.h"

/* The largest packet that goes in or comes out: the device's MTU. */
#define SIM_PACKET_MAX 1500

/* Bytes of the probe that an ICMP error quotes at most; RFC 4884 pads to just this many. */
#define SIM_PACKET_QUOTE 128

enum sim_kind {
    SIM_KIND_ECHO, /* ICMP or ICMPv6 echo request */
    SIM_KIND_UDP,
    SIM_KIND_TCP,
};

enum sim_parse {
    SIM_PARSE_OK,
    SIM_PARSE_MALFORMED, /* lengths or the IPv4 header's checksum are wrong */
    SIM_PARSE_IGNORED,   /* well formed, but nothing that the simulation answers */
};

/* TCP flags as they are in the packet. */
enum {
    SIM_TCP_FIN = 0x01,
    SIM_TCP_SYN = 0x02,
    SIM_TCP_RST = 0x04,
    SIM_TCP_ACK = 0x10,
};

/* A probe that was read; it borrows the packet. */
struct sim_probe {
    const uint8_t *packet;
    size_t length;    /* of the whole packet */
    size_t header;    /* of the IP header */
    uint8_t ttl;      /* or hop limit, 1..255 */
    uint8_t protocol; /* as in the IP header */
    enum sim_kind kind;
    struct sim_addr src, dst;
    uint16_t port_src, port_dst; /* UDP and TCP */
    uint16_t id, checksum;       /* echo */
    uint8_t flags;               /* TCP */
};

/* Reads the packet of `length` bytes that a host sent; the probe is valid with SIM_PARSE_OK. */
enum sim_parse sim_packet_parse(struct sim_probe *probe, const uint8_t *packet, size_t length);

/* What load balancers hash: five-tuple; for echo the addresses, identifier and checksum. */
uint64_t sim_packet_flow(const struct sim_probe *probe);

/* Checks what only a target looks at: length and checksum of the transport header. */
bool sim_packet_intact(const struct sim_probe *probe);

/* An ICMP error: the sender, what it says, and what it adds. */
struct sim_error {
    const struct sim_addr *from;
    uint8_t reply_ttl;  /* of the error's own IP header */
    uint8_t quoted_ttl; /* of the quoted header: what was left of the probe's where it ended */
    bool expired;       /* time exceeded; else destination unreachable with `code` */
    uint8_t code;       /* in the ICMP version of the probe */
    const struct sim_label *labels; /* MPLS stack to quote (RFC 4884, 4950), if n_labels > 0 */
    uint32_t n_labels;              /* 0..SIM_PATH_MAX_LABELS */
};

/*
 * Each builder writes a whole IP packet to `reply`, which has room for SIM_PACKET_MAX bytes, and
 * returns its length; 0 where such a probe gets no answer.
 */
size_t sim_packet_error(
    const struct sim_probe *probe, const struct sim_error *error, uint8_t *reply);
size_t sim_packet_echo(const struct sim_probe *probe, uint8_t reply_ttl, uint8_t *reply);

/*
 * What a port says to a TCP segment that is intact. SYN: SYN-ACK with initial sequence number `isn`
 * where it is open, else RST. Anything else: RST, so that no socket lingers. But a bare ACK gets no
 * answer: it ends a handshake, and an RST could reach the prober before it has seen its connection.
 * RST gets none either.
 */
size_t sim_packet_tcp(
    const struct sim_probe *probe, bool open, uint32_t isn, uint8_t reply_ttl, uint8_t *reply);

/*
 * The Internet checksum (RFC 1071) of `length` bytes, added to `sum`, which is 0 at the start and
 * may be a pseudo header's sum. Folded, but not inverted.
 */
uint16_t sim_packet_sum(uint32_t sum, const uint8_t *bytes, size_t length);

/* The pseudo header's sum for a transport protocol between two addresses of one version. */
uint16_t sim_packet_pseudo(
    const struct sim_addr *src, const struct sim_addr *dst, uint8_t protocol, size_t length);

#endif
