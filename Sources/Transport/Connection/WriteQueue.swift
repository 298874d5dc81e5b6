import DequeModule
package import NIOCore

/// How soon a frame goes out.
package enum FramePriority: Sendable, Hashable {
    /// Small things that somebody waits for: pings, probes, calls. They overtake bulk frames.
    case urgent
    /// Large things that can wait: state synchronisation, large arguments.
    case bulk
}

/// What waits to be written to one connection. A value type without I/O: frames in, chunks to write out.
///
/// Urgent frames are gathered into one chunk; a bulk frame is a chunk of its own unless it is small. So an urgent frame
/// waits for one bulk frame at most, beside what the channel has taken already.
package struct WriteQueue {
    /// Small frames are put together up to this size, in bytes.
    private static let chunkLength = 64 << 10

    private var urgent = ByteBuffer()
    private var bulk = Deque<ByteBuffer>()
    private var bulkBytes = 0

    package init() {}

    /// Bytes that wait.
    package var bytes: Int { urgent.readableBytes + bulkBytes }

    package var isEmpty: Bool { bytes == 0 }

    /// Lets `write` append urgent frames in place, without a copy.
    package mutating func appendUrgent(_ write: (inout ByteBuffer) -> Void) {
        write(&urgent)
    }

    package mutating func append(_ frame: ByteBuffer, _ priority: FramePriority) {
        switch priority {
        case .urgent:
            urgent.writeImmutableBuffer(frame)
        case .bulk:
            bulkBytes += frame.readableBytes
            if let last = bulk.last, last.readableBytes + frame.readableBytes <= WriteQueue.chunkLength {
                bulk[bulk.count - 1].writeImmutableBuffer(frame)
            } else {
                bulk.append(frame)
            }
        }
    }

    /// - Returns: what to write next; `nil` if nothing waits.
    package mutating func next() -> ByteBuffer? {
        if urgent.readableBytes > 0 {
            let chunk = urgent
            // The next ones will be about as many.
            urgent = ByteBufferAllocator().buffer(capacity: min(chunk.readableBytes, WriteQueue.chunkLength))
            return chunk
        }
        guard let chunk = bulk.popFirst() else { return nil }
        bulkBytes -= chunk.readableBytes
        return chunk
    }
}
