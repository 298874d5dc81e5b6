package import NIOCore

/// The framing of a connection between nodes.
///
/// ```
/// 0      4      5       6
/// ┌──────┬──────┬───────┬──────────┐
/// │length│ kind │ flags │ body …   │   length (UInt32, big-endian) counts kind, flags and body
/// └──────┴──────┴───────┴──────────┘
/// ```
///
/// The first frame in each direction is a ``Hello`` (or a ``Refusal``). It carries the version range of everything
/// that follows; `flags` is zero in version 1.
package struct Frame: Sendable, Equatable {
    package enum Kind: UInt8, Sendable, CaseIterable {
        case hello = 1
        case refusal = 2
        case request = 3
        case reply = 4
        case error = 5
        /// The caller no longer wants the answer.
        case cancel = 6
        /// The server takes no more calls on this connection; those in progress are still answered.
        case goAway = 7
        case ping = 8
        case pong = 9
    }

    package static let headerLength = 6

    package var kind: Kind
    package var body: ByteBuffer

    package init(kind: Kind, body: ByteBuffer = ByteBuffer()) {
        self.kind = kind
        self.body = body
    }
}

extension ByteBuffer {
    /// Appends one frame, its length filled in afterwards.
    package mutating func writeFrame(_ kind: Frame.Kind, _ writeBody: (inout ByteBuffer) -> Void = { _ in }) {
        let start = writerIndex
        writeMultipleIntegers(UInt32(0), kind.rawValue, UInt8(0))
        writeBody(&self)
        setInteger(UInt32(writerIndex - start - 4), at: start)
    }
}

/// Cuts a stream of bytes into frames. A value type without I/O: bytes in, frames out.
///
/// It never holds more than one incomplete frame of at most ``maximumLength`` beside what one read brought, and it
/// judges a length as soon as its four bytes are there, so a frame that claims 4 GiB allocates nothing.
package struct FrameSplitter {
    /// The largest frame (kind, flags and body) that is let through, in bytes.
    package var maximumLength: Int
    private var bytes = ByteBuffer()

    package init(maximumLength: Int) {
        self.maximumLength = maximumLength
    }

    /// Bytes that are not yet part of a whole frame.
    package var unfinishedBytes: Int { bytes.readableBytes }

    package mutating func append(_ received: ByteBuffer) {
        if bytes.readableBytes == 0 {
            bytes = received
        } else {
            var received = received
            bytes.discardReadBytes()
            bytes.writeBuffer(&received)
        }
    }

    /// - Returns: the next whole frame, or `nil` until more bytes arrive.
    /// - Throws: ``WireError`` for a length or kind that no peer sends; the connection is of no use afterwards.
    package mutating func next() throws(WireError) -> Frame? {
        guard let length = bytes.getInteger(at: bytes.readerIndex, as: UInt32.self) else { return nil }
        guard length >= Frame.headerLength - 4, length <= maximumLength else {
            throw WireError(.badLength, "a frame of \(length) bytes; 2 to \(maximumLength) are allowed here")
        }
        guard bytes.readableBytes >= 4 + Int(length) else { return nil }
        guard let (_, rawKind, flags) = bytes.readMultipleIntegers(as: (UInt32, UInt8, UInt8).self),
            let body = bytes.readSlice(length: Int(length) - 2)
        else { return nil }
        guard let kind = Frame.Kind(rawValue: rawKind), flags == 0 else {
            throw WireError(.badKind, "a frame of kind \(rawKind) with flags \(flags); this node knows kinds 1 to 9")
        }
        return Frame(kind: kind, body: body)
    }
}
