// SPDX-License-Identifier: Apache-2.0
//
// What Docker's default profile allows, as names (facts from moby/profiles, seccomp/default.json, 2025).

enum ContainerProfile {
    /// Allowed whatever the arguments.
    static let allowed: [String] = """
        accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown \
        clock_adjtime clock_getres clock_gettime clock_nanosleep close close_range connect \
        copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old \
        epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit \
        exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat \
        fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr \
        fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv \
        futex_wake futimesat getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups \
        getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
        getresuid getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area \
        gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init inotify_init1 \
        inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents ioprio_get ioprio_set \
        io_setup io_submit kill landlock_add_rule landlock_create_ruleset landlock_restrict_self \
        lchown lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr \
        lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore \
        mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify \
        mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd \
        msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 \
        pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll \
        prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pwrite64 pwritev pwritev2 \
        read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages \
        removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction \
        rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
        rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max \
        sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_setaffinity \
        sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget \
        semop semtimedop sendfile sendmmsg sendmsg sendto setfsgid setfsuid setgid setgroups \
        setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit \
        set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setxattr setxattrat \
        shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat \
        statfs statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time \
        timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create \
        timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat uretprobe \
        utime utimensat utimes vfork vmsplice wait4 waitid write writev arch_prctl modify_ldt
        """.split { $0 == " " || $0 == "\n" }.map(String.init)

    /// All families but AF_VSOCK, AF_ALG and some that are as rare.
    static let socketFamilies: [UInt64] =
        Array(0...11) + [13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39]
        + [41, 42, 43, 44, 45]

    static let personalities: [UInt64] = [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF]

    /// `clone` must have none of these: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
    static let namespaceFlags: UInt64 = 0x7E02_0000
}
