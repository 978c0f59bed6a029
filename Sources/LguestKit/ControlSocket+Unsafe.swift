// SPDX-License-Identifier: Apache-2.0
//
// The control socket of a session, by which `lguest ps` and `lguest monitor` find it.

import Devices
import Monitor
import Support

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum ControlSocket {
    /// Opens it in the user's folder. A guest with a name keeps that name for itself; throws `.badInput` when another
    /// has it, `.host` when there is no folder.
    static func open(
        name: String?, engine: String, screen: TerminalScreen, eventLoop: EventLoop
    ) throws(LguestError) -> MonitorServer {
        let folder = ControlFolder.ofUser
        try folder.prepare()
        folder.removeStale()
        let process = getpid()
        let title = name ?? "lguest-\(process)"
        let path = folder.socket(of: title)
        guard (try? SocketConnection(path: path)) == nil else {
            throw LguestError(.badInput, "a guest named '\(title.asOneLine)' runs already", hint: "--name")
        }
        return try MonitorServer(
            path: path, identity: MonitorServer.Identity(name: title, processID: process, engine: engine),
            screen: screen, eventLoop: eventLoop)
    }
}
