// SPDX-License-Identifier: Apache-2.0
//
// `--chroot` and `--username`: giving up the file system and the identity that lguest was started with, once
// everything is open (docs: lguest ABI 10.1).

import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Who lguest is to become.
struct Identity {
    private var account: (name: String, user: uid_t, group: gid_t, groups: [gid_t])?
    private let folder: String?

    /// Looks the account up, while its database can still be read. Throws `.badInput` when there is none.
    init(username: String?, chroot folder: String?) throws(LguestError) {
        self.folder = folder
        guard let username else { return }
        errno = 0
        // SAFETY: getpwnam gives nil or a structure that is valid until the next such call; what is needed
        // of it is copied at once, and no other thread of ours looks accounts up.
        guard let entry = getpwnam(username)?.pointee else {
            throw LguestError(.badInput, "there is no user '\(username.asOneLine)'", hint: "--username")
        }
        var groups = [gid_t](repeating: 0, count: 65536)
        var count = Int32(groups.count)
        // SAFETY: the array is passed with its own count, which comes back no greater when it succeeds.
        guard getgrouplist(username, entry.pw_gid, &groups, &count) >= 0 else {
            throw LguestError(.host, "the groups of user '\(username.asOneLine)' cannot be read")
        }
        account = (username, entry.pw_uid, entry.pw_gid, Array(groups.prefix(Int(count))))
    }

    /// First the file system, which takes privilege, then groups, group and user. Throws `.host` when it is
    /// not allowed; nothing may go on then.
    func assume() throws(LguestError) {
        if let folder {
            #if canImport(Glibc)
                let result = Glibc.chroot(folder)
            #else
                let result = Musl.chroot(folder)
            #endif
            guard result == 0, chdir("/") == 0 else {
                let reason = errno
                throw LguestError(
                    reason == EPERM ? .host : .badInput,
                    "cannot change the root to \(folder.asOneLine): \(Self.message(reason))",
                    hint: reason == EPERM ? "--chroot needs root, or the capability CAP_SYS_CHROOT" : nil)
            }
        }
        guard let account else { return }
        if getuid() == account.user, geteuid() == account.user, getgid() == account.group { return }
        guard setgroups(account.groups.count, account.groups) == 0, setgid(account.group) == 0,
            setuid(account.user) == 0
        else {
            let reason = errno
            throw LguestError(
                .host, "cannot become user '\(account.name.asOneLine)': \(Self.message(reason))",
                hint: "--username needs root, or the capabilities CAP_SETUID and CAP_SETGID")
        }
    }

    private static func message(_ reason: Int32) -> String {
        // SAFETY: strerror gives a NUL-terminated string, copied at once.
        strerror(reason).map { String(cString: $0) } ?? "error \(reason)"
    }
}
