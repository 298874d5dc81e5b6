import NIOCore
import OrchestraCore
import Testing
import Transport

/// Random and mutated bytes are the business of `Tests/Fuzz/PeerFuzz`.
@Suite struct WireTests {
    /// One frame of each kind, with short and long values.
    static let samples: [ByteBuffer] = {
        var samples: [ByteBuffer] = []
        func add(_ write: (inout ByteBuffer) -> Void) {
            var bytes = ByteBuffer()
            write(&bytes)
            samples.append(bytes)
        }
        for options in 0..<16 { add { CallCodec.write(Self.request(options), id: 7, timeLeft: .seconds(3), to: &$0) } }
        let reply = GrainCallReply(version: .max, payload: [UInt8](repeating: 9, count: 300))
        add { CallCodec.write(reply, id: 1, to: &$0) }
        add { CallCodec.write(OrchestraError(.notFound, "no é", nextStep: "look"), id: 2, to: &$0) }
        add { CallCodec.writeCancel(id: 3, to: &$0) }
        let node = NodeIdentity(clusterName: "c", nodeID: "n", generation: -4, role: .agent)
        let address = HostAndPort(host: "node.example", port: 7600)
        add { Hello(identity: node, purpose: .gossip, nonce: nonce(7), advertised: address).write(to: &$0) }
        add { Refusal(WireError(.wrongCluster, "because")).write(to: &$0) }
        add { $0.writeFrame(.proof) { $0.writeBytes([UInt8](repeating: 5, count: 32)) } }
        add { $0.writeFrame(.message) { $0.writeString("gossip") } }
        add { $0.writeFrame(.ping) }
        add { $0.writeFrame(.goAway) }
        return samples
    }()

    static func request(_ options: Int) -> GrainCallRequest {
        var request = GrainCallRequest(
            requestID: "request-ü", grain: grain("a key/with slashes 🎻"), kind: [.query, .command, .read][options % 3],
            method: "GetStatus", payload: [UInt8](0...255), timeLeft: .seconds(3),
            newerThan: options & 1 != 0 ? .max : nil,
            after: options & 2 != 0 ? .init(topic: "workflow-start-events", offset: 1 << 40) : nil,
            traceParent: options & 4 != 0 ? "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" : nil)
        if options & 8 != 0 { request.hops = 2 }
        if options & 16 != 0 { request.callers = [grain("a"), grain(String(repeating: "🎻", count: 128))] }
        return request
    }

    static func frames(_ bytes: ByteBuffer) throws -> [Frame] {
        var splitter = FrameSplitter(maximumLength: 1 << 20)
        splitter.append(bytes)
        var frames: [Frame] = []
        while let frame = try splitter.next() { frames.append(frame) }
        return frames
    }

    @Test(arguments: 0..<32) func requestsComeBackAsTheyWere(options: Int) throws {
        let sent = Self.request(options)
        var bytes = ByteBuffer()
        CallCodec.write(sent, id: 0xFFFF_FFFF_0000_0001, timeLeft: .microseconds(1_234_567), to: &bytes)
        let frame = try #require(try Self.frames(bytes).first)
        let (id, received) = try CallCodec.readRequest(frame)
        var expected = sent
        expected.timeLeft = .microseconds(1_234_567)
        #expect(id == 0xFFFF_FFFF_0000_0001)
        #expect(received == expected)
    }

    @Test func answersComeBackAsTheyWere() throws {
        var bytes = ByteBuffer()
        let reply = GrainCallReply(version: 12, payload: [0, 255, 0])
        CallCodec.write(reply, id: 1, to: &bytes)
        CallCodec.write(OrchestraError(.conflict, "m", nextStep: "n"), id: 2, to: &bytes)
        CallCodec.write(OrchestraError(.overloaded, ""), id: 3, to: &bytes)
        CallCodec.writeCancel(id: 4, to: &bytes)
        let frames = try Self.frames(bytes)
        #expect(frames.map(\.kind) == [.reply, .error, .error, .cancel])
        let answer = try CallCodec.readReply(frames[0])
        #expect(answer.id == 1 && answer.reply == reply)
        let (id, error) = try CallCodec.readError(frames[1])
        #expect(id == 2 && error.code == .conflict && error.message == "m" && error.nextStep == "n")
        #expect(try CallCodec.readError(frames[2]).error.nextStep == nil)
        #expect(try CallCodec.readCancel(frames[3]) == 4)
    }

    @Test func longErrorTextsAreCutBetweenCharacters() throws {
        var bytes = ByteBuffer()
        CallCodec.write(OrchestraError(.internalError, String(repeating: "🎻", count: 3000)), id: 1, to: &bytes)
        let error = try CallCodec.readError(Self.frames(bytes)[0]).error
        #expect(error.message == String(repeating: "🎻", count: 1024))
        #expect("aé".cut(toUTF8Length: 2) == "a")
        #expect("aé".cut(toUTF8Length: 3) == "aé")
    }

    @Test func timesAreBounded() throws {
        for (given, expected) in [
            (Duration.seconds(-5), Duration.zero), (.seconds(1 << 60), .seconds(86_400)),
            (.nanoseconds(1999), .microseconds(1)),
        ] {
            var bytes = ByteBuffer()
            CallCodec.write(Self.request(0), id: 1, timeLeft: given, to: &bytes)
            #expect(try CallCodec.readRequest(Self.frames(bytes)[0]).request.timeLeft == expected)
        }
    }

