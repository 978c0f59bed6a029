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
            let offload =
                features.contains(.netChecksum)
                ? FrameOffload(HostBuffers(queue.memory, header).bytes) : FrameOffload()
            let buffers = HostBuffers(queue.memory, frame)
            if buffers.count >= 14, buffers.count <= Self.frameLimit { backend.send(buffers, offload) }
            queue.push(chain, written: 0)
        }
        backend.sendingEnded()
        queue.notifyDriver()
    }
}

extension VirtioNet: NetworkClient {
    func frameArrived(_ bytes: ArraySlice<UInt8>, _ offload: FrameOffload) -> Bool {
        // Nobody listens, as on a wire without a card; or how long a header is to be is not known yet.
        guard let activation, !activation.isProvisional, let queue = activation.queue(Queue.receive),
            queue.isLive
        else { return true }
        let needed = headerLength + bytes.count
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
        store(bytes, offload, queue)
        return true
    }

    /// Fills the first spare buffers, which are large enough together.
    private func store(_ bytes: ArraySlice<UInt8>, _ offload: FrameOffload, _ queue: Virtqueue) {
        let headerLength = headerLength
        let needed = headerLength + bytes.count
        var (count, room) = (0, 0)
        while room < needed, count < spare.count {
            room += Int(spare[count].writableLength)
            count += 1
        }
        // Drivers of the shorter header were offered no features, so nothing is left for them to do.
        var header =
            headerLength < FrameOffload.byteCount
            ? [UInt8](repeating: 0, count: headerLength) : offload.bytes
        if headerLength > FrameOffload.byteCount { header += [UInt8(count & 0xFF), UInt8(count >> 8)] }
        var rest = bytes
        for (index, chain) in spare.prefix(count).enumerated() {
            var written = index == 0 ? queue.fill(chain, with: header[...]) : 0
            let part = queue.fill(chain, from: written, with: rest)
            rest = rest.dropFirst(Int(part))
            written += part
            queue.push(chain, written: written)
        }
        spare.removeFirst(count)
    }

    func framesEnded() {
        activation?.queue(Queue.receive)?.notifyDriver()
    }
}
