// SPDX-License-Identifier: Apache-2.0
//
// The init of Linux test guests: carries out the lines of /script, one command each, and says what came of it. It
// is a program without a C library, because today's libraries do not run on the old kernels that lguest is for.
// `commands` at the end of the file lists what it can do.
#include "system.h"

void *memcpy(void *to, const void *from, size_t count) {
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return result;
}

void *memset(void *to, int value, size_t count) {
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
    return result;
}

static uint32_t length(const char *text) {
    uint32_t count = 0;
    while (text[count]) count++;
    return count;
}

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

// MARK: saying

static char line[512];
static uint32_t line_length;

static void text(const char *word) {
    while (*word && line_length < sizeof line - 1) line[line_length++] = *word++;
}

static void number(uint32_t value) {
    char digits[12];
    int count = 0;
    do digits[count++] = (char)('0' + value % 10);
    while ((value /= 10));
    while (count > 0) {
        char one[2] = {digits[--count], 0};
        text(one);
    }
}

static void say_line(void) {
    line[line_length++] = '\n';
    CALL3(write, 1, line, line_length);
    line_length = 0;
}

static int wrong(const char *what, int result) {
    text("FAILED ");
    text(what);
    text(" ");
    number((uint32_t)(result < 0 ? -result : result));
    say_line();
    return -1;
}

// MARK: numbers, time, patterns

static uint32_t parse(const char *word) {
    uint32_t value = 0;
    while (*word >= '0' && *word <= '9') value = value * 10 + (uint32_t)(*word++ - '0');
    return value;
}

// `10.0.2.2` with the highest byte first in memory.
static uint32_t parse_address(const char *word) {
    uint32_t value = 0;
    for (int part = 0; part < 4; part++) {
        value |= parse(word) << (8 * part);
        while (*word && *word != '.') word++;
        if (*word) word++;
    }
    return value;
}

// Microseconds from some moment, modulo 2^32: enough for an hour.
static uint32_t microseconds(void) {
    uint32_t time[2];
    CALL2(clock_gettime, 1, time);
    return time[0] * 1000000 + time[1] / 1000;
}

static uint32_t next_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

enum { BUFFER = 1 << 20 };
static uint8_t buffer[BUFFER] __attribute__((aligned(4096)));
static uint8_t other[BUFFER] __attribute__((aligned(4096)));

static void fill(uint8_t *to, uint32_t count, uint32_t *state) {
    uint32_t *words = (uint32_t *)to;
    for (uint32_t i = 0; i < count / 4; i++) words[i] = next_random(state);
}

// FNV-1a of bytes.
static uint32_t add_up(uint32_t sum, const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) sum = (sum ^ bytes[i]) * 0x01000193;
    return sum;
}

static void rate(const char *what, uint32_t bytes, uint32_t start) {
    uint32_t time = microseconds() - start;
    text(what);
    text(" bytes ");
    number(bytes);
    text(" us ");
    number(time);
    // Bytes in a microsecond are megabytes in a second.
    text(" MB/s ");
    number(time > 0 ? bytes / time : 0);
    say_line();
}

// MARK: files and disks

static int make_node(char **w) {
    // Lines of /proc/partitions: major, minor, blocks, name.
    int file = CALL3(open, "/proc/partitions", O_RDONLY, 0);
    int count = CALL3(read, file, buffer, BUFFER - 1);
    CALL1(close, file);
    if (count <= 0) return wrong("partitions", count);
    buffer[count] = 0;
    for (char *at = (char *)buffer; *at;) {
        char *words[4] = {0};
        int found = 0;
        while (*at && *at != '\n') {
            while (*at == ' ') *at++ = 0;
            if (*at && *at != '\n') {
                if (found < 4) words[found++] = at;
                while (*at && *at != ' ' && *at != '\n') at++;
            }
        }
        if (*at) *at++ = 0;
        if (found < 4 || !same(words[3], w[1])) continue;
        char path[32] = "/dev/";
        memcpy(path + 5, w[1], length(w[1]) < 20 ? length(w[1]) + 1 : 20);
        // A block device: S_IFBLK; minor in the low byte, major above.
        CALL3(mknod, path, 0060600, parse(words[0]) << 8 | parse(words[1]));
        text("NODE ");
        text(path);
        text(" blocks ");
        text(words[2]);
        say_line();
        return 0;
    }
    return wrong("no such disk", 0);
}

static int do_mount(char **w) {
    int result = CALL5(mount, w[2], w[3], w[1], 0, 0);
    return result < 0 ? wrong("mount", result) : 0;
}

