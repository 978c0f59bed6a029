// SPDX-License-Identifier: Apache-2.0
//
// TAP interfaces of the host: Ethernet cards whose wire is a file descriptor. All functions return a
// negative errno value when they fail.

#ifndef LGUEST_TAP_H
#define LGUEST_TAP_H

#include <stdint.h>

enum { LGUEST_TAP_NAME = 16 };

/// Makes an interface named after `name` ("tap%d"; the real name is put there), with the 10-byte header
/// for offloads before each frame. Returns a descriptor that does not block.
int lguest_tap_open(char name[LGUEST_TAP_NAME]);

/// What frames read from the descriptor may leave undone: 1 checksum, 2 TCP/IPv4, 4 TCP/IPv6, 8 congestion.
int lguest_tap_set_offloads(int fd, uint32_t offloads);

/// Gives the host's end an IPv4 address (first byte highest) and brings it up.
int lguest_tap_set_address(const char *name, uint32_t address);

/// Makes the interface a port of a bridge and brings it up.
int lguest_tap_join_bridge(const char *name, const char *bridge);

#endif
