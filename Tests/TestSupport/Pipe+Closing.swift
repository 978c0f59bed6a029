// SPDX-License-Identifier: Apache-2.0
//
// Pipes for tests that run at the same time. A pipe that another test's child inherits does not end before that child
// does, and two tests may wait for each other's children.

import Foundation

extension Pipe {
    /// A pipe that children get only as one of their standard streams.
    public static func closedInChildren() -> Pipe {
        let pipe = Pipe()
        for handle in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
            _ = fcntl(handle.fileDescriptor, F_SETFD, FD_CLOEXEC)
        }
        return pipe
    }
}
