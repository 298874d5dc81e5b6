import NIOCore
import OrchestraCore
import Testing
import Transport

/// The handshake without sockets.
@Suite struct HandshakeTests {
    private static let secret = ClusterSecret("the secret of this cluster")

    private static func hello(
        _ nodeID: String, _ purpose: ConnectionPurpose = .gossip, cluster: String = "c", generation: Int64 = 1,
        versions: ClosedRange<UInt16> = 1...1, nonce byte: UInt8 = 1
    ) -> Hello {
        Hello(
            identity: NodeIdentity(clusterName: cluster, nodeID: nodeID, generation: generation, role: .silo),
            versions: versions, purpose: purpose, nonce: nonce(byte),
            advertised: HostAndPort(host: nodeID, port: 7600))
    }

    /// What each side made of it.
    private struct Result {
        var dialer: RemoteNode?
        var listener: RemoteNode?
        var dialerError: WireError?
        var listenerError: WireError?
        /// What crossed, by kind.
        var frames: [Frame.Kind] = []
    }

    /// Runs both sides to the end; a side that fails sends its refusal.
    private static func run(
        _ dialer: Handshake, _ listener: Handshake, tamper: (inout Frame) -> Void = { _ in }
    ) throws -> Result {
        var dialer = dialer
        var listener = listener
        var result = Result()
        var toListener = ByteBuffer()
        var toDialer = ByteBuffer()
        dialer.begin(to: &toListener)
        for _ in 0..<8 where toListener.readableBytes + toDialer.readableBytes > 0 {
            for var frame in try WireTests.frames(toListener) {
                result.frames.append(frame.kind)
                tamper(&frame)
                do throws(WireError) {
                    if case .proven(let peer) = try listener.receive(frame, to: &toDialer) {
                        result.listener = peer
                        listener.welcome(to: &toDialer)
                    }
                } catch {
                    result.listenerError = error
                    if !listener.wasRefused { Refusal(error).write(to: &toDialer) }
                }
            }
            toListener = ByteBuffer()
            for var frame in try WireTests.frames(toDialer) {
                result.frames.append(frame.kind)
                tamper(&frame)
                do throws(WireError) {
                    switch try dialer.receive(frame, to: &toListener) {
                    case .introduced: dialer.prove(to: &toListener)
                    case .opened(let peer): result.dialer = peer
                    case .waiting, .proven: break
                    }
                } catch {
                    result.dialerError = error
                    if !dialer.wasRefused { Refusal(error).write(to: &toListener) }
                }
            }
            toDialer = ByteBuffer()
        }
        return result
    }

    private static func dialer(
        _ hello: Hello = hello("d"), expecting: String? = nil, secret: ClusterSecret? = secret
    ) -> Handshake {
        Handshake(.dialer(expecting: expecting), hello: hello, secret: secret)
    }

    private static func listener(
        _ hello: Hello = hello("l", .calls, nonce: 2), secret: ClusterSecret? = secret
    ) -> Handshake {
        Handshake(.listener, hello: hello, secret: secret)
    }

    @Test(arguments: [ClusterSecret("the secret of this cluster"), nil])
    func twoNodesOfAClusterComeTogether(secret: ClusterSecret?) throws {
        let result = try Self.run(Self.dialer(expecting: "l", secret: secret), Self.listener(secret: secret))
        #expect(result.frames == [.hello, .hello, .proof, .welcome])
        #expect(result.dialer?.identity.nodeID == "l" && result.listener?.identity.nodeID == "d")
        #expect(result.listener?.purpose == .gossip && result.dialer?.purpose == .gossip)
        #expect(result.listener?.advertised == HostAndPort(host: "d", port: 7600))
        #expect(result.listener?.identity.generation == 1 && result.dialer?.version == 1)
    }

