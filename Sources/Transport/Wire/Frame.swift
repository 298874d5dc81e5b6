package import NIOCore

/// The framing of a connection between nodes.
///
/// ```
/// 0      4         5      6       7
/// ┌──────┬─────────┬──────┬───────┬──────────┐
/// │length│ version │ kind │ flags │ body …   │   length (UInt32, big-endian) counts all that follows it
/// └──────┴─────────┴──────┴───────┴──────────┘
/// ```
///
/// `version` is that of this layout, so that a peer of another age is told apart from noise before anything else is
/// read; what the bodies look like is agreed in the handshake. The only flag is ``compressed``.
package struct Frame: Sendable, Equatable {
    package enum Kind: UInt8, Sendable, CaseIterable {
        case hello = 1
        /// The dialer shows that it knows the cluster secret.
        case proof = 2
        /// The listener shows the same and opens the connection.
        case welcome = 3
        /// Why the connection is not opened; the last frame.
        case refusal = 4
        case ping = 5
        case pong = 6
        /// The sender takes no more calls on this connection; those in progress are still answered.
        case goAway = 7
        case request = 8
        case reply = 9
        case error = 10
        /// The caller no longer wants the answer.
        case cancel = 11
        /// A message of the membership protocol.
        case message = 12
    }

    /// The layout above.
    package static let version: UInt8 = 1
    package static let headerLength = 7
    /// The part of a frame's length that is not its body.
    package static let lengthOverhead = 3
    /// The body is its true size (UInt32) and one LZ4 block.
    package static let compressed: UInt8 = 1

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
        writeMultipleIntegers(UInt32(0), Frame.version, kind.rawValue, UInt8(0))
        writeBody(&self)
        setInteger(UInt32(writerIndex - start - 4), at: start)
    }
}

/// Cuts a stream of bytes into frames. A value type without I/O: bytes in, frames out.
///
/// It never holds more than one incomplete frame of at most ``maximumLength`` beside what one read brought, and it
/// judges a length as soon as its four bytes are there, so a frame that claims 4 GiB allocates nothing. The same bound
/// holds for what a compressed body unfolds to.
package struct FrameSplitter {
    /// The largest frame (all but its length field) that is let through, in bytes.
    package var maximumLength: Int
    /// Compressed bodies are let through only after the handshake.
    package var takesCompressed: Bool
    private var bytes = ByteBuffer()

    package init(maximumLength: Int, takesCompressed: Bool = true) {
        self.maximumLength = maximumLength
        self.takesCompressed = takesCompressed
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
    /// - Throws: ``WireError`` for a length, version, kind or compressed body that no peer sends; the connection is of
    ///   no use afterwards.
    package mutating func next() throws(WireError) -> Frame? {
        guard let length = bytes.getInteger(at: bytes.readerIndex, as: UInt32.self) else { return nil }
        guard length >= Frame.lengthOverhead, length <= maximumLength else {
            throw WireError(.badLength, badLength(length))
        }
        guard bytes.readableBytes >= 4 + Int(length) else { return nil }
        guard
            let (_, version, rawKind, flags) = bytes.readMultipleIntegers(as: (UInt32, UInt8, UInt8, UInt8).self),
            let body = bytes.readSlice(length: Int(length) - Frame.lengthOverhead)
        else { return nil }
        guard version == Frame.version else {
            throw WireError(.incompatible, "a frame of version \(version); this node knows version \(Frame.version)")
        }
        guard let kind = Frame.Kind(rawValue: rawKind), flags & ~Frame.compressed == 0,
            flags == 0 || takesCompressed
        else {
            throw WireError(.badKind, "a frame of kind \(rawKind) with flags \(flags), which does not belong here")
        }
        guard flags == 0 else {
            return Frame(kind: kind, body: try FrameCompression.unfold(body, limit: maximumLength))
        }
        return Frame(kind: kind, body: body)
    }

    private func badLength(_ length: UInt32) -> String {
        // The first bytes of a TLS record read as a length.
        if length >> 16 == 0x1603 { return "the peer speaks TLS, and this node is not configured for it" }
        return "a frame of \(length) bytes; \(Frame.lengthOverhead) to \(maximumLength) are allowed here"
    }
}
