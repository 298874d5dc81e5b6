import Compression
package import NIOCore

/// Compresses the bodies of large frames with LZ4.
package enum FrameCompression {
    /// Rewrites the frame that begins at `start`, the last one in `buffer`, if its body is at least `threshold` bytes
    /// long and gets at least an eighth shorter.
    package static func fold(_ buffer: inout ByteBuffer, frameAt start: Int, threshold: Int) {
        let bodyStart = start + Frame.headerLength
        let size = buffer.writerIndex - bodyStart
        guard size >= threshold, size > 16, size <= LZ4.maximumSize else { return }
        let limit = size - size / 8
        var block = ByteBufferAllocator().buffer(capacity: 4 + limit)
        block.writeInteger(UInt32(size))
        let isWritten = buffer.withVeryUnsafeBytes { bytes in
            let source = UnsafeRawBufferPointer(rebasing: bytes[bodyStart..<bodyStart + size])
            return block.writeWithUnsafeMutableBytes(minimumWritableBytes: limit) { target in
                LZ4.compress(source, into: UnsafeMutableRawBufferPointer(rebasing: target.prefix(limit))) ?? 0
            } > 0
        }
        guard isWritten else { return }
        buffer.moveWriterIndex(to: bodyStart)
        buffer.setInteger(Frame.compressed, at: bodyStart - 1)
        buffer.writeBuffer(&block)
        buffer.setInteger(UInt32(buffer.writerIndex - start - 4), at: start)
    }

    /// - Parameters:
    ///   - body: of a compressed frame: its true size and an LZ4 block.
    ///   - limit: the largest true size. It is checked before anything is allocated.
    package static func unfold(_ body: ByteBuffer, limit: Int) throws(WireError) -> ByteBuffer {
        var block = body
        guard let claimed = block.readInteger(as: UInt32.self) else {
            throw WireError(.malformed, "a compressed frame without a size")
        }
        let size = Int(claimed)
        // One compressed byte stands for at most 255.
        guard size <= limit, size <= block.readableBytes * 255 else {
            throw WireError(
                .badLength,
                "a compressed frame of \(block.readableBytes) bytes that claims to hold \(size); \(limit) are allowed")
        }
        var unfolded = ByteBufferAllocator().buffer(capacity: size)
        let written = block.withUnsafeReadableBytes { source in
            unfolded.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { target in
                LZ4.decompress(source, into: UnsafeMutableRawBufferPointer(rebasing: target.prefix(size))) ?? 0
            }
        }
        guard written == size else { throw WireError(.malformed, "a compressed frame that is damaged") }
        return unfolded
    }
}
