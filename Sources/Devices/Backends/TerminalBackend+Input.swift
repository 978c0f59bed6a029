// SPDX-License-Identifier: Apache-2.0
//
// Reading what is typed. The terminal may belong to somebody else while we are in the background: reading
// it then would get us stopped, so we look from time to time whether we may again.

extension TerminalBackend {
    /// Bytes of one read; with lines from a terminal far more than there will be.
    private static let readLimit = 4096
    /// Between two looks at who is in the foreground.
    private static let foregroundCheckNanoseconds: UInt64 = 250_000_000

    public func pauseInput() {
        inputIsPaused = true
        updateInterest()
    }

    public func resumeInput() {
        inputIsPaused = false
        updateInterest()
    }

    /// Whether input may be read now.
    var isListening: Bool { inputSource != nil && !inputIsPaused && !isWaitingForForeground }

    private func updateInterest() {
        if let inputSource { eventLoop.setEnabled(inputSource, isListening) }
    }

    /// The event loop sees something on the input descriptor: one read, passed on as it came.
    func inputIsReady() {
        if inputIsTerminal, !TerminalMode.inForeground(input) { return checkForeground() }
        switch HostIO.read(input, limit: Self.readLimit) {
        case .bytes(let bytes):
            if interruptKeys.consider(bytes, nanoseconds: clock.monotonicNanoseconds()) {
                userInterrupted = true
                TerminalMode.restartOutput()
                onUserInterrupt?()
            }
            client?.consoleInput(bytes)
        case .again:
            break
        case .endOfFile:
            endInput("end of input on the console: the guest goes on without")
        case .failed(let reason):
            endInput("no more input on the console: \(HostIO.message(reason))")
        }
    }

    /// A descriptor at its end reports itself ready for ever, so it must go.
    private func endInput(_ notice: String) {
        if let inputSource { eventLoop.unregister(inputSource) }
        inputSource = nil
        onNotice?(notice)
    }

    /// Listens while in the foreground, otherwise looks again later. A process that comes to the foreground
    /// is not always told, so there is nothing better than to look.
    func checkForeground() {
        guard inputSource != nil else { return }
        let wasWaiting = isWaitingForForeground
        isWaitingForForeground = !TerminalMode.inForeground(input)
        if isWaitingForForeground {
            // A signal may have brought us here while a timer is running: one is enough.
            guard !wasWaiting || !foregroundTimerIsSet else { return }
            foregroundTimerIsSet = true
            eventLoop.schedule(afterNanoseconds: Self.foregroundCheckNanoseconds) { [weak self] in
                self?.foregroundTimerIsSet = false
                self?.checkForeground()
            }
        } else {
            TerminalMode.retry()
        }
        updateInterest()
    }
}
