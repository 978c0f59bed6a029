// SPDX-License-Identifier: Apache-2.0
//
// Frames out of the driver's buffers, and into them.

extension VirtioNet {
    /// Sends everything that the driver has offered.
    func transmit() {
        guard let queue = activation?.queue(Queue.transmit) else { return }
        let backend = network.backend
        let headerLength = headerLength
        while let chain = queue.pop() {
            guard chain.writable.isEmpty, Int(chain.readableLength) >= headerLength else {
                queue.driverIsBroken(.badRequest(head: chain.head, "a frame without its header"))
                break
            }
            let header = chain.readable.slice(0, FrameOffload.byteCount)
            let frame = chain.readable.slice(headerLength, Int(chain.readableLength) - headerLength)
            var offload = FrameOffload(HostBuffers(queue.memory, header).bytes)
            if !features.contains(.netChecksum) { offload = FrameOffload() }
            let buffers = HostBuffers(queue.memory, frame)
            if buffers.count >= 14, buffers.count <= Self.frameLimit { backend.send(buffers, offload) }
            queue.push(chain, written: 0)
        }
        backend.sendingEnded()
        queue.notifyDriver()
    }
}

extension VirtioNet: NetworkClient {
    func frameArrived(_ frame: NetworkFrame) -> Bool {
        // Nobody listens, as on a wire without a card.
        guard let queue = activation?.queue(Queue.receive), queue.isLive else { return true }
        let needed = headerLength + frame.bytes.count
        let isMergeable = features.contains(.netMergeableBuffers)
        var room = spare.reduce(0) { $0 + Int($1.writableLength) }
        while spare.isEmpty || (isMergeable && room < needed) {
            guard let chain = queue.pop() else {
                // All of the driver's buffers together are too small: the frame will never fit.
                if spare.count >= Int(queue.size) { break }
                return !queue.isLive
            }
            guard chain.readable.isEmpty, Int(chain.writableLength) >= headerLength else {
                queue.driverIsBroken(
                    .badRequest(head: chain.head, "a receive buffer that cannot hold a header"))
                return true
            }
            spare.append(chain)
            room += Int(chain.writableLength)
        }
        if !isMergeable { room = Int(spare[0].writableLength) }
        guard room >= needed else {
            droppedFrames += 1
            return true
        }
        store(frame, queue)
        return true
    }

    /// Fills the first spare buffers, which are large enough together.
    private func store(_ frame: NetworkFrame, _ queue: Virtqueue) {
        var bytes = frame.offload.bytes
        var count = 0
        var room = 0
        let needed = headerLength + frame.bytes.count
        while room < needed, count < spare.count {
            room += Int(spare[count].writableLength)
            count += 1
        }
        if headerLength > FrameOffload.byteCount { bytes += [UInt8(count & 0xFF), UInt8(count >> 8)] }
        bytes += frame.bytes
        var rest = bytes[...]
        for chain in spare.prefix(count) {
            let written = queue.fill(chain, with: rest)
            rest = rest.dropFirst(Int(written))
            queue.push(chain, written: written)
        }
        spare.removeFirst(count)
    }

    func framesEnded() {
        activation?.queue(Queue.receive)?.notifyDriver()
    }
}
