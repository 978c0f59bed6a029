// SPDX-License-Identifier: Apache-2.0
//
// The ways in which the process ends.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How the process is to end. Subcommands throw it to end with a status other than 0.
enum Ending: Error, Equatable {
    case exit(Int32)
    /// As if Ctrl-C had ended us: a shell loop around us must stop, too.
    case interrupted
}

/// Ends the process.
func finish(_ ending: Ending) -> Never {
    switch ending {
    case .exit(let status):
        exit(status)
    case .interrupted:
        signal(SIGINT, SIG_DFL)
        raise(SIGINT)
        exit(128 + SIGINT)  // only reached while SIGINT is blocked
    }
}
