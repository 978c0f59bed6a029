// SPDX-License-Identifier: Apache-2.0
//
// The sandbox: before a guest's first instruction the process gives up what it will not need. If a guest
// should ever break out of its memory into this process, it finds no capability, no program to start, no
// file to open, and no page that it could both write and run.
//
// A refused call fails with EPERM and is named once on standard error (sandbox.c), since a C library of
// tomorrow may try something new that it can do without; the guest goes on. Calls of another architecture's
// table (int $0x80, x32) end the process: nothing honest makes them.

import CLauncher
import CSeccomp
import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

public enum Sandbox {
    /// What libslirp reads again and again to find the host's name server.
    static let resolverFile = "/etc/resolv.conf"
    /// What glibc reads before it gives a thread's freed memory back to the host for the first time.
    static let overcommitFile = "/proc/sys/vm/overcommit_memory"

    private static let killProcess: UInt32 = 0x8000_0000
    private static let trap: UInt32 = 0x0003_0000
    private static let failWithNoSuchCall: UInt32 = 0x0005_0000 | UInt32(ENOSYS)
    private static let failWithNoSuchName: UInt32 = 0x0005_0000 | UInt32(ENOENT)
    private static let allow: UInt32 = 0x7FFF_0000

    /// Opens what is served later, while the root directory is still the host's. What it says then is what it
    /// says for ever: a guest whose host changes its name server has to be started anew.
    public static func prepare(_ needs: SandboxNeeds) {
        // SAFETY: Swift passes a NUL-terminated copy that lives through the call; the callee keeps its own.
        _ = lguest_sandbox_serve(overcommitFile)
        if needs.opensSockets { _ = lguest_sandbox_serve(resolverFile) }
    }

    /// Confines this process, all its threads, for ever: no new privileges, no capabilities, the system calls
    /// of `SandboxRules` alone. Throws `.host` when the host does not do that; nothing may be run then.
    public static func enter(_ needs: SandboxNeeds) throws(LguestError) {
        try check(lguest_forbid_new_privileges(), "no_new_privs")
        try check(lguest_drop_capabilities(), "giving up capabilities")
        prepare(needs)
        // Hosts before Linux 5.19 cannot do that: what they leave are the checks of each path.
        for folder in needs.folders {
            lguest_sandbox_keep_folder(folder.descriptor, folder.isReadOnly ? 1 : 0)
        }
        if !needs.folders.isEmpty { _ = lguest_sandbox_keep_to_folders() }
        try check(lguest_sandbox_handle_refusals(), "a signal handler")
        try load(SandboxRules.rules(needs, process: getpid()))
    }

    private static func load(_ rules: [SystemCallRule]) throws(LguestError) {
        guard let filter = seccomp_init(trap) else { throw denied("seccomp", ENOMEM) }
        defer { seccomp_release(filter) }
        nameCalls()
        // Threads that exist already are confined too. The speculation controls that older kernels bind to
        // seccomp would slow the guest down and protect nothing: it shares no process with a secret.
        try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1), "seccomp for all threads")
        _ = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1)
        _ = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, killProcess)
        // A tree in place of a long list of comparisons.
        _ = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        for rule in rules { try add(rule, to: filter) }
        // Its flags are in memory, where a filter cannot look; the C library then takes clone.
        _ = seccomp_rule_add_array(filter, failWithNoSuchCall, number("clone3"), 0, nil)
        // A crash report's source lines: libdw asks for the name of a file that is in memory, and does without.
        _ = seccomp_rule_add_array(filter, failWithNoSuchName, number("readlink"), 0, nil)
        try check(seccomp_load(filter), "seccomp")
    }

    private static func add(_ rule: SystemCallRule, to filter: scmp_filter_ctx) throws(LguestError) {
        let call = number(rule.name)
        // An older libseccomp does not know the newest names: those calls stay refused.
        guard call >= 0 else { return }
        let tests = rule.tests.map { test in
            switch test {
            case .equal(let argument, let value):
                scmp_arg_cmp(arg: argument, op: SCMP_CMP_EQ, datum_a: value, datum_b: 0)
            case .masked(let argument, let mask, let value):
                scmp_arg_cmp(arg: argument, op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value)
            }
        }
        // SAFETY: the array lives through the call and is passed with its own count.
        let result = seccomp_rule_add_array(filter, allow, call, UInt32(tests.count), tests)
        guard result == 0 || result == -EEXIST else { throw denied("seccomp (\(rule.name))", -result) }
    }

    /// The number of a system call on this host, negative for one that is not known.
    private static func number(_ name: String) -> Int32 { seccomp_syscall_resolve_name(name) }

    /// Lets the handler name what it refuses.
    private static func nameCalls() {
        for number in 0..<Int32(LGUEST_CALL_NAMES) {
            // SAFETY: libseccomp gives a string that is ours to free, or nil; the handler keeps a copy.
            guard let name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), number) else { continue }
            lguest_sandbox_name(number, name)
            free(name)
        }
    }

    private static func check(_ result: Int32, _ what: String) throws(LguestError) {
        if result < 0 { throw denied(what, -result) }
    }

    private static func denied(_ what: String, _ reason: Int32) -> LguestError {
        // SAFETY: strerror gives a NUL-terminated string, copied at once.
        let text = strerror(reason).map { String(cString: $0) } ?? "error \(reason)"
        return LguestError(
            .host, "the sandbox cannot be set up: \(what): \(text)",
            hint: "--no-sandbox runs the guest without it")
    }
}