    private static let strangers: [(Handshake, Handshake, WireError.Kind)] = [
        (dialer(hello("d", cluster: "other")), listener(), .wrongCluster),
        (dialer(hello("d", versions: 2...3)), listener(), .incompatible),
        (dialer(secret: ClusterSecret("another secret altogether")), listener(), .wrongSecret),
        (dialer(secret: nil), listener(), .wrongSecret),
        (dialer(), listener(secret: nil), .wrongSecret),
        (dialer(hello("l")), listener(), .itself),
        (dialer(expecting: "x"), listener(), .wrongNode),
    ]

    @Test(arguments: strangers.indices) func othersAreRefusedAndBothSidesKnowWhy(index: Int) throws {
        let (dialer, listener, kind) = Self.strangers[index]
        let result = try Self.run(dialer, listener)
        #expect(result.dialerError?.kind == kind)
        #expect(result.listenerError?.kind == kind)
        #expect(result.dialer == nil && result.listener == nil)
        #expect(result.frames.last == .refusal)
    }

    @Test func aRestartedNodeMayDialItsPredecessor() throws {
        #expect(try Self.run(Self.dialer(Self.hello("l", generation: 2)), Self.listener()).dialer != nil)
    }

    /// Nothing that either side said can be changed on the way.
    @Test func whatWasSaidIsCovered() throws {
        for (kind, isDialers) in [(Frame.Kind.hello, true), (.hello, false), (.proof, true), (.welcome, false)] {
            // A hello of these nodes, and a proof, to the last byte.
            let length = kind == .hello ? 59 : 32
            for place in 0..<length {
                var seen = 0
                let result = try Self.run(Self.dialer(), Self.listener()) { frame in
                    defer { seen += frame.kind == kind ? 1 : 0 }
                    guard frame.kind == kind, kind != .hello || seen == (isDialers ? 0 : 1),
                        let byte = frame.body.getInteger(at: frame.body.readerIndex + place, as: UInt8.self)
                    else { return }
                    frame.body.setInteger(byte ^ 1, at: frame.body.readerIndex + place)
                }
                #expect(result.dialer == nil, "byte \(place) of \(kind)")
            }
        }
    }

    /// What a later version adds to its hello is covered too.
    @Test func unknownFieldsAreCovered() throws {
        let result = try Self.run(Self.dialer(), Self.listener()) { frame in
            if frame.kind == .hello { frame.body.writeString("more") }
        }
        #expect(result.listenerError?.kind == .wrongSecret)
    }

    /// A proof is worth nothing in the other direction or on another connection.
    @Test func proofsCannotBeReflectedOrReplayed() throws {
        var recorded: Frame?
        _ = try Self.run(Self.dialer(), Self.listener()) { frame in if frame.kind == .proof { recorded = frame } }
        let proof = try #require(recorded)
        let reflected = try Self.run(Self.dialer(), Self.listener()) { frame in
            if frame.kind == .welcome { frame.body = proof.body }
        }
        #expect(reflected.dialerError?.kind == .wrongSecret)
        let replayed = try Self.run(
            Self.dialer(secret: ClusterSecret("a guess at the secret")),
            Self.listener(Self.hello("l", .calls, nonce: 3))
        ) { frame in
            if frame.kind == .proof { frame.body = proof.body }
        }
        #expect(replayed.listenerError?.kind == .wrongSecret && replayed.listener == nil)
    }

    @Test(arguments: [Frame.Kind.request, .message, .welcome, .ping, .goAway, .proof])
    func nothingElseComesFirst(kind: Frame.Kind) {
        var listener = Self.listener()
        var output = ByteBuffer()
        #expect(throws: WireError.self) { try listener.receive(Frame(kind: kind), to: &output) }
        #expect(throws: WireError.self, "and it is over") {
            var hello = ByteBuffer()
            Self.hello("d").write(to: &hello)
            _ = try listener.receive(WireTests.frames(hello)[0], to: &output)
        }
    }

    @Test func secretsAreLongAndNeverPrinted() throws {
        #expect(ClusterSecret("short") == nil)
        let secret = try #require(Self.secret)
        #expect("\(secret)" == "(secret)" && String(reflecting: secret) == "(secret)")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("cluster"))
    }
}
