// SPDX-License-Identifier: Apache-2.0
//
// The console's two streams of bytes (lguest ABI 10.3): what the guest prints is written in full and in
// order; what is typed goes into one guest buffer for each read, with an interrupt at once.

extension VirtioConsole: ConsoleClient {
    /// Attaches the console to its backend: input may come from now on.
    public func start() {
        backend.start(client: self)
    }

    /// May be called in the middle of `transmit`, when a slow terminal has keys waiting; the two queues
    /// share nothing.
    public func consoleInput(_ bytes: [UInt8]) {
        pendingInput += bytes
        deliverInput()
        if pendingInput.count >= Self.inputLimit, !inputPaused {
            inputPaused = true
            backend.pauseInput()
        }
    }

    public func consoleWindowChanged() {
        guard isSettled, let activation, activation.features.contains(.consoleSize) else { return }
        activation.configurationChanged()
    }

    /// Moves waiting input into the guest's receive buffers, as far as there are any.
    func deliverInput() {
        guard let queue = activation?.queue(Queue.receive) else { return }
        while !pendingInput.isEmpty, let chain = queue.pop() {
            guard chain.readable.isEmpty, chain.writableLength > 0 else {
                return queue.driverIsBroken(
                    .badRequest(head: chain.head, "a receive buffer that cannot be written"))
            }
            let count = queue.fill(chain, with: pendingInput)
            pendingInput = pendingInput.dropFirst(Int(count))
            queue.push(chain, written: count)
        }
        // A slice keeps all of its array alive.
        if pendingInput.isEmpty { pendingInput = [] }
        queue.notifyDriver()
        if inputPaused, pendingInput.count <= Self.inputLimit / 2 {
            inputPaused = false
            backend.resumeInput()
        }
    }

    /// Prints everything that the guest has offered.
    func transmit() {
        guard let queue = activation?.queue(Queue.transmit) else { return }
        while let chain = queue.pop() {
            guard chain.writable.isEmpty else {
                return queue.driverIsBroken(
                    .badRequest(head: chain.head, "a transmit buffer that is for writing"))
            }
            queue.forEachReadablePiece(of: chain) { backend.write($0) }
            queue.push(chain, written: 0)
        }
        queue.notifyDriver()
    }
}
