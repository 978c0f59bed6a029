// SPDX-License-Identifier: Apache-2.0
//
// Filling the driver's buffers with random bytes (lguest ABI 10.5).

extension VirtioEntropy {
    func fillBuffers() {
        guard let queue = activation?.queue(0) else { return }
        while let chain = queue.pop() {
            guard chain.readable.isEmpty, chain.writableLength > 0 else {
                return queue.driverIsBroken(
                    .badRequest(head: chain.head, "a buffer for random bytes that cannot be written"))
            }
            let bytes = source.randomBytes(min(Self.limit, Int(chain.writableLength)))
            queue.push(chain, written: queue.fill(chain, with: bytes[...]))
        }
        queue.notifyDriver()
    }
}
