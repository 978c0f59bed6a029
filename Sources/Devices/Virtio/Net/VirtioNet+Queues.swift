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
        var room = spare.reduce(0) { $0 + $1.room }
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
            spare.append(spareBuffer(chain, isMergeable))
            room += spare[spare.count - 1].room
        }
        if !isMergeable { room = spare[0].room }
        guard room >= needed else {
            droppedFrames += 1
            return true
        }
        store(bytes, offload, queue)
        return true
    }

    /// Linux 4.12 drops a frame when a piece of it is longer than the size that the driver chose for its buffers at that
    /// time, but gives the last buffer of a block of memory what was left of that block. Such a buffer is
    /// longer than the one before, so no more is put into it than would fit there.
    private func spareBuffer(_ chain: DescriptorChain, _ isMergeable: Bool) -> SpareBuffer {
        let length = Int(chain.writableLength)
        defer { lastLength = length }
        return SpareBuffer(chain: chain, room: isMergeable ? min(length, lastLength ?? length) : length)
    }

    /// Fills the first spare buffers, which are large enough together.
    private func store(_ bytes: ArraySlice<UInt8>, _ offload: FrameOffload, _ queue: Virtqueue) {
        let headerLength = headerLength
        let needed = headerLength + bytes.count
        var (count, room) = (0, 0)
        while room < needed, count < spare.count {
            room += spare[count].room
            count += 1
        }
        // Drivers of the shorter header were offered no features, so nothing is left for them to do.
        var header =
            headerLength < FrameOffload.byteCount
            ? [UInt8](repeating: 0, count: headerLength) : offload.bytes
        if headerLength > FrameOffload.byteCount { header += [UInt8(count & 0xFF), UInt8(count >> 8)] }
        var rest = bytes
        for (index, buffer) in spare.prefix(count).enumerated() {
            let chain = buffer.chain
            var written = index == 0 ? queue.fill(chain, with: header[...]) : 0
            let part = queue.fill(chain, from: written, with: rest.prefix(buffer.room - Int(written)))
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
