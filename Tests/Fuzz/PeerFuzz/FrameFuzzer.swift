import FuzzSupport
import Membership
import NIOCore
import SeededRandom
import Transport

/// Bytes of a connection, in pieces, against what cuts them into frames and what reads each kind of frame.
struct FrameFuzzer {
    /// How many frames and bodies were taken, and how many streams refused: either alone would prove little.
    private(set) var frames = 0
    private(set) var bodies = 0
    private(set) var refusals = 0

    mutating func run(_ random: inout SeededGenerator) throws {
        let limit = [1024, 4096, 1 << 20][random.below(3)]
        var splitter = FrameSplitter(maximumLength: limit, takesCompressed: random.below(4) > 0)
        var rest = stream(&random)[...]
        do {
            while !rest.isEmpty {
                let piece = rest.prefix(1 + random.below(random.below(2) == 0 ? rest.count : 16))
                rest = rest.dropFirst(piece.count)
                splitter.append(ByteBuffer(bytes: piece))
                while let frame = try splitter.next() { try take(frame, limit: limit) }
                guard splitter.unfinishedBytes < limit + 4 else {
                    throw FuzzFailure("\(splitter.unfinishedBytes) bytes wait, although a frame may have \(limit)")
                }
            }
        } catch is WireError {
            refusals += 1
        }
    }

    private mutating func take(_ frame: Frame, limit: Int) throws {
        guard frame.body.readableBytes <= limit else {
            throw FuzzFailure("a body of \(frame.body.readableBytes) bytes, although \(limit) are allowed")
        }
        frames += 1
        bodies += FrameFuzzer.isTaken(frame) ? 1 : 0
    }

    private func stream(_ random: inout SeededGenerator) -> [UInt8] {
        if random.below(4) == 0 { return noise(&random) }
        var bytes: [UInt8] = []
        for _ in 0...random.below(3) { bytes += Samples.frames[random.below(Samples.frames.count)] }
        for _ in 0...random.below(4) { random.mutate(&bytes) }
        return bytes
    }

    /// Random bytes, behind a right header now and then, or nothing would get past that.
    private func noise(_ random: inout SeededGenerator) -> [UInt8] {
        let body = random.bytes(upTo: 64)
        guard random.below(2) == 0 else { return body }
        let length = UInt8(body.count + Frame.lengthOverhead)
        return [0, 0, 0, length, Frame.version, UInt8(random.below(14)), UInt8(random.below(2))] + body
    }

    /// Whether the reader of this kind takes the frame.
    private static func isTaken(_ frame: Frame) -> Bool {
        switch frame.kind {
        case .hello: (try? Hello(from: frame)) != nil
        case .refusal: (try? Refusal(from: frame)) != nil
        case .request: (try? CallCodec.readRequest(frame)) != nil
        case .reply: (try? CallCodec.readReply(frame)) != nil
        case .error: (try? CallCodec.readError(frame)) != nil
        case .cancel: (try? CallCodec.readCancel(frame)) != nil
        case .message: frame.body.withUnsafeReadableBytes { (try? MessageCodec.decode($0)) != nil }
        case .goAway, .ping, .pong, .proof, .welcome: true
        }
    }
}
