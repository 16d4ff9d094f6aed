#include "sim_tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim_packet.h"

/* Length of the device's queue, in packets: no burst of a prober is dropped. */
#define QUEUE_LENGTH 10000

struct reason {
    char *text;
    size_t size;
};

/* Writes what failed and the text of errno. Returns -1. */
__attribute__((format(printf, 2, 3))) static int fail(
    struct reason *reason, const char *format, ...) {
    int error = errno;
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(reason->text, reason->size, format, args);
    va_end(args);
    if (length >= 0 && (size_t)length < reason->size)
        snprintf(reason->text + length, reason->size - (size_t)length, ": %s", strerror(error));
    return -1;
}

static int write_file(const char *path, const char *text) {
    ssize_t length = (ssize_t)strlen(text);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t written;

    if (fd < 0)
        return -1;
    written = write(fd, text, (size_t)length);
    close(fd);
    return written == length ? 0 : -1;
}

static int enter_namespace(struct reason *reason) {
    uid_t uid = geteuid();
    gid_t gid = getegid();
    char map[64];

    if (unshare(CLONE_NEWNET) == 0)
        return 0;
    if (errno != EPERM)
        return fail(reason, "unshare(CLONE_NEWNET)");
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return fail(reason, "no right to a network namespace, and unshare(CLONE_NEWUSER)");
    /* A process without rights must give up setgroups() before it may map its group. */
    if (write_file("/proc/self/setgroups", "deny") != 0 && errno != ENOENT)
        return fail(reason, "/proc/self/setgroups");
    snprintf(map, sizeof map, "0 %ju 1", (uintmax_t)uid);
    if (write_file("/proc/self/uid_map", map) != 0)
        return fail(reason, "/proc/self/uid_map");
    snprintf(map, sizeof map, "0 %ju 1", (uintmax_t)gid);
    if (write_file("/proc/self/gid_map", map) != 0)
        return fail(reason, "/proc/self/gid_map");
    return 0;
}

struct setting {
    const char *path; /* under /proc/sys/net */
    const char *value;
    int required; /* without it the simulation would be wrong */
};

/* Set before the device is made, which starts with the defaults. */
static const struct setting settings[] = {
    /* The ports of mtr-packet's TCP probes are its sequence numbers, from 33000 on. */
    {"ipv4/ip_local_port_range", "10000 32000", 1},
    {"ipv4/icmp_ratelimit", "0", 0},
    {"ipv6/icmp/ratelimit", "0", 0},
    {"ipv4/conf/all/rp_filter", "0", 0},
    {"ipv4/conf/default/rp_filter", "0", 0},
    {"ipv6/conf/all/disable_ipv6", "0", 1},
    {"ipv6/conf/default/disable_ipv6", "0", 1},
    /* The device gets only our address, which can be used at once: there is no detection of
     * duplicates, and no link-local address. */
    {"ipv6/conf/default/accept_dad", "0", 1},
    {"ipv6/conf/default/dad_transmits", "0", 0},
    {"ipv6/conf/default/addr_gen_mode", "1", 0},
    {"ipv6/conf/default/accept_ra", "0", 0},
    {"ipv6/conf/default/router_solicitations", "0", 0},
};

static int apply_settings(struct reason *reason) {
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        char path[128];

        /* /proc/sys/net shows the namespace of the process that opens it. */
        snprintf(path, sizeof path, "/proc/sys/net/%s", settings[i].path);
        if (write_file(path, settings[i].value) != 0 && settings[i].required)
            return fail(reason, "%s", path);
    }
    return 0;
}

static int open_device(struct reason *reason) {
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return fail(reason, "/dev/net/tun");
    memcpy(request.ifr_name, SIM_TUN_DEVICE, sizeof SIM_TUN_DEVICE);
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        fail(reason, "TUNSETIFF on /dev/net/tun");
        close(fd);
        return -1;
    }
    return fd;
}

/* One netlink request: a header, a body, attributes. */
struct request {
    struct nlmsghdr header;
    union {
        struct ifaddrmsg address;
        struct ifinfomsg link;
        struct rtmsg route;
    } body;
    uint8_t attributes[128];
};

static void start_request(struct request *request, uint16_t type, size_t body) {
    memset(request, 0, sizeof *request);
    request->header.nlmsg_type = type;
    request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    request->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
}

static void add_attribute(struct request *request, uint16_t type, const void *value, size_t size) {
    size_t at = NLMSG_ALIGN(request->header.nlmsg_len);
    struct rtattr *attribute = (struct rtattr *)((uint8_t *)request + at);

    attribute->rta_type = type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(size);
    memcpy(RTA_DATA(attribute), value, size);
    request->header.nlmsg_len = (uint32_t)(at + attribute->rta_len);
}

