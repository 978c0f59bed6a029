// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "oracle.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)

#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sched.h>
#include <ucontext.h>
#include <unistd.h>

// What enter.S reads and writes; the offsets there are those of this structure.
struct oracle_entry {
    uint32_t gpr[8];
    uint32_t eflags;
    uint16_t cs, ss, ds, es, fs, gs;
    uint32_t eip;
};
_Static_assert(offsetof(struct oracle_entry, cs) == 36, "enter.S");
_Static_assert(offsetof(struct oracle_entry, eip) == 48, "enter.S");

#define HIDDEN __attribute__((visibility("hidden")))
HIDDEN int oracle_enter(const struct oracle_entry *entry);
HIDDEN void oracle_leave(void);
HIDDEN _Noreturn void oracle_unwind(void);
HIDDEN void oracle_signal(void);
HIDDEN uint64_t oracle_host_rsp, oracle_host_fsbase, oracle_frame;
HIDDEN struct oracle_entry oracle_out;
HIDDEN uint8_t oracle_fpu_out[512] __attribute__((aligned(16)));

struct shared {
    struct oracle_case cases[ORACLE_BATCH];
    struct oracle_result results[ORACLE_BATCH];
    uint8_t window[ORACLE_WINDOW_SIZE];
    volatile int32_t progress;
    int32_t has_ldt;
    uint32_t processor_limit;
};

struct oracle {
    struct shared *shared;
    uint8_t pristine[ORACLE_WINDOW_SIZE + 4096];
    pid_t server;
    int requests, replies;
};

// The local descriptor table: segments that a flat program never has. All are of privilege 3 and marked
// accessed, as the kernel makes them.
#define DESCRIPTOR(base, limit, access, flags)                                                        \
    ((uint64_t)((limit) & 0xFFFF) | (uint64_t)((base) & 0xFFFFFF) << 16 | (uint64_t)(access) << 40    \
     | (uint64_t)((limit) >> 16 & 15) << 48 | (uint64_t)(flags) << 52 | (uint64_t)((base) >> 24) << 56)
enum { READ = 0xF1, READ_WRITE = 0xF3, EXPAND_DOWN = 0xF7, EXECUTE = 0xF9, CODE = 0xFB, ABSENT = 0x73 };
enum { SMALL = 0, BIG = 4 };
static const uint64_t table[ORACLE_LDT_ENTRIES] = {
    [0] = DESCRIPTOR(ORACLE_WINDOW, 0xFFF, READ_WRITE, BIG),
    [1] = DESCRIPTOR(0, 0xEFFF, EXPAND_DOWN, BIG),
    [2] = DESCRIPTOR(ORACLE_WINDOW, 0xFFF, EXPAND_DOWN, SMALL),
    [3] = DESCRIPTOR(ORACLE_CODE, 0xFFFF, CODE, SMALL),
    [4] = DESCRIPTOR(ORACLE_WINDOW, 0x1FFF, READ, BIG),
    [5] = DESCRIPTOR(ORACLE_WINDOW, 0x1FFF, READ_WRITE, SMALL),
    [6] = DESCRIPTOR(ORACLE_CODE, 0x1FFF, EXECUTE, BIG),
    [7] = DESCRIPTOR(0, 0xFFFFF, ABSENT, BIG),
    [8] = DESCRIPTOR(ORACLE_CODE, 0x1FFF, CODE, BIG),
    [9] = DESCRIPTOR(0, 0xFFFF, READ_WRITE, SMALL),
};

uint64_t oracle_ldt(int index) {
    if (index < 0 || index >= ORACLE_LDT_ENTRIES) return 0;
    return table[index];
}

static int set_ldt(void) {
    for (int n = 0; n < ORACLE_LDT_ENTRIES; n++) {
        uint64_t d = table[n];
        if (d == 0) continue;
        unsigned type = d >> 40 & 15;
        struct user_desc u = {
            .entry_number = (unsigned)n,
            .base_addr = (unsigned)(d >> 16 & 0xFFFFFF) | (unsigned)(d >> 32 & 0xFF000000),
            .limit = (unsigned)(d & 0xFFFF) | (unsigned)(d >> 32 & 0xF0000),
            .seg_32bit = d >> 54 & 1,
            .contents = type >> 2,
            .read_exec_only = !(type & 2),
            .limit_in_pages = d >> 55 & 1,
            .seg_not_present = !(d >> 47 & 1),
        };
        if (syscall(SYS_modify_ldt, 0x11, &u, sizeof u) != 0) return 0;
    }
    return 1;
}

