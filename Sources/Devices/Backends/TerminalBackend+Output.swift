// SPDX-License-Identifier: Apache-2.0
//
// Writing what the guest prints: all of it, in order. A terminal can hold output up for as long as its
// user likes (Ctrl-S), so while we wait for it we still listen to the keys: Ctrl-C must work.

extension TerminalBackend {
    /// A pipe that is ready for output takes this much without blocking (PIPE_BUF, pipe(7)).
    private static let pieceLimit = 4096

    public func write(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count, !outputIsBroken {
            // Who has asked to leave does not wait for the rest.
            guard waitForRoom() else { return }
            switch HostIO.write(outputDescriptor, bytes, from: offset, limit: Self.pieceLimit) {
            case .wrote(let count): offset += count
            case .again: continue
            case .failed(let reason):
                outputIsBroken = true
                onWarning?("console output is lost from here on: \(HostIO.message(reason))")
            }
        }
    }

    /// Waits until the output takes bytes, or is in error. False when the user has interrupted meanwhile.
    private func waitForRoom() -> Bool {
        while true {
            let output = HostIO.PollEntry(descriptor: outputDescriptor, wantsInput: false, wantsOutput: true)
            if let result = HostIO.wait([output], nanoseconds: 0).first, !result.isEmpty { return true }
            if userInterrupted { return false }
            // A negative descriptor is one that poll does not look at.
            let keys = HostIO.PollEntry(
                descriptor: isListening ? input : -1, wantsInput: true, wantsOutput: false)
            let results = HostIO.wait([output, keys], nanoseconds: nil)
            if let result = results.first, !result.isEmpty { return true }
            if results.count == 2, !results[1].isEmpty { inputIsReady() }
        }
    }
}