static int do_umount(char **w) {
    int result = CALL2(umount2, w[1], 0);
    return result < 0 ? wrong("umount", result) : 0;
}

// write FILE BYTES SEED
static int do_write(char **w) {
    uint32_t left = parse(w[2]), state = parse(w[3]);
    int file = CALL3(open, w[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return wrong("open", file);
    while (left > 0) {
        uint32_t part = left < BUFFER ? left : BUFFER;
        fill(buffer, (part + 3) & ~3u, &state);
        int result = CALL3(write, file, buffer, part);
        if (result != (int)part) return wrong("write", result);
        left -= part;
    }
    int result = CALL1(fsync, file);
    CALL1(close, file);
    return result < 0 ? wrong("fsync", result) : 0;
}

// verify FILE BYTES SEED
static int do_verify(char **w) {
    uint32_t left = parse(w[2]), state = parse(w[3]);
    int file = CALL3(open, w[1], O_RDONLY, 0);
    if (file < 0) return wrong("open", file);
    while (left > 0) {
        uint32_t part = left < BUFFER ? left : BUFFER;
        fill(buffer, (part + 3) & ~3u, &state);
        int result = CALL3(read, file, other, part);
        if (result != (int)part) return wrong("read", result);
        for (uint32_t i = 0; i < part; i++) {
            if (buffer[i] != other[i]) return wrong("data at", (int)(parse(w[2]) - left + i));
        }
        left -= part;
    }
    CALL1(close, file);
    text("VERIFIED ");
    text(w[1]);
    say_line();
    return 0;
}

// random FILE BYTES: reads them and counts their ones.
static int do_random(char **w) {
    int file = CALL3(open, w[1], O_RDONLY, 0);
    int count = file < 0 ? file : CALL3(read, file, buffer, parse(w[2]));
    if (count < 0) return wrong("random", count);
    uint32_t ones = 0;
    for (int i = 0; i < count; i++) ones += (uint32_t)__builtin_popcount(buffer[i]);
    text("RANDOM ");
    number((uint32_t)count);
    text(" ones ");
    number(ones);
    say_line();
    return 0;
}

static int put(char **w) {
    int file = CALL3(open, w[1], O_WRONLY, 0);
    if (file < 0) return wrong("open", file);
    CALL3(write, file, w[2], length(w[2]));
    CALL1(close, file);
    return 0;
}

// show FILE: a small file as it is.
static int show(char **w) {
    int file = CALL3(open, w[1], O_RDONLY, 0), count;
    if (file < 0) return wrong("open", file);
    while ((count = CALL3(read, file, buffer, BUFFER)) > 0) CALL3(write, 1, buffer, count);
    CALL1(close, file);
    return count < 0 ? wrong("read", count) : 0;
}

// read-all FILE MEGABYTES [direct]: from the start on, a megabyte at a time.
static int read_all(char **w) {
    uint32_t left = parse(w[2]) << 20, done = 0;
    int file = CALL3(open, w[1], O_RDONLY | (w[3] ? O_DIRECT : 0), 0);
    if (file < 0) return wrong("open", file);
    uint32_t start = microseconds();
    while (done < left) {
        int result = CALL3(read, file, buffer, BUFFER);
        if (result <= 0) return wrong("read", result);
        done += (uint32_t)result;
    }
    CALL1(close, file);
    rate(w[3] ? "READ direct" : "READ", done, start);
    return 0;
}

// read-random FILE COUNT MEGABYTES: so many direct reads of 4 KiB from the first so many megabytes.
static int read_random(char **w) {
    uint32_t count = parse(w[2]), pages = parse(w[3]) << 8, state = 7;
    int file = CALL3(open, w[1], O_RDONLY | O_DIRECT, 0);
    if (file < 0) return wrong("open", file);
    uint32_t start = microseconds();
    for (uint32_t i = 0; i < count; i++) {
        uint64_t place = (uint64_t)(next_random(&state) % pages) << 12, result;
        CALL5(llseek, file, place >> 32, place, &result, 0);
        int got = CALL3(read, file, buffer, 4096);
        if (got != 4096) return wrong("read", got);
    }
    uint32_t time = microseconds() - start;
    CALL1(close, file);
    text("RANDOM-READS ");
    number(count);
    text(" us ");
    number(time);
    text(" reads/s ");
    number(time > 0 ? (uint32_t)(count / (time / 1000000.0f)) : 0);
    say_line();
    return 0;
}

// MARK: network

struct address {
    uint16_t family, port;
    uint32_t host;
    uint8_t rest[8];
};

static struct address make_address(uint32_t host, uint32_t port) {
    struct address address = {2, (uint16_t)(port >> 8 | port << 8), host, {0}};
    return address;
}

// up NAME ADDRESS MASK [ROUTER]
static int do_up(char **w) {
    int socket = socket_call(CALL_socket, 2, 2, 0);
    uint8_t request[32];
    memset(request, 0, sizeof request);
    memcpy(request, w[1], length(w[1]));
    struct address *address = (struct address *)(request + 16);
    *address = make_address(parse_address(w[2]), 0);
    int result = CALL3(ioctl, socket, 0x8916, request);  // SIOCSIFADDR
    if (result < 0) return wrong("address", result);
    *address = make_address(parse_address(w[3]), 0);
    result = CALL3(ioctl, socket, 0x891C, request);  // SIOCSIFNETMASK
    if (result < 0) return wrong("mask", result);
    memset(request + 16, 0, 16);
    request[16] = 1 | 0x40;  // IFF_UP | IFF_RUNNING
    result = CALL3(ioctl, socket, 0x8914, request);  // SIOCSIFFLAGS
    if (result < 0) return wrong("up", result);
    if (w[4]) {
        // struct rtentry: destination, gateway, mask, flags (1 up, 2 gateway); no device named.
        uint8_t route[96];
        memset(route, 0, sizeof route);
        *(struct address *)(route + 4) = make_address(0, 0);
        *(struct address *)(route + 20) = make_address(parse_address(w[4]), 0);
        *(struct address *)(route + 36) = make_address(0, 0);
        *(uint16_t *)(route + 52) = 3;
        result = CALL3(ioctl, socket, 0x890B, route);  // SIOCADDRT
        if (result < 0) return wrong("route", result);
    }
    CALL1(close, socket);
    return 0;
}

// fetch ADDRESS PORT BYTES: sends the number, reads so many bytes, adds them up.
static int do_fetch(char **w) {
    struct address address = make_address(parse_address(w[1]), parse(w[2]));
    int socket = -1, result = -1;
    for (int attempt = 0; attempt < 50; attempt++) {
        socket = socket_call(CALL_socket, 2, 1, 0);
        result = socket_call(CALL_connect, (uint32_t)socket, (uint32_t)&address, 16);
        if (result >= 0) break;
        CALL1(close, socket);
        uint32_t pause[2] = {0, 200000000};
        CALL2(nanosleep, pause, 0);
    }
    if (result < 0) return wrong("connect", result);
    char request[16];
    memcpy(request, w[3], length(w[3]) + 1);
    uint32_t count = length(w[3]);
    request[count] = '\n';
    CALL3(write, socket, request, count + 1);
    uint32_t start = microseconds(), done = 0, sum = 0x811C9DC5, wanted = parse(w[3]);
    while (done < wanted) {
        int got = CALL3(read, socket, buffer, BUFFER);
        if (got <= 0) return wrong("receive", got);
        if (!w[4]) sum = add_up(sum, buffer, (uint32_t)got);
        done += (uint32_t)got;
    }
    CALL1(close, socket);
    text("SUM ");
    number(sum);
    text(" ");
    rate("FETCHED", done, start);
    return 0;
}

// serve PORT BYTES: waits for one caller; reads to its end, then sends so many bytes.
static int do_serve(char **w) {
    struct address address = make_address(0, parse(w[1]));
    int socket = socket_call(CALL_socket, 2, 1, 0);
    int result = socket_call(CALL_bind, (uint32_t)socket, (uint32_t)&address, 16);
    if (result < 0) return wrong("bind", result);
    socket_call(CALL_listen, (uint32_t)socket, 5, 0);
    text("SERVING ");
    text(w[1]);
    say_line();
    int caller = socket_call(CALL_accept, (uint32_t)socket, 0, 0);
    if (caller < 0) return wrong("accept", caller);
    uint32_t start = microseconds(), done = 0, sum = 0x811C9DC5;
    for (;;) {
        int got = CALL3(read, caller, buffer, BUFFER);
        if (got < 0) return wrong("receive", got);
        if (got == 0) break;
        if (!w[3]) sum = add_up(sum, buffer, (uint32_t)got);
        done += (uint32_t)got;
    }
    text("SUM ");
    number(sum);
    text(" ");
    rate("RECEIVED", done, start);
    uint32_t left = parse(w[2]), state = 1;
    fill(buffer, BUFFER, &state);
    start = microseconds();
    for (done = 0; done < left;) {
        uint32_t part = left - done < BUFFER ? left - done : BUFFER;
        int got = CALL3(write, caller, buffer, part);
        if (got <= 0) return wrong("send", got);
        done += (uint32_t)got;
    }
    socket_call(CALL_shutdown, (uint32_t)caller, 1, 0);
    CALL3(read, caller, other, 1);
    // The machine may be switched off next: what is under way is to arrive first.
    for (uint32_t attempt = 0, waiting = 1; waiting != 0 && attempt < 1500; attempt++) {
        if (CALL3(ioctl, caller, 0x5411, &waiting) < 0) break;  // SIOCOUTQ
        uint32_t pause[2] = {0, 20000000};
        if (waiting != 0) CALL2(nanosleep, pause, 0);
    }
    CALL1(close, caller);
    CALL1(close, socket);
    rate("SENT", done, start);
    return 0;
}

// MARK: the rest

// winsize [COUNT]: the terminal's size, each time it changes, so many times.
static int do_window(char **w) {
    uint16_t size[4] = {0}, old[4] = {0};
    uint32_t left = w[1] ? parse(w[1]) : 1;
    for (uint32_t attempt = 0; left > 0 && attempt < 600; attempt++) {
        CALL3(ioctl, 0, 0x5413, size);  // TIOCGWINSZ
        // The kernel may not know it yet.
        if ((size[0] | size[1]) != 0 && (size[0] != old[0] || size[1] != old[1])) {
            text("WINDOW ");
            number(size[1]);
            text(" ");
            number(size[0]);
            say_line();
            left--;
        }
        memcpy(old, size, sizeof size);
        uint32_t pause[2] = {0, 100000000};
        if (left > 0) CALL2(nanosleep, pause, 0);
    }
    return 0;
}

// free: kilobytes of free memory, from /proc/meminfo.
static int do_free(char **w) {
    int file = CALL3(open, "/proc/meminfo", O_RDONLY, 0);
    int count = CALL3(read, file, buffer, BUFFER - 1);
    CALL1(close, file);
    if (count < 0) return wrong(w[0], count);
    buffer[count] = 0;
    for (char *at = (char *)buffer; *at; at++) {
        if (at[0] == 'M' && at[1] == 'e' && at[2] == 'm' && at[3] == 'F') {
            at += 8;
            while (*at == ' ') at++;
            text("FREE ");
            number(parse(at));
            say_line();
            return 0;
        }
    }
    return wrong("meminfo", 0);
}

static int do_sleep(char **w) {
    uint32_t pause[2] = {parse(w[1]), 0};
    CALL2(nanosleep, pause, 0);
    return 0;
}

static int do_say(char **w) {
    for (int i = 1; w[i]; i++) {
        if (i > 1) text(" ");
        text(w[i]);
    }
    say_line();
    return 0;
}

static int do_reboot(char **w) {
    CALL0(sync);
    CALL3(reboot, 0xFEE1DEAD, 672274793, same(w[0], "reboot") ? 0x01234567 : 0x4321FEDC);
    return wrong("reboot", 0);
}

static const struct {
    const char *name;
    int (*run)(char **words);
} commands[] = {
    {"node", make_node}, {"mount", do_mount}, {"umount", do_umount}, {"write", do_write}, {"verify", do_verify},
    {"random", do_random}, {"put", put}, {"show", show}, {"read-all", read_all}, {"read-random", read_random}, {"up", do_up},
    {"fetch", do_fetch}, {"serve", do_serve}, {"winsize", do_window}, {"free", do_free}, {"sleep", do_sleep},
    {"say", do_say}, {"reboot", do_reboot}, {"poweroff", do_reboot},
};

static char script[8192];

void run(void) {
    int console = CALL3(open, "/dev/console", O_RDWR, 0);
    while (console >= 0 && console < 2) console = CALL3(open, "/dev/console", O_RDWR, 0);
    CALL5(mount, "proc", "/proc", "proc", 0, 0);
    int file = CALL3(open, "/script", O_RDONLY, 0);
    int count = CALL3(read, file, script, sizeof script - 1);
    CALL1(close, file);
    for (char *at = script; count > 0 && *at;) {
        char *words[9] = {0};
        int found = 0;
        while (*at && *at != '\n') {
            while (*at == ' ') *at++ = 0;
            if (*at && *at != '\n') {
                if (found < 8) words[found++] = at;
                while (*at && *at != ' ' && *at != '\n') at++;
            }
        }
        if (*at) *at++ = 0;
        if (found == 0) continue;
        unsigned which = 0;
        while (which < sizeof commands / sizeof *commands && !same(commands[which].name, words[0])) which++;
        if (which == sizeof commands / sizeof *commands) {
            wrong(words[0], 0);
        } else {
            commands[which].run(words);
        }
    }
    char *off[2] = {"poweroff", 0};
    do_reboot(off);
    for (;;) {}
}
