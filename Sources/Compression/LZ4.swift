import CLZ4
package import OrchestraCore

/// LZ4 blocks: no frame, no checksum; the caller keeps the uncompressed size.
package enum LZ4 {
    /// The largest block that can be compressed, in bytes (about 2 GiB).
    package static let maximumSize = Int(LZ4_MAX_INPUT_SIZE)

    /// - Parameter bytes: what to compress, at most ``maximumSize``.
    /// - Returns: one LZ4 block; it may be a little larger than `bytes` when they do not compress.
    package static func compress(_ bytes: [UInt8]) -> [UInt8] {
        precondition(bytes.count <= maximumSize, "\(bytes.count) bytes are more than an LZ4 block holds")
        let bound = Int(LZ4_compressBound(Int32(bytes.count)))
        return [UInt8](unsafeUninitializedCapacity: bound) { target, count in
            bytes.withUnsafeBytes { source in
                let written = LZ4_compress_default(
                    source.baseAddress?.assumingMemoryBound(to: CChar.self),
                    UnsafeMutableRawPointer(target.baseAddress!)
                        .assumingMemoryBound(to: CChar.self), Int32(bytes.count), Int32(bound))
                precondition(written > 0, "LZ4 refused \(bytes.count) bytes for a block of at most \(bound)")
                count = Int(written)
            }
        }
    }

    /// - Parameters:
    ///   - bytes: one LZ4 block.
    ///   - size: the uncompressed size.
    /// - Throws: ``OrchestraError`` with `invalidArgument` when the block is damaged or of another size.
    package static func decompress(_ bytes: [UInt8], size: Int) throws(OrchestraError) -> [UInt8] {
        // One compressed byte stands for at most 255 bytes, so a larger claim is a lie and not worth an allocation.
        guard size >= 0, size <= maximumSize, bytes.count <= maximumSize, size <= bytes.count * 255 else {
            throw OrchestraError(
                .invalidArgument, "an LZ4 block of \(bytes.count) bytes cannot hold \(size) bytes")
        }
        var result: Int32 = -1
        let output = [UInt8](unsafeUninitializedCapacity: max(size, 1)) { target, count in
            bytes.withUnsafeBytes { source in
                result = LZ4_decompress_safe(
                    source.baseAddress?.assumingMemoryBound(to: CChar.self),
                    UnsafeMutableRawPointer(target.baseAddress!)
                        .assumingMemoryBound(to: CChar.self), Int32(bytes.count), Int32(size))
            }
            count = result < 0 ? 0 : Int(result)
        }
        guard Int(result) == size else {
            throw OrchestraError(
                .invalidArgument,
                result < 0
                    ? "a damaged LZ4 block of \(bytes.count) bytes"
                    : "an LZ4 block holds \(result) bytes, not \(size) as recorded")
        }
        return output
    }
}

extension LZ4 {
    /// Compresses into memory of the caller.
    ///
    /// - Returns: the length of the block; `nil` if it does not fit into `target`.
    package static func compress(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Int? {
        guard source.count <= maximumSize, target.count <= maximumSize else { return nil }
        let written = LZ4_compress_default(
            source.baseAddress?.assumingMemoryBound(to: CChar.self),
            target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count), Int32(target.count))
        return written > 0 ? Int(written) : nil
    }

    /// Decompresses one block into memory of the caller.
    ///
    /// - Returns: how many bytes it holds; `nil` if it is damaged or holds more than `target`.
    package static func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard source.count <= maximumSize, target.count <= maximumSize, target.count > 0 else { return nil }
        let written = LZ4_decompress_safe(
            source.baseAddress?.assumingMemoryBound(to: CChar.self),
            target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count), Int32(target.count))
        return written >= 0 ? Int(written) : nil
    }
}
