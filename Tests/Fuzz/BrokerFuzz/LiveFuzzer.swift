#if DEBUG
    import Foundation
    import FuzzSupport
    import Glibc
    import Logging
    import NIOCore
    import OrchestraCore
    import SeededRandom

    @testable import LocalBroker

    /// Sends frames to a running broker: each case is one connection with up to twenty requests. The record that was
    /// written before must be there afterwards, alone.
    final class LiveFuzzer {
        private let directory: String
        private let broker: Task<Void, any Error>
        private let port: Int
        private static let topic = "precious"

        init() async throws {
            directory = FileManager.default.temporaryDirectory.appendingPathComponent("fuzz-\(UUID().uuidString)").path
            let broker = try LocalBroker(
                LocalBrokerConfiguration(dataDirectory: directory),
                logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() })
            self.broker = Task { try await broker.run() }
            port = try await broker.boundPort()
            _ = try exchange(
                Self.frame(
                    CreateTopicsRequest(topics: [
                        CreatableTopic(name: Self.topic, partitionCount: 1, replicationFactor: 1)
                    ])))
            let good = RecordBatch.build(
                records: [14, 0, 0, 0, 1, 2, 120, 0], recordCount: 1, lastOffsetDelta: 0, baseOffset: 0, attributes: 0,
                baseTimestamp: 0, maximumTimestamp: 0, producer: .none, baseSequence: -1)
            _ = try exchange(Self.frame(Self.produce(good.bytes, to: Self.topic)))
        }

        func run(_ random: inout SeededGenerator) async throws {
            let socket = try connect()
            defer { close(socket) }
            for _ in 0...random.below(20) {
                var frame = Self.request(&random)
                if random.below(4) == 0 { random.mutate(&frame) }
                let sent = frame.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                guard sent == frame.count else { return }  // The broker has closed: its right.
            }
        }

        /// The broker still answers, and the record is what it was.
        func finish() async throws {
            let listed = try exchange(
                Self.frame(
                    ListOffsetsRequest(topics: [
                        ListOffsetsTopic(name: Self.topic, partitions: [ListOffsetsPartition(index: 0, timestamp: -1)])
                    ])))
            // The answer ends with the offset and the leader epoch.
            let end = listed.dropLast(4).suffix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
            guard end == 1 else { throw FuzzFailure("the topic ends at \(end), not at 1") }
            broker.cancel()
            try? await broker.value
            try? FileManager.default.removeItem(atPath: directory)
        }

        // MARK: Frames

        /// A header that is right, and a body as the request fuzzer makes it, or a produce request to a topic that does
        /// not exist.
        private static func request(_ random: inout SeededGenerator) -> [UInt8] {
            if random.below(3) == 0 {
                var batch = BatchFuzzer.batch(&random)
                random.mutate(&batch)
                return frame(produce(batch, to: "nowhere"))
            }
            let api = API.all[random.below(API.all.count)]
            let version = api.versions.lowerBound + Int16(random.below(api.versions.count))
            var bytes: [UInt8] = []
            bytes.append(bigEndian: api.key.rawValue)
            bytes.append(bigEndian: version)
            bytes.append(bigEndian: Int32(1))
            bytes.append(bigEndian: Int16(-1))
            if api.isFlexible(version) { bytes.append(0) }
            return framed(bytes + RequestFuzzer.body(&random))
        }

        private static func produce(_ batch: [UInt8], to topic: String) -> ProduceRequest {
            ProduceRequest(
                acks: -1, timeoutMilliseconds: 1000,
                topics: [ProduceTopic(name: topic, partitions: [ProducePartition(records: .batches([batch]))])])
        }

        /// A whole frame in the highest version that is not flexible.
        private static func frame<Request: WireRequest>(_ request: Request) -> [UInt8] {
            let version = min(Request.api.versions.upperBound, Request.api.flexibleSince - 1)
            var request = request
            var wire = WireCodec(writingTo: ByteBuffer(), version: version, isFlexible: false)
            var header = RequestHeader(
                apiKey: Request.api.key.rawValue, apiVersion: version, correlationID: 1, clientID: "fuzz")
            do throws(WireError) {
                try header.fields(&wire)
                try wire.structure(&request)
            } catch {
                preconditionFailure("\(error)")
            }
            return framed(Array(wire.takeBuffer().readableBytesView))
        }

        private static func framed(_ body: [UInt8]) -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.append(bigEndian: Int32(body.count))
            return bytes + body
        }

        // MARK: Sockets

        private func connect() throws -> Int32 {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
            let status = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard descriptor >= 0, status == 0 else {
                throw FuzzFailure("the broker takes no connection: errno \(errno)")
            }
            var patience = timeval(tv_sec: 10, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
            return descriptor
        }

        /// Sends one frame; returns the answer without its length.
        private func exchange(_ frame: [UInt8]) throws -> [UInt8] {
            let socket = try connect()
            defer { close(socket) }
            _ = frame.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            var answer = [UInt8](repeating: 0, count: 65536)
            var count = 0
            while count < 4 || count < 4 + answer[..<4].reduce(0, { $0 << 8 | Int($1) }) {
                let received = answer.withUnsafeMutableBytes {
                    recv(socket, $0.baseAddress! + count, $0.count - count, 0)
                }
                guard received > 0 else { throw FuzzFailure("the broker does not answer: errno \(errno)") }
                count += received
            }
            return Array(answer[4..<count])
        }
    }
#endif
