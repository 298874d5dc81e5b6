import FuzzSupport
import Membership
import NIOCore
import SeededRandom
import Transport

/// Whatever a stranger who does not know the secret makes of a recorded handshake, it opens nothing.
struct HandshakeFuzzer {
    /// How many strangers got as far as the proof.
    private(set) var introductions = 0
    private let recorded: [UInt8]
    private let listener: Handshake

    init() throws {
        guard let secret = ClusterSecret("a secret of some length") else { throw FuzzFailure("the secret is refused") }
        var bytes = ByteBuffer()
        Samples.hello(.gossip).write(to: &bytes)
        bytes.writeFrame(.proof) { $0.writeBytes([UInt8](repeating: 1, count: 32)) }
        recorded = Array(bytes.readableBytesView)
        let own = Hello(
            identity: NodeIdentity(clusterName: "c", nodeID: "listener", role: .silo), purpose: .calls,
            hasSecret: true, nonce: [UInt8](repeating: 2, count: Hello.nonceLength))
        listener = Handshake(.listener, hello: own, secret: secret)
    }

    mutating func run(_ random: inout SeededGenerator) throws {
        var bytes = recorded
        for _ in 0..<random.below(4) { random.mutate(&bytes) }
        var listener = listener
        var splitter = FrameSplitter(maximumLength: 1024, takesCompressed: false)
        splitter.append(ByteBuffer(bytes: bytes))
        var output = ByteBuffer()
        while let frame = try? splitter.next() {
            guard let progress = try? listener.receive(frame, to: &output) else { return }
            guard progress == .waiting else { throw FuzzFailure("\(bytes) opened a connection: \(progress)") }
            introductions += 1
        }
    }
}
