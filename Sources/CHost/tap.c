// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int lguest_tap_open(char name[LGUEST_TAP_NAME]) {
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -errno;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    memcpy(request.ifr_name, name, LGUEST_TAP_NAME - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    int header = 10;
    (void)ioctl(fd, TUNSETVNETHDRSZ, &header);
    memcpy(name, request.ifr_name, LGUEST_TAP_NAME);
    name[LGUEST_TAP_NAME - 1] = 0;
    return fd;
}

int lguest_tap_set_offloads(int fd, uint32_t offloads) {
    unsigned long flags = 0;
    if (offloads & 1) flags |= TUN_F_CSUM;
    if (offloads & 2) flags |= TUN_F_TSO4;
    if (offloads & 4) flags |= TUN_F_TSO6;
    if (offloads & 8 && offloads & 6) flags |= TUN_F_TSO_ECN;
    return ioctl(fd, TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

// Sets the address (unless `address` is null), then the flag IFF_UP.
static int bring_up(int control, const char *name, const struct sockaddr_in *address) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    if (address) {
        memcpy(&request.ifr_addr, address, sizeof *address);
        if (ioctl(control, SIOCSIFADDR, &request) < 0) return -errno;
    }
    memset(&request.ifr_ifru, 0, sizeof request.ifr_ifru);
    if (ioctl(control, SIOCGIFFLAGS, &request) < 0) return -errno;
    request.ifr_flags |= IFF_UP;
    return ioctl(control, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

int lguest_tap_set_address(const char *name, uint32_t address) {
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0) return -errno;
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(address)}};
    int result = bring_up(control, name, &host);
    close(control);
    return result;
}

int lguest_tap_join_bridge(const char *name, const char *bridge) {
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0) return -errno;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, bridge, sizeof request.ifr_name - 1);
    request.ifr_ifindex = (int)if_nametoindex(name);
    int result = 0;
    if (request.ifr_ifindex == 0 || ioctl(control, SIOCBRADDIF, &request) < 0) result = -errno;
    if (result == 0) result = bring_up(control, name, 0);
    close(control);
    return result;
}
