import Foundation
import NIOCore
import OrchestraCore
import Testing
import Transport

/// Random and mutated bytes against everything that reads what a peer sends. Each is read or refused: never a trap,
/// never more memory than the limits allow.
@Suite struct FuzzTests {
    /// `ORCHESTRA_FUZZ_CASES`; without it 1,000,000, and fewer without optimisation.
    static let cases: Int = {
        let text = ProcessInfo.processInfo.environment["ORCHESTRA_FUZZ_CASES"]
        if let count = text.flatMap({ Int($0) }) { return count }
        #if DEBUG
            return 60_000
        #else
            return 1_000_000
        #endif
    }()

    private let seed = UInt64.random(in: 0 ... .max)

    @Test func mutatedFramesNeverTrap() {
        var random = SplitMix64(seed: seed)
        var read = 0
        var refused = 0
        for _ in 0..<Self.cases {
            var bytes = Array(WireTests.samples.randomElement(using: &random)!.readableBytesView)
            for _ in 0..<Int.random(in: 1...4, using: &random) { WireTests.mutate(&bytes, using: &random) }
            var splitter = FrameSplitter(maximumLength: 4096)
            splitter.append(ByteBuffer(bytes: bytes))
            do throws(WireError) {
                while let frame = try splitter.next() {
                    #expect(frame.body.readableBytes <= 4096, "seed \(seed)")
                    read += WireTests.read(frame) ? 1 : 0
                }
            } catch {
                refused += 1
            }
        }
        #expect(read > Self.cases / 100, "seed \(seed): hardly any mutation was readable, so the bodies were not tried")
        #expect(refused > Self.cases / 100, "seed \(seed)")
    }

    @Test func randomBytesNeverTrap() {
        var random = SplitMix64(seed: seed)
        for _ in 0..<Self.cases {
            var bytes = ByteBuffer()
            // A right header now and then, or nothing would get past it.
            let length = Int.random(in: 0...64, using: &random)
            let body = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            if Bool.random(using: &random) {
                bytes.writeMultipleIntegers(
                    UInt32(body.count + 3), Frame.version, UInt8.random(in: 0...13, using: &random),
                    UInt8.random(in: 0...1, using: &random))
            }
            bytes.writeBytes(body)
            var splitter = FrameSplitter(maximumLength: 1 << 20)
            splitter.append(bytes)
            while let frame = try? splitter.next() { _ = WireTests.read(frame) }
        }
    }

    /// Whatever a stranger who does not know the secret makes of a recorded handshake, it opens nothing.
    @Test func mutatedHandshakesOpenNothing() throws {
        var random = SplitMix64(seed: seed)
        let secret = try #require(ClusterSecret("a secret of some length"))
        var helloFrame = ByteBuffer()
        Hello(
            identity: NodeIdentity(nodeID: "d", generation: 5, role: .silo), purpose: .gossip, hasSecret: true,
            nonce: nonce(9), advertised: HostAndPort(host: "h", port: 1)
        ).write(to: &helloFrame)
        var proofFrame = ByteBuffer()
        proofFrame.writeFrame(.proof) { $0.writeBytes([UInt8](repeating: 1, count: 32)) }
        let recorded = Array(helloFrame.readableBytesView) + Array(proofFrame.readableBytesView)
        var introduced = 0
        for _ in 0..<Self.cases / 4 {
            var bytes = recorded
            for _ in 0..<Int.random(in: 0...3, using: &random) { WireTests.mutate(&bytes, using: &random) }
            let own = Hello(identity: NodeIdentity(nodeID: "l", role: .silo), purpose: .calls, nonce: nonce(2))
            var listener = Handshake(.listener, hello: own, secret: secret)
            var splitter = FrameSplitter(maximumLength: 1024, takesCompressed: false)
            splitter.append(ByteBuffer(bytes: bytes))
            var output = ByteBuffer()
            while let frame = try? splitter.next() {
                guard let progress = try? listener.receive(frame, to: &output) else { break }
                #expect(progress == .waiting, "seed \(seed)")
                introduced += 1
            }
        }
        #expect(introduced > Self.cases / 100, "seed \(seed): hardly any hello was readable")
    }
}
