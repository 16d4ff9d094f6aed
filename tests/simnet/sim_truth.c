#include "sim_truth.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static bool parse_line(const char *line, char protocol[8], struct sim_addr *dst) {
    char literal[INET6_ADDRSTRLEN], rest;

    memset(dst, 0, sizeof *dst);
    if (sscanf(line, "%7s %45s %c", protocol, literal, &rest) != 2)
        return false;
    if (strcmp(protocol, "icmp") != 0 && strcmp(protocol, "udp") != 0 &&
        strcmp(protocol, "tcp") != 0)
        return false;
    dst->version = strchr(literal, ':') ? 6 : 4;
    return inet_pton(dst->version == 6 ? AF_INET6 : AF_INET, literal, dst->bytes) == 1;
}

static void print_address(const struct sim_addr *addr, FILE *out) {
    char text[INET6_ADDRSTRLEN];

    inet_ntop(addr->version == 6 ? AF_INET6 : AF_INET, addr->bytes, text, sizeof text);
    fprintf(out, "\"%s\"", text);
}

static void print_hop(const struct sim_hop *hop, FILE *out) {
    fprintf(out, "{\"ttl\":%" PRIu32 ",\"addrs\":[", hop->ttl);
    for (uint32_t i = 0; i < hop->n_addrs; i++) {
        fputs(i > 0 ? "," : "", out);
        print_address(&hop->addrs[i], out);
    }
    fprintf(out, "],\"rtt_us\":%" PRId64 ",\"silent\":%s,\"mpls\":[", hop->rtt_us,
        hop->silent ? "true" : "false");
    for (uint32_t i = 0; i < hop->n_labels; i++)
        fprintf(out, "%s[%" PRIu32 ",%d,%d,%d]", i > 0 ? "," : "", hop->labels[i].label,
            hop->labels[i].tc, hop->labels[i].s, hop->labels[i].ttl);
    fputs("]}", out);
}

static void print_path(const struct sim_path_config *config, const char *protocol,
    const struct sim_addr *dst, FILE *out) {
    static const char *const ends[] = {
        [SIM_END_REPLY] = "reply",
        [SIM_END_SILENT] = "silent",
        [SIM_END_UNREACHABLE] = "unreachable",
    };
    struct sim_path path;
    struct sim_hop hop;

    sim_path_init(&path, config, dst);
    fprintf(out, "{\"protocol\":\"%s\",\"dst\":", protocol);
    print_address(dst, out);
    fprintf(
        out, ",\"distance\":%" PRIu32 ",\"end\":\"%s\",\"code\":", path.distance, ends[path.end]);
    if (path.end == SIM_END_UNREACHABLE)
        fprintf(out, "%d", path.code);
    else
        fputs("null", out);
    fputs(",\"hops\":[", out);
    for (uint32_t ttl = 1; ttl <= path.last; ttl++) {
        fputs(ttl > 1 ? "," : "", out);
        sim_path_hop(&path, config, ttl, &hop);
        print_hop(&hop, out);
    }
    fputs("]}\n", out);
}

unsigned long sim_truth_print(const struct sim_path_config *config, FILE *in, FILE *out) {
    char line[128], protocol[8];
    struct sim_addr dst;

    for (unsigned long number = 1; fgets(line, sizeof line, in); number++) {
        if (!parse_line(line, protocol, &dst))
            return number;
        print_path(config, protocol, &dst, out);
        fflush(out); /* a peer may wait for each answer */
    }
    return 0;
}
