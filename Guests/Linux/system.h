// SPDX-License-Identifier: Apache-2.0
//
// Linux's system calls on i386, spelt out, so that the program needs no C library and runs on every kernel from
// 2.6.24 on. Numbers: the kernel's ABI for i386.
#ifndef LINUX_SYSTEM_H
#define LINUX_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

enum {
    SYS_exit = 1, SYS_read = 3, SYS_write = 4, SYS_open = 5, SYS_close = 6, SYS_unlink = 10, SYS_mknod = 14,
    SYS_mount = 21, SYS_sync = 36, SYS_mkdir = 39, SYS_umount2 = 52, SYS_ioctl = 54, SYS_reboot = 88,
    SYS_socketcall = 102, SYS_fsync = 118, SYS_llseek = 140, SYS_nanosleep = 162, SYS_clock_gettime = 265,
};
enum { CALL_socket = 1, CALL_bind = 2, CALL_connect = 3, CALL_listen = 4, CALL_accept = 5, CALL_shutdown = 13 };
enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000, O_DIRECT = 040000 };

static inline int call(int number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e) {
    int result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory");
    return result;
}
#define CALL0(n) call(SYS_##n, 0, 0, 0, 0, 0)
#define CALL1(n, a) call(SYS_##n, (uint32_t)(a), 0, 0, 0, 0)
#define CALL2(n, a, b) call(SYS_##n, (uint32_t)(a), (uint32_t)(b), 0, 0, 0)
#define CALL3(n, a, b, c) call(SYS_##n, (uint32_t)(a), (uint32_t)(b), (uint32_t)(c), 0, 0)
#define CALL5(n, a, b, c, d, e) \
    call(SYS_##n, (uint32_t)(a), (uint32_t)(b), (uint32_t)(c), (uint32_t)(d), (uint32_t)(e))

static inline int socket_call(int number, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t arguments[3] = {a, b, c};
    return CALL2(socketcall, number, arguments);
}

#endif
