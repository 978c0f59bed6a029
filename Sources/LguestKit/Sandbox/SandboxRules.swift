// SPDX-License-Identifier: Apache-2.0
//
// Which system calls a running guest's process may make, and why. Everything is open by then, so nothing here
// opens, creates, renames or removes a file (but in shared folders), starts a program, or looks at another process.
//
// The numbers are those of Linux on x86-64: <bits/mman-linux.h>, <bits/sched.h>, <asm-generic/ioctls.h>,
// <bits/fcntl-linux.h>, <bits/socket.h>.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a guest's process still has to do once it is confined.
public struct SandboxNeeds: Sendable {
    /// It opens sockets to the internet: libslirp does.
    public var opensSockets = false
    /// Descriptors of the folders that the guest shares, and whether it may change them.
    public var folders: [(descriptor: Int32, isReadOnly: Bool)] = []
    /// Processes of ours that may be ended by a signal.
    public var children: [Int32] = []

    public init() {}
}

enum SandboxRules {
    private static let protWrite: UInt64 = 2
    private static let protExecute: UInt64 = 4
    private static let cloneVM: UInt64 = 0x100
    private static let cloneThread: UInt64 = 0x10000
    private static let atEmptyPath: UInt64 = 0x1000

    /// The whole list for process `process`.
    static func rules(_ needs: SandboxNeeds, process: Int32) -> [SystemCallRule] {
        let fixed = files + events + memory + threads + time + sockets
        return fixed + signals(process, needs.children) + (needs.opensSockets ? internet : [])
            + (needs.folders.isEmpty ? [] : folders)
            + (needs.folders.contains { !$0.isReadOnly } ? changes : [])
    }

    private static func plain(_ names: String) -> [SystemCallRule] {
        names.split(separator: " ").map { SystemCallRule(String($0)) }
    }

    /// Disks, consoles, network cards and the kernel's own file: descriptors that are open already.
    private static let files =
        plain(
            """
            read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close fsync fdatasync \
            fallocate ftruncate flock fstat
            """)
        + [
            // How the C library spells fstat; without this flag it would look at paths.
            SystemCallRule("newfstatat", .masked(3, mask: atEmptyPath, value: atEmptyPath))
        ]
        // F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: not F_SETOWN, which sends signals.
        + SystemCallRule.each("fcntl", argument: 1, [0, 1, 2, 3, 4, 1030])
        // Terminal modes (TCGETS, TCSETS, W, F, and the newer TCGETS2, TCSETS2), TIOCGPGRP, TIOCGWINSZ,
        // TIOCSWINSZ, FIONREAD, FIONBIO, TUNSETOFFLOAD: not TIOCSTI, which types into other programs.
        + SystemCallRule.each(
            "ioctl", argument: 1,
            [
                0x5401, 0x5402, 0x5403, 0x5404, 0x802C_542A, 0x402C_542B, 0x402C_542C, 0x402C_542D, 0x540F,
                0x5413, 0x5414, 0x541B, 0x5421, 0x4004_54D0,
            ])

    private static let events = plain("poll ppoll")

    /// Memory comes and goes, for guests that restart and for translated code, but no page is ever writable and
    /// executable, and none becomes executable that was not.
    private static let memory =
        // sysinfo: the C library's sorting asks how much memory there is.
        plain("munmap mremap madvise mincore brk memfd_create membarrier sysinfo")
        + [
            SystemCallRule("mmap", .masked(2, mask: protExecute, value: 0)),
            SystemCallRule("mmap", .masked(2, mask: protExecute | protWrite, value: protExecute)),
            SystemCallRule("mprotect", .masked(2, mask: protExecute, value: 0)),
        ]

    /// Threads of this process for disks and networks; never another process.
    private static let threads =
        plain(
            """
            futex set_robust_list rseq sched_yield sched_getaffinity getcpu gettid getpid getpgrp exit exit_group \
            wait4
            """)
        + [
            SystemCallRule(
                "clone", .masked(0, mask: cloneVM | cloneThread, value: cloneVM | cloneThread)),
            // PR_SET_NAME, PR_GET_NAME, and PR_SET_VMA, by which C libraries name their memory.
            SystemCallRule("prctl", .equal(0, 15)), SystemCallRule("prctl", .equal(0, 16)),
            SystemCallRule("prctl", .equal(0, 0x5356_4D41)),
            // Reading limits: there is no new one.
            SystemCallRule("prlimit64", .equal(2, 0)),
        ]

    private static let time = plain(
        "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getrandom restart_syscall")

    /// Sockets that were bound before the start, and who connects to them.
    private static let sockets = plain(
        "accept accept4 recvfrom recvmsg sendto sendmsg shutdown getsockname getpeername getsockopt setsockopt"
    )

    private static func signals(_ process: Int32, _ children: [Int32]) -> [SystemCallRule] {
        plain("rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack")
            + [SystemCallRule("tgkill", .equal(0, UInt64(process)))]
            + [SystemCallRule("kill", .equal(0, UInt64(process)))]
            + children.filter { $0 > 0 }.map {
                SystemCallRule("kill", .equal(0, UInt64($0)), .equal(1, UInt64(SIGTERM)))
            }
    }

    /// Shared folders: their files are opened below their descriptors. A filter cannot see that; `Landlock` does.
    private static let folders = plain("openat2 readlinkat getdents64 fstatfs")

    private static let changes = plain(
        """
        mkdirat mknodat symlinkat linkat unlinkat renameat chmod fchmodat fchownat utimensat
        """)

    /// libslirp: sockets of IPv4 and IPv6 only.
    private static let internet =
        plain("connect bind listen")
        + SystemCallRule.each("socket", argument: 0, [UInt64(AF_INET), UInt64(AF_INET6)])
}
