// SPDX-License-Identifier: Apache-2.0
//
// The console on the host's standard input and output (lguest ABI 10.3): usually a terminal in raw mode,
// but a pipe or a file does as well, each way. This file starts and stops it; `+Input` and `+Output`
// move the bytes.

import Support

/// A console on two file descriptors, by default standard input and output. One at a time may use a terminal.
public final class TerminalBackend {
    /// Where keys come from, and where output goes to.
    let input: Int32
    let output: Int32
    let eventLoop: EventLoop
    let clock: any HostClock

    /// Called when the user has typed Ctrl-C three times within a second. The guest gets the bytes too.
    public var onUserInterrupt: (() -> Void)?
    /// Told in one line what went wrong and was got around, such as an output that nobody reads.
    public var onWarning: ((String) -> Void)?
    /// Told in one line what only the curious want to know, such as the end of the input.
    public var onNotice: ((String) -> Void)?

    let inputIsTerminal: Bool
    weak var client: (any ConsoleClient)?
    var inputSource: EventLoop.Source?
    var inputIsPaused = false
    var isWaitingForForeground = false
    var foregroundTimerIsSet = false
    var interruptKeys = InterruptKeys()
    var userInterrupted = false

    /// For output to a terminal, a descriptor that does not block; otherwise `output` itself.
    var outputDescriptor: Int32
    var outputIsBroken = false

    /// The last known size of the window.
    public private(set) var windowSize: ConsoleWindowSize?
    private let signals: EventWaker?
    private var signalSource: EventLoop.Source?
    /// Whether raw mode is ours to leave.
    private var hasTerminal = false

    /// A console on `input` and `output`. Nothing is touched before `start`.
    public init(
        input: Int32 = 0, output: Int32 = 1, eventLoop: EventLoop, clock: any HostClock
    ) {
        self.input = input
        self.output = output
        self.eventLoop = eventLoop
        self.clock = clock
        inputIsTerminal = TerminalMode.isTerminal(input)
        outputDescriptor = output
        windowSize = TerminalMode.windowSize(output)
        let descriptor = HostIO.makeEventDescriptor()
        signals = descriptor < 0 ? nil : EventWaker(descriptor: descriptor)
    }

    deinit { closeOutputCopy() }

    /// What the terminal's signals have to say: the window has changed, or we were stopped and go on.
    private func signalled() {
        if let signals { HostIO.drain(signals.descriptor) }
        if inputIsTerminal { checkForeground() }
        guard windowSize != nil, let size = TerminalMode.windowSize(output), size != windowSize else {
            return
        }
        windowSize = size
        client?.consoleWindowChanged()
    }

    private func closeOutputCopy() {
        if outputDescriptor != output { HostIO.close(outputDescriptor) }
        outputDescriptor = output
    }
}

extension TerminalBackend: ConsoleBackend {
    public func start(client: any ConsoleClient) {
        self.client = client
        userInterrupted = false
        outputIsBroken = false
        TerminalMode.ignoreBrokenPipes()
        let event = signals?.descriptor ?? -1
        if inputIsTerminal {
            let reason = TerminalMode.enter(input, event: event)
            hasTerminal = reason == nil
            if let reason { onWarning?("the terminal cannot be put into raw mode: \(reason)") }
        }
        if TerminalMode.isTerminal(output), outputDescriptor == output {
            outputDescriptor = TerminalMode.reopenNonBlocking(output) ?? output
        }
        if signals != nil, inputIsTerminal || windowSize != nil {
            if windowSize != nil { TerminalMode.watchWindow(event: event) }
            signalSource = eventLoop.register(descriptor: event) { [weak self] in self?.signalled() }
        }
        inputSource = eventLoop.register(descriptor: input) { [weak self] in self?.inputIsReady() }
        if inputIsTerminal { checkForeground() }
    }

    public func stop() {
        if hasTerminal { TerminalMode.leave() }
        hasTerminal = false
        if signalSource != nil { TerminalMode.watchWindow(event: -1) }
        for source in [inputSource, signalSource] {
            if let source { eventLoop.unregister(source) }
        }
        inputSource = nil
        signalSource = nil
        client = nil
        closeOutputCopy()
    }
}