uint64_t oracle_hash(const uint8_t *bytes, unsigned long count) {
    uint64_t lanes[4] = {1, 2, 3, 4};
    for (unsigned long n = 0; n + 32 <= count; n += 32) {
        for (int k = 0; k < 4; k++) {
            uint64_t word;
            memcpy(&word, bytes + n + 8 * k, 8);
            lanes[k] = (lanes[k] ^ word) * 0x9E3779B97F4A7C15ull;
            lanes[k] ^= lanes[k] >> 29;
        }
    }
    return lanes[0] ^ lanes[1] * 3 ^ lanes[2] * 5 ^ lanes[3] * 7;
}

void oracle_initial_fpu(uint8_t *image) {
    memset(image, 0, 512);
    image[0] = 0x7F;
    image[1] = 0x03;
    image[24] = 0x80;
    image[25] = 0x1F;
}

// The server. It runs in a child of a process with threads: no allocation, no locks.

static struct oracle_result *current;

HIDDEN __attribute__((used)) void oracle_caught(int signal, siginfo_t *info, void *raw) {
    (void)signal;
    (void)info;
    ucontext_t *context = raw;
    greg_t *g = context->uc_mcontext.gregs;
    static const int order[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
    if ((g[REG_CSGSFS] & 0xFFFF) == 0x33) _exit(70);  // the server's own code
    for (int n = 0; n < 8; n++) current->gpr[n] = (uint32_t)g[order[n]];
    current->eflags = (uint32_t)g[REG_EFL];
    current->eip = (uint32_t)g[REG_RIP];
    current->cs = (uint16_t)(g[REG_CSGSFS] & 0xFFFF);
    current->ss = (uint16_t)((uint64_t)g[REG_CSGSFS] >> 48);
    current->trap = (int32_t)g[REG_TRAPNO];
    current->error_code = (uint32_t)g[REG_ERR];
    current->cr2 = (uint32_t)g[REG_CR2];
    if (context->uc_mcontext.fpregs) memcpy(current->fpu, context->uc_mcontext.fpregs, 512);
    oracle_unwind();
}

static void *map(uint32_t address, size_t size, int protection, int fd, off_t offset) {
    int flags = MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    void *got = mmap((void *)(uintptr_t)address, size, protection, flags, fd, offset);
    return got == (void *)(uintptr_t)address ? got : NULL;
}

struct places {
    uint8_t *window, *code;
};

// Maps the addresses of oracle.h; the code pages a second time, writable, at an address of the host's choice.
static int set_up(const struct oracle *oracle, struct places *places) {
    int fd = memfd_create("oracle", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, ORACLE_CODE_SIZE) != 0) return 0;
    places->code = mmap(NULL, ORACLE_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (places->code == MAP_FAILED) return 0;
    memset(places->code, 0xCC, ORACLE_CODE_SIZE);
    if (!map(ORACLE_CODE, ORACLE_CODE_SIZE, PROT_READ | PROT_EXEC, fd, 0)) return 0;
    places->window = map(ORACLE_WINDOW, ORACLE_WINDOW_SIZE, PROT_READ | PROT_WRITE, -1, 0);
    uint8_t *constant = map(ORACLE_READ_ONLY, 4096, PROT_READ | PROT_WRITE, -1, 0);
    uint8_t *way_out = map(ORACLE_EXIT, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, -1, 0);
    if (!places->window || !constant || !way_out) return 0;
    // IRETQ to a 16-bit stack leaves the upper half of ESP as it was, so the frame has to be at a known place.
    if (!map(ORACLE_FRAME, 4096, PROT_READ | PROT_WRITE, -1, 0)) return 0;
    oracle_frame = ORACLE_FRAME + 0x800;
    memcpy(constant, oracle->pristine + ORACLE_WINDOW_SIZE, 4096);
    mprotect(constant, 4096, PROT_READ);
    // jmp *2(%rip), with the address aligned: a case may have alignment checks on.
    static const uint8_t jump[6] = {0xFF, 0x25, 2, 0, 0, 0};
    memcpy(way_out, jump, sizeof jump);
    uint64_t target = (uint64_t)(uintptr_t)oracle_leave;
    memcpy(way_out + 8, &target, 8);
    mprotect(way_out, 4096, PROT_READ | PROT_EXEC);
    // Touch the code through its executable address, so that no error code says "not present".
    for (int n = 0; n < ORACLE_CODE_SIZE; n += 4096) (void)*(volatile uint8_t *)(uintptr_t)(ORACLE_CODE + n);
    return 1;
}

static int catch_signals(void) {
    static uint8_t stack[1 << 17] __attribute__((aligned(64)));
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    if (sigaltstack(&alternate, NULL) != 0) return 0;
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    action.sa_sigaction = (void (*)(int, siginfo_t *, void *))oracle_signal;
    static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
    for (unsigned n = 0; n < sizeof signals / sizeof *signals; n++) {
        if (sigaction(signals[n], &action, NULL) != 0) return 0;
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return 1;
}

static void run_case(const struct oracle *oracle, const struct places *places, int index) {
    const struct oracle_case *c = &oracle->shared->cases[index];
    struct oracle_result *r = &oracle->shared->results[index];
    current = r;
    memcpy(places->window, oracle->pristine, ORACLE_WINDOW_SIZE);
    for (int n = 0; n < c->patch_count; n++) {
        memcpy(places->window + (c->patches[n].address - ORACLE_WINDOW), &c->patches[n].value, 4);
    }
    // ljmp $0x33, $ORACLE_EXIT behind the bytes of the case, where all of it has room.
    uint8_t tail[7] = {0xEA, 0, 0, 0, 0, 0x33, 0};
    uint32_t way_out = ORACLE_EXIT;
    memcpy(tail + 1, &way_out, 4);
    uint32_t offset = c->eip + (c->cs & 4 ? ORACLE_CODE : 0) - ORACLE_CODE;
    uint32_t room = ORACLE_CODE_SIZE - offset;
    uint32_t used = c->code_length < room ? c->code_length : room;
    memcpy(places->code + offset, c->code, used);
    if (room - used >= sizeof tail + 1) {
        // A 16-bit code segment needs the operand-size prefix for a 32-bit offset.
        int wide = !(c->cs & 4) || (table[c->cs >> 3 & 15] >> 54 & 1);
        places->code[offset + used] = 0x66;
        memcpy(places->code + offset + used + !wide, tail, sizeof tail);
    }
    struct oracle_entry entry;
    memcpy(entry.gpr, c->gpr, sizeof entry.gpr);
    entry.eflags = c->eflags;
    entry.cs = c->cs;
    entry.ss = c->ss;
    entry.ds = c->ds;
    entry.es = c->es;
    entry.fs = c->fs;
    entry.gs = c->gs;
    entry.eip = c->eip;
    r->trap = -1;
    r->error_code = 0;
    r->cr2 = 0;
    if (c->uses_fpu) __asm__ volatile("fxrstor64 %0" : : "m"(c->fpu));
    if (oracle_enter(&entry) == 0) {
        memcpy(r->gpr, oracle_out.gpr, sizeof r->gpr);
        r->eflags = oracle_out.eflags;
        r->eip = c->eip + c->code_length;
        r->cs = c->cs;
        r->ss = oracle_out.ss;
        memcpy(r->fpu, oracle_fpu_out, 512);
    }
    r->ds = oracle_out.ds;
    r->es = oracle_out.es;
    r->fs = oracle_out.fs;
    r->gs = oracle_out.gs;
    for (int n = 0; n < ORACLE_FORGOTTEN; n++) {
        for (uint32_t k = 0; k < c->forgotten[n].count; k++) {
            uint32_t place = c->forgotten[n].address + k - ORACLE_WINDOW;
            if (place < ORACLE_WINDOW_SIZE) places->window[place] = 0;
        }
    }
    r->window_hash = oracle_hash(places->window, ORACLE_WINDOW_SIZE);
    memset(places->code + offset, 0xCC, room < 96 ? room : 96);
    r->done = 1;
}

static _Noreturn void serve(const struct oracle *oracle, int requests, int replies) {
    struct places places = {NULL, NULL};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((unsigned)sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    uint32_t limit = 0;
    __asm__ volatile("lsl %1, %0" : "+r"(limit) : "r"(0x7B));
    oracle->shared->processor_limit = limit;
    char ready = 1;
    if (!set_up(oracle, &places)) ready = 2;
    if (ready == 1 && !catch_signals()) ready = 3;
    oracle->shared->has_ldt = set_ldt();
    if (write(replies, &ready, 1) != 1 || ready != 1) _exit(1);
    int32_t count;
    while (read(requests, &count, sizeof count) == sizeof count) {
        oracle->shared->progress = 0;
        for (int n = 0; n < count; n++) {
            run_case(oracle, &places, n);
            oracle->shared->progress = n + 1;
        }
        memcpy(oracle->shared->window, places.window, ORACLE_WINDOW_SIZE);
        char done = 1;
        if (write(replies, &done, 1) != 1) break;
    }
    _exit(0);
}

// The client.

static const char *launch(struct oracle *oracle) {
    int there[2], back[2];
    if (pipe2(there, O_CLOEXEC) != 0) return "no pipe";
    if (pipe2(back, O_CLOEXEC) != 0) return "no pipe";
    pid_t child = fork();
    if (child < 0) return "fork failed";
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        serve(oracle, there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    oracle->server = child;
    oracle->requests = there[1];
    oracle->replies = back[0];
    char ready = 0;
    if (read(back[0], &ready, 1) != 1) return "the server died";
    if (ready == 2) return "addresses below 64 KiB cannot be mapped (vm.mmap_min_addr, or no CAP_SYS_RAWIO)";
    if (ready != 1) return "signals cannot be caught";
    return NULL;
}

static void reap(struct oracle *oracle) {
    if (oracle->server <= 0) return;
    kill(oracle->server, SIGKILL);
    waitpid(oracle->server, NULL, 0);
    close(oracle->requests);
    close(oracle->replies);
    oracle->server = 0;
}

struct oracle *oracle_start(const uint8_t *pristine, const char **why) {
    if (!(getauxval(AT_HWCAP2) & 2)) {
        *why = "the host kernel does not offer FSGSBASE";
        return NULL;
    }
    struct oracle *oracle = calloc(1, sizeof *oracle);
    if (!oracle) {
        *why = "out of memory";
        return NULL;
    }
    oracle->shared = mmap(NULL, sizeof *oracle->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memcpy(oracle->pristine, pristine, sizeof oracle->pristine);
    *why = oracle->shared == MAP_FAILED ? "no shared memory" : launch(oracle);
    if (*why) {
        oracle_stop(oracle);
        return NULL;
    }
    return oracle;
}

void oracle_stop(struct oracle *oracle) {
    if (!oracle) return;
    reap(oracle);
    if (oracle->shared != MAP_FAILED) munmap(oracle->shared, sizeof *oracle->shared);
    free(oracle);
}

int oracle_has_ldt(const struct oracle *oracle) { return oracle->shared->has_ldt; }
uint32_t oracle_processor_limit(const struct oracle *oracle) { return oracle->shared->processor_limit; }
struct oracle_case *oracle_cases(struct oracle *oracle) { return oracle->shared->cases; }
struct oracle_result *oracle_results(struct oracle *oracle) { return oracle->shared->results; }
const uint8_t *oracle_window(struct oracle *oracle) { return oracle->shared->window; }

int oracle_run(struct oracle *oracle, int count) {
    int32_t asked = count;
    char done = 0;
    // A case takes microseconds; a batch that takes this long hangs in one of them.
    struct pollfd wait = {.fd = oracle->replies, .events = POLLIN};
    if (write(oracle->requests, &asked, sizeof asked) == sizeof asked && poll(&wait, 1, 20000) == 1
        && read(oracle->replies, &done, 1) == 1) {
        return count;
    }
    int finished = oracle->shared->progress;
    reap(oracle);
    launch(oracle);
    return finished;
}

#else

struct oracle *oracle_start(const uint8_t *pristine, const char **why) {
    (void)pristine;
    *why = "the host is not x86-64 Linux";
    return NULL;
}
void oracle_stop(struct oracle *oracle) { (void)oracle; }
int oracle_has_ldt(const struct oracle *oracle) { (void)oracle; return 0; }
uint64_t oracle_ldt(int index) { (void)index; return 0; }
uint32_t oracle_processor_limit(const struct oracle *oracle) { (void)oracle; return 0; }
struct oracle_case *oracle_cases(struct oracle *oracle) { (void)oracle; return NULL; }
struct oracle_result *oracle_results(struct oracle *oracle) { (void)oracle; return NULL; }
const uint8_t *oracle_window(struct oracle *oracle) { (void)oracle; return NULL; }
int oracle_run(struct oracle *oracle, int count) { (void)oracle; (void)count; return 0; }
uint64_t oracle_hash(const uint8_t *bytes, unsigned long count) { (void)bytes; (void)count; return 0; }
void oracle_initial_fpu(uint8_t *image) { (void)image; }

#endif
