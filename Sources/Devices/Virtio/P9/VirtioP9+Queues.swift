// SPDX-License-Identifier: Apache-2.0
//
// Taking requests from the queue and putting their answers there. Files answer at once: the host's page cache takes
// microseconds. A read from a terminal or pipe is answered when there is something.

extension VirtioP9 {
    func answerRequests() {
        guard let queue = activation?.queue(0) else { return }
        while let chain = queue.pop() {
            guard chain.readableLength >= 7, Int(chain.readableLength) <= Self.requestLimit,
                chain.writableLength >= 11
            else {
                return queue.driverIsBroken(
                    .badRequest(head: chain.head, "a request without its head or without room for an answer"))
            }
            var request: [UInt8] = []
            request.reserveCapacity(Int(chain.readableLength))
            queue.forEachReadablePiece(of: chain, limit: 1 << 20) { request += $0 }
            let answer = server.answer(request, room: Int(chain.writableLength)) { [weak queue] late in
                guard let queue, queue.isLive else { return }
                queue.push(chain, written: queue.fill(chain, with: late[...]))
                queue.notifyDriver()
            }
            if let answer { queue.push(chain, written: queue.fill(chain, with: answer[...])) }
        }
        queue.notifyDriver()
    }
}