    @Test func framesAreFoundHoweverTheBytesArrive() throws {
        var all = ByteBuffer()
        for sample in Self.samples { all.writeImmutableBuffer(sample) }
        let expected = try Self.frames(all)
        #expect(expected.count == Self.samples.count)
        for step in [1, 2, 3, 7, 64, 1000] {
            var splitter = FrameSplitter(maximumLength: 1 << 20)
            var rest = all
            var frames: [Frame] = []
            while rest.readableBytes > 0 {
                if let bytes = rest.readSlice(length: min(step, rest.readableBytes)) { splitter.append(bytes) }
                while let frame = try splitter.next() { frames.append(frame) }
            }
            #expect(frames == expected, "in steps of \(step)")
            #expect(splitter.unfinishedBytes == 0)
        }
    }

    @Test(
        arguments: [
            [0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0x10, 0, 1], Array("GET / HTTP/1.1\r\n".utf8),
        ] as [[UInt8]])
    func badLengthsAreRefusedAtOnce(bytes: [UInt8]) {
        var splitter = FrameSplitter(maximumLength: 1 << 20)
        splitter.append(ByteBuffer(bytes: bytes))
        #expect { try splitter.next() } throws: { ($0 as? WireError)?.kind == .badLength }
    }

    @Test(arguments: [[0, 0, 0, 3, 1, 0, 0], [0, 0, 0, 3, 1, 200, 0], [0, 0, 0, 3, 1, 8, 2]] as [[UInt8]])
    func unknownKindsAndFlagsAreRefused(bytes: [UInt8]) {
        var splitter = FrameSplitter(maximumLength: 1 << 20)
        splitter.append(ByteBuffer(bytes: bytes))
        #expect { try splitter.next() } throws: { ($0 as? WireError)?.kind == .badKind }
    }

    @Test func anotherLayoutIsRefused() {
        var splitter = FrameSplitter(maximumLength: 1 << 20)
        splitter.append(ByteBuffer(bytes: [0, 0, 0, 3, 2, 5, 0]))
        #expect { try splitter.next() } throws: { ($0 as? WireError)?.kind == .incompatible }
    }

    @Test func tlsIsToldApartFromNoise() {
        var splitter = FrameSplitter(maximumLength: 1 << 20)
        splitter.append(ByteBuffer(bytes: [0x16, 0x03, 0x01, 0x02, 0x00, 0x01]))
        #expect { try splitter.next() } throws: { "\($0)".contains("speaks TLS") }
    }

    /// Every cut of a body is refused or, where only the payload is shorter, read: never a trap.
    @Test func cutBodiesAreRefused() throws {
        for sample in Self.samples {
            let frame = try #require(try Self.frames(sample).first)
            for length in 0..<frame.body.readableBytes {
                let body = try #require(frame.body.getSlice(at: frame.body.readerIndex, length: length))
                let cut = Frame(kind: frame.kind, body: body)
                let isRead = Self.read(cut)
                let mayBeShorter = [.request, .reply, .proof, .message].contains(frame.kind)
                #expect(!isRead || mayBeShorter, "\(frame.kind) of \(length) bytes")
            }
        }
    }

    /// Whether the reader of this kind takes the frame.
    static func read(_ frame: Frame) -> Bool {
        switch frame.kind {
        case .hello: (try? Hello(from: frame)) != nil
        case .refusal: (try? Refusal(from: frame)) != nil
        case .request: (try? CallCodec.readRequest(frame)) != nil
        case .reply: (try? CallCodec.readReply(frame)) != nil
        case .error: (try? CallCodec.readError(frame)) != nil
        case .cancel: (try? CallCodec.readCancel(frame)) != nil
        case .goAway, .ping, .pong, .proof, .welcome, .message: true
        }
    }
}

@Suite struct HelloTests {
    private func hello(_ cluster: String, _ versions: ClosedRange<UInt16>) -> Hello {
        Hello(
            identity: NodeIdentity(clusterName: cluster, nodeID: "n-\(cluster)-\(versions)", role: .silo),
            versions: versions, purpose: .calls, nonce: nonce(1))
    }

    @Test func comesBackAsItWasAndLeavesRoomForMore() throws {
        let sent = Hello(
            identity: NodeIdentity(clusterName: "prod", nodeID: "silo-1", generation: 1 << 41, role: .gateway),
            versions: 1...9, purpose: .gossip, hasSecret: true, nonce: nonce(3),
            advertised: HostAndPort(host: "10.0.0.1", port: 7600))
        var bytes = ByteBuffer()
        sent.write(to: &bytes)
        #expect(try Hello(from: WireTests.frames(bytes)[0]) == sent)
        var frame = try WireTests.frames(bytes)[0]
        frame.body.writeString("what a later version adds")
        #expect(try Hello(from: frame) == sent)
    }

    @Test func theHighestCommonVersionIsSpoken() throws {
        #expect(try hello("c", 1...3).agree(with: hello("c", 2...5)) == 3)
        #expect(try hello("c", 2...2).agree(with: hello("c", 1...2)) == 2)
    }

    @Test func othersAreRefusedWithBothSidesValues() {
        #expect { try hello("c", 1...1).agree(with: hello("c", 2...3)) } throws: {
            ($0 as? WireError)?.kind == .incompatible && "\($0)".contains("2 to 3") && "\($0)".contains("1 to 1")
        }
        #expect { try hello("a", 1...1).agree(with: hello("b", 1...1)) } throws: {
            ($0 as? WireError)?.kind == .wrongCluster && "\($0)".contains("\"a\"") && "\($0)".contains("\"b\"")
        }
    }
}
