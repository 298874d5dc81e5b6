import Membership
import NIOCore
import OrchestraCore
import SeededRandom
import Transport

/// What well-behaved peers send: the material of mutations.
enum Samples {
    /// One frame of each kind, with short and long values, and compressed ones.
    static let frames: [[UInt8]] = {
        var samples: [[UInt8]] = []
        func add(_ write: (inout ByteBuffer) -> Void) {
            var bytes = ByteBuffer()
            write(&bytes)
            samples.append(Array(bytes.readableBytesView))
        }
        for options in 0..<32 { add { CallCodec.write(request(options), id: 7, timeLeft: .seconds(3), to: &$0) } }
        let reply = GrainCallReply(version: .max, payload: [UInt8](repeating: 9, count: 300))
        add { CallCodec.write(reply, id: 1, to: &$0) }
        add { CallCodec.write(OrchestraError(.notFound, "no é", nextStep: "look"), id: 2, to: &$0) }
        add { CallCodec.writeCancel(id: 3, to: &$0) }
        add { hello(.gossip).write(to: &$0) }
        add { Refusal(WireError(.wrongCluster, "because")).write(to: &$0) }
        add { $0.writeFrame(.proof) { $0.writeBytes([UInt8](repeating: 5, count: 32)) } }
        add { $0.writeFrame(.message) { $0.writeString("gossip") } }
        add { $0.writeFrame(.ping) }
        add { $0.writeFrame(.goAway) }
        for size in [100, 3000] {
            add { buffer in
                buffer.writeFrame(.message) { $0.writeRepeatingByte(7, count: size) }
                FrameCompression.fold(&buffer, frameAt: 0, threshold: 64)
            }
        }
        return samples
    }()

    static func hello(_ purpose: ConnectionPurpose) -> Hello {
        Hello(
            identity: NodeIdentity(clusterName: "c", nodeID: "dialer", generation: 5, role: .silo), purpose: purpose,
            hasSecret: true, nonce: [UInt8](repeating: 9, count: Hello.nonceLength),
            advertised: HostAndPort(host: "node.example", port: 7600))
    }

    private static func request(_ options: Int) -> GrainCallRequest {
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

    private static func grain(_ key: String) -> GrainID {
        // A constant of this file: if it is refused, the fuzzer itself is wrong.
        do { return try GrainID(type: "test", key: key) } catch { fatalError("\(error)") }
    }
}

// MARK: - Membership

extension Samples {
    /// Messages of all kinds about the members of ``MessageFuzzer``'s cluster and about others.
    static let messages: [[UInt8]] = {
        var random = SeededGenerator(seed: 7)
        return (0..<256).map { _ in MessageCodec.encode(message(&random)) }
    }()

    private static func message(_ random: inout SeededGenerator) -> Message {
        let sequence = UInt32(random.below(4))
        let records = (0..<random.below(5)).map { _ in record(&random) }
        let buckets = (0..<random.below(9)).map { UInt8($0 * 20) }
        let digests = (0..<MemberTable.bucketCount).map { _ in UInt32(truncatingIfNeeded: random.next()) }
        let bodies: [Message.Body] = [
            .ping(sequence: sequence), .ack(sequence: sequence),
            .pingRequest(sequence: sequence, subject: name(&random)),
            .pingReport(sequence: sequence, answered: random.below(2) == 0), .gossip, .syncOffer(count: sequence),
            .syncDigests(count: sequence, digests: random.below(2) == 0 ? [] : digests),
            .syncExchange(buckets: buckets, records: records), .syncReply(buckets: buckets, records: records),
            .refused(generation: UInt64(random.below(3))),
        ]
        let news = (0..<random.below(6)).map { _ in
            News(
                record: record(&random),
                accusations: (0..<random.below(4)).map {
                    Accusation(accuser: NodeID("node-\($0)"), isRefusal: random.below(2) == 0)
                })
        }
        return Message(
            generation: UInt64(1 + random.below(2)), digest: random.next(), news: news,
            body: bodies[random.below(bodies.count)])
    }

    private static func name(_ random: inout SeededGenerator) -> NodeID {
        NodeID("node-\(random.below(2 * MessageFuzzer.memberCount))")
    }

    private static func record(_ random: inout SeededGenerator) -> MemberRecord {
        let status = MemberStatus.allCases[random.below(4)]
        let description = MemberDescription(
            role: MemberRole.allCases[random.below(3)],
            address: NodeAddress(host: "10.0.0.\(random.below(256))", port: UInt16(random.below(65_536))),
            protocolVersions: 1...UInt8(1 + random.below(9)), weight: UInt16(random.below(1000)),
            load: UInt8(random.below(256)),
            labels: (0..<random.below(3)).map { .init(name: "label \($0)", value: "grün \(random.below(99))") })
        return MemberRecord(
            id: name(&random), generation: UInt64(1 + random.below(2)), incarnation: UInt32(random.below(3)),
            status: status, description: status == .alive || random.below(2) == 0 ? description : nil)
    }
}
