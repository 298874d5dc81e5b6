import NIOCore
import SeededRandom
import Testing
import Transport

@Suite struct WriteQueueTests {
    private func frame(_ length: Int, _ byte: UInt8) -> ByteBuffer { ByteBuffer(repeating: byte, count: length) }

    @Test func smallFramesOvertakeBulkOnes() {
        var queue = WriteQueue()
        for byte in 0..<4 { queue.append(frame(100_000, UInt8(byte)), .bulk) }
        #expect(queue.next()?.getInteger(at: 0, as: UInt8.self) == 0)
        queue.append(frame(10, 99), .urgent)
        #expect(queue.next() == frame(10, 99))
        #expect(queue.next() == frame(100_000, 1))
        #expect(queue.bytes == 200_000)
    }

    @Test func smallFramesLeaveTogether() {
        var queue = WriteQueue()
        for _ in 0..<100 {
            queue.append(frame(10, 1), .urgent)
            queue.append(frame(10, 2), .bulk)
        }
        #expect(queue.bytes == 2000)
        #expect(queue.next() == frame(1000, 1))
        #expect(queue.next() == frame(1000, 2))
        #expect(queue.next() == nil && queue.isEmpty)
    }
}

@Suite struct FrameCompressionTests {
    private func folded(_ body: [UInt8], threshold: Int = 100) -> ByteBuffer {
        var bytes = ByteBuffer(string: "before")
        let start = bytes.writerIndex
        bytes.writeFrame(.message) { $0.writeBytes(body) }
        FrameCompression.fold(&bytes, frameAt: start, threshold: threshold)
        bytes.moveReaderIndex(forwardBy: 6)
        return bytes
    }

    @Test func largeFramesShrinkAndComeBack() throws {
        let body = [UInt8](repeating: 7, count: 50_000)
        let bytes = folded(body)
        #expect(bytes.readableBytes < 1000)
        #expect(try WireTests.frames(bytes) == [Frame(kind: .message, body: ByteBuffer(bytes: body))])
    }

    @Test func whatIsSmallOrDoesNotShrinkIsLeftAlone() throws {
        var random = SeededGenerator(seed: 3)
        let noise = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(folded(noise).readableBytes == 5000 + Frame.headerLength)
        #expect(folded([UInt8](repeating: 1, count: 99)).readableBytes == 99 + Frame.headerLength)
    }

    /// A few bytes that claim to be gigabytes allocate nothing.
    @Test(arguments: [UInt32.max, 1 << 30, (1 << 20) + 1] as [UInt32]) func claimsBeyondTheLimitAreRefused(size: UInt32)
    {
        var body = ByteBuffer()
        body.writeInteger(size)
        body.writeBytes([UInt8](repeating: 0xFF, count: 100_000))
        #expect { try FrameCompression.unfold(body, limit: 1 << 20) } throws: { ($0 as? WireError)?.kind == .badLength }
    }

    @Test func damagedBlocksAreRefused() throws {
        var bytes = folded([UInt8](0...255) + [UInt8](repeating: 7, count: 5000))
        bytes.setInteger(UInt32(5000), at: bytes.readerIndex + Frame.headerLength)
        #expect(throws: WireError.self, "a wrong size") { try WireTests.frames(bytes) }
        var splitter = FrameSplitter(maximumLength: 1 << 20, takesCompressed: false)
        splitter.append(folded([UInt8](repeating: 7, count: 5000)))
        #expect(throws: WireError.self, "before the handshake") { try splitter.next() }
    }
}
