// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "window.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096ul
#define WINDOW_BYTES ((1ul << 32) + 16 * PAGE)
#define SIGNAL_STACK_BYTES (64ul << 10)

static _Thread_local struct lguest_fault_table *current __attribute__((tls_model("initial-exec")));
static _Thread_local void *signal_stack __attribute__((tls_model("initial-exec")));
static struct sigaction previous_segv, previous_bus;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/// The site whose instruction is at `offset`, or NULL.
static const struct lguest_fault_site *find_site(const struct lguest_fault_table *table, uint32_t offset)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->sites[middle].instruction < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->count && table->sites[low].instruction == offset ? &table->sites[low] : NULL;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    struct lguest_fault_table *table = current;
#if defined(__x86_64__)
    ucontext_t *state = context;
    uintptr_t place = (uintptr_t)state->uc_mcontext.gregs[REG_RIP] - (table ? table->code : 0);
    if (table && place < table->code_bytes) {
        if ((uintptr_t)info->si_addr - table->stack_guard < PAGE) {
            // Only the probe in front of a call comes here: the instruction runs again with an empty stack.
            state->uc_mcontext.gregs[REG_RSP] = (greg_t)table->stack_base;
            return;
        }
        const struct lguest_fault_site *site = find_site(table, (uint32_t)place);
        if (site) {
            table->faults++;
            state->uc_mcontext.gregs[REG_RIP] = (greg_t)(table->code + site->target);
            return;
        }
    }
#else
    (void)info;
    (void)context;
    (void)table;
#endif
    // Not ours: the instruction runs again, into whoever was there before.
    sigaction(number, number == SIGSEGV ? &previous_segv : &previous_bus, NULL);
}

#if defined(__x86_64__)
/// Makes `on_fault` the handler of `number` if it is not; whoever was there before comes after it.
static int hook(int number, struct sigaction *previous)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now) != 0)
        return 0;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault)
        return 1;
    *previous = now;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL) == 0;
}
#endif

int lguest_windows_prepare(void)
{
#if defined(__x86_64__)
    // Bit 1 of the second word of capabilities: the FSGSBASE instructions are allowed.
    if (!(getauxval(AT_HWCAP2) & 2))
        return 0;
    pthread_mutex_lock(&lock);
    int done = hook(SIGBUS, &previous_bus) && hook(SIGSEGV, &previous_segv);
    pthread_mutex_unlock(&lock);
    return done;
#else
    return 0;
#endif
}

int lguest_fault_table_use(struct lguest_fault_table *table)
{
    current = table;
    if (!table || signal_stack)
        return 0;
    stack_t old;
    if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE) && old.ss_size >= SIGNAL_STACK_BYTES / 2) {
        signal_stack = old.ss_sp;
        return 0;
    }
    // Belongs to the thread and goes with the process.
    void *memory = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return errno;
    stack_t stack = {.ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES};
    if (sigaltstack(&stack, NULL) != 0) {
        int reason = errno;
        munmap(memory, SIGNAL_STACK_BYTES);
        return reason;
    }
    signal_stack = memory;
    return 0;
}

void *lguest_code_stack_map(size_t bytes)
{
    char *low = mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (low == MAP_FAILED)
        return NULL;
    if (mprotect(low, PAGE, PROT_NONE) != 0) {
        munmap(low, bytes + PAGE);
        return NULL;
    }
    return low + PAGE;
}

void lguest_code_stack_unmap(void *stack, size_t bytes)
{
    munmap((char *)stack - PAGE, bytes + PAGE);
}

void *lguest_window_reserve(void)
{
    void *base = mmap(NULL, WINDOW_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

void lguest_window_release(void *window)
{
    munmap(window, WINDOW_BYTES);
}

/// Where the direct window begins: hosts let nobody have what is below.
#define DIRECT_START 0x10000ul

int lguest_direct_reserve(void)
{
#if defined(__x86_64__) && defined(MAP_FIXED_NOREPLACE)
    void *start = (void *)DIRECT_START;
    void *got = mmap(
        start, WINDOW_BYTES - DIRECT_START, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == start)
        return 1;
    // An old kernel takes the address for a wish.
    if (got != MAP_FAILED)
        munmap(got, WINDOW_BYTES - DIRECT_START);
#endif
    return 0;
}

void lguest_direct_release(void)
{
    munmap((void *)DIRECT_START, WINDOW_BYTES - DIRECT_START);
}

static void *place(void *window, uint32_t page)
{
    return (void *)((uintptr_t)window + (uint64_t)page * PAGE);
}

int lguest_window_map(void *window, uint32_t page, size_t pages, int fd, uint64_t offset, int writable)
{
    int rights = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *mapped =
        mmap(place(window, page), pages * PAGE, rights, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
    return mapped == MAP_FAILED ? errno : 0;
}

int lguest_window_protect(void *window, uint32_t page, size_t pages, int writable)
{
    int rights = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    return mprotect(place(window, page), pages * PAGE, rights) == 0 ? 0 : errno;
}

int lguest_window_unmap(void *window, uint32_t page, size_t pages)
{
    void *mapped = mmap(
        place(window, page), pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
        0);
    return mapped == MAP_FAILED ? errno : 0;
}