/* Sends a request and waits for the kernel's answer. Returns -1 with errno if it refuses. */
static int do_request(int fd, const struct request *request) {
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[512];
    } answer;
    ssize_t length;

    if (send(fd, request, request->header.nlmsg_len, 0) < 0)
        return -1;
    length = recv(fd, &answer, sizeof answer, 0);
    if (length < 0)
        return -1;
    if ((size_t)length < sizeof answer.header + sizeof answer.error ||
        answer.header.nlmsg_type != NLMSG_ERROR) {
        errno = EPROTO;
        return -1;
    }
    errno = -answer.error.error;
    return answer.error.error == 0 ? 0 : -1;
}

/* Brings a device up. An `mtu` or `queue` of 0 is not changed. */
static int set_link(struct reason *reason, int fd, const char *name, uint32_t mtu, uint32_t queue) {
    struct request request;

    /* The ioctl() for the length of the queue needs rights that a user namespace does not give. */
    start_request(&request, RTM_SETLINK, sizeof request.body.link);
    request.body.link.ifi_family = AF_UNSPEC;
    request.body.link.ifi_index = (int)if_nametoindex(name);
    request.body.link.ifi_flags = IFF_UP;
    request.body.link.ifi_change = IFF_UP;
    if (mtu > 0)
        add_attribute(&request, IFLA_MTU, &mtu, sizeof mtu);
    if (queue > 0)
        add_attribute(&request, IFLA_TXQLEN, &queue, sizeof queue);
    if (do_request(fd, &request) != 0)
        return fail(reason, "bringing %s up", name);
    return 0;
}

static int add_address_and_route(struct reason *reason, int fd, int family, const char *literal) {
    struct request request;
    uint8_t address[16];
    size_t size = family == AF_INET ? 4 : 16;
    uint32_t index = if_nametoindex(SIM_TUN_DEVICE);

    inet_pton(family, literal, address);
    start_request(&request, RTM_NEWADDR, sizeof request.body.address);
    request.body.address.ifa_family = (uint8_t)family;
    request.body.address.ifa_prefixlen = (uint8_t)(size * 8);
    request.body.address.ifa_flags = family == AF_INET ? 0 : IFA_F_NODAD;
    request.body.address.ifa_index = index;
    add_attribute(&request, IFA_LOCAL, address, size);
    add_attribute(&request, IFA_ADDRESS, address, size);
    if (do_request(fd, &request) != 0)
        return fail(reason, "address %s on " SIM_TUN_DEVICE, literal);

    start_request(&request, RTM_NEWROUTE, sizeof request.body.route);
    request.body.route.rtm_family = (uint8_t)family;
    request.body.route.rtm_table = RT_TABLE_MAIN;
    request.body.route.rtm_protocol = RTPROT_STATIC;
    request.body.route.rtm_scope = RT_SCOPE_UNIVERSE;
    request.body.route.rtm_type = RTN_UNICAST;
    add_attribute(&request, RTA_OIF, &index, sizeof index);
    add_attribute(&request, RTA_PREFSRC, address, size);
    if (do_request(fd, &request) != 0)
        return fail(reason, "default route from %s", literal);
    return 0;
}

static int set_network(struct reason *reason) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int result;

    if (fd < 0)
        return fail(reason, "netlink socket");
    result = set_link(reason, fd, "lo", 0, 0);
    if (result == 0)
        result = set_link(reason, fd, SIM_TUN_DEVICE, SIM_PACKET_MAX, QUEUE_LENGTH);
    if (result == 0)
        result = add_address_and_route(reason, fd, AF_INET, SIM_TUN_V4);
    if (result == 0)
        result = add_address_and_route(reason, fd, AF_INET6, SIM_TUN_V6);
    close(fd);
    return result;
}

int sim_tun_open(char *text, size_t size) {
    struct reason reason = {text, size};
    int fd;

    if (enter_namespace(&reason) != 0 || apply_settings(&reason) != 0)
        return -1;
    fd = open_device(&reason);
    if (fd < 0)
        return -1;
    if (set_network(&reason) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

uint64_t sim_tun_drops(void) {
    FILE *file = fopen("/proc/net/dev", "re");
    char line[512];
    uint64_t drops = 0;

    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        /* Name, eight receive columns, then bytes, packets, errors and drops of transmission. */
        /* NOLINTNEXTLINE(cert-err34-c): the kernel wrote it */
        if (sscanf(line,
                " " SIM_TUN_DEVICE ": %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64,
                &drops) == 1)
            break;
    }
    fclose(file);
    return drops;
}
