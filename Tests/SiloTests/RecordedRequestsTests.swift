import EventLog
import OrchestraCore
import Records
import Testing

@testable import Silo

@Suite(.timeLimit(.minutes(2))) struct RecordedRequestsTests {
    private let start = Timestamp(millisecondsSinceEpoch: 1_000_000)

    private func limits(_ change: (inout GrainLimits) -> Void = { _ in }) -> GrainLimits {
        var limits = GrainLimits()
        limits.openRequests = 4
        change(&limits)
        return limits
    }

    /// A grain that is asked once a second, in a commit each.
    private func asked(_ count: Int, limits: GrainLimits) throws -> RecordedRequests {
        var requests = RecordedRequests()
        for number in 0..<count {
            let now = start.advanced(by: .seconds(number))
            try requests.makeRoom(at: now, limits: limits)
            requests.record("r\(number)", reply: [UInt8(number)], at: now)
            requests.seal(sequence: Int64(number), limits: limits)
        }
        return requests
    }

    @Test func requestsBeyondTheWindowAreForgotten() throws {
        let limits = GrainLimits()
        var requests = RecordedRequests()
        requests.record("r", reply: [1], at: start)
        #expect(requests.reply(to: "r", at: start.advanced(by: .seconds(86_399)), limits: limits) == [1])
        #expect(requests.reply(to: "r", at: start.advanced(by: .seconds(86_400)), limits: limits) == nil)
        try requests.makeRoom(at: start.advanced(by: .seconds(86_400)), limits: limits)
        #expect(requests.count == 0)
    }

    @Test func manyRequestsAreSealed() throws {
        let requests = try asked(10, limits: limits())
        #expect(requests.sealed.map(\.sequence) == [3, 7])
        #expect(requests.sealed.map { $0.requests.map(\.requestId) }.first == ["r0", "r1", "r2", "r3"])
        #expect(requests.open.map(\.requestId) == ["r8", "r9"])
        for number in 0..<10 {
            #expect(
                requests.reply(to: "r\(number)", at: start.advanced(by: .seconds(10)), limits: limits())
                    == [UInt8(number)])
        }
        #expect(requests.reply(to: "r10", at: start, limits: limits()) == nil)
    }

    @Test func largeRepliesAreSealedEarly() {
        var requests = RecordedRequests()
        requests.record("r", reply: Array(repeating: 0, count: 20 << 10), at: start)
        requests.seal(sequence: 1, limits: limits())
        #expect(requests.open.isEmpty)
        #expect(requests.changes.sealed?.replyBytes == 20 << 10)
    }

    @Test func theOldestAreForgottenTogether() throws {
        let limits = limits { $0.maximumRequests = 20 }
        let requests = try asked(30, limits: limits)
        #expect(requests.changes.forgotten == [3, 7, 11])
        #expect(requests.count == 18)
        #expect(requests.reply(to: "r11", at: start.advanced(by: .seconds(30)), limits: limits) == nil)
        #expect(requests.reply(to: "r12", at: start.advanced(by: .seconds(30)), limits: limits) == [12])
    }

    @Test func sealedRequestsExpireTogether() throws {
        let limits = limits { $0.requestWindow = .seconds(20) }
        var requests = try asked(10, limits: limits)
        let later = start.advanced(by: .seconds(23))
        #expect(requests.reply(to: "r2", at: later, limits: limits) == nil, "beyond the window, whatever is kept")
        try requests.makeRoom(at: later, limits: limits)
        #expect(requests.count == 6)
        try requests.makeRoom(at: start.advanced(by: .seconds(60)), limits: limits)
        #expect(requests.count == 0)
        #expect(requests.changes.forgotten == [3, 7])
    }

    @Test func youngRequestsAreNotForgotten() throws {
        let limits = limits { $0.maximumRequests = 8 }
        var requests = try asked(8, limits: limits)
        #expect(throws: OrchestraError.self) {
            try requests.makeRoom(at: start.advanced(by: .seconds(7)), limits: limits)
        }
        #expect(requests.count == 8)
        try requests.makeRoom(at: start.advanced(by: .seconds(13)), limits: limits)
        #expect(requests.count == 4)
    }

    @Test func aBusyGrainWritesEachRequestOnceOrTwice() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let bench = try PartitionBench(log: log, codec: codec) { $0.openRequests = 4 }
        try await bench.serve { bench in
            for number in 0..<21 { _ = try await bench.grain("a").send(Add(amount: 1), requestID: "r\(number)") }
        }
        let records = try log.records(Topics.state).compactMap { record in
            if case .grain = ChangelogKey(record.key ?? []) {
                try codec.read(GrainStateRecord.self, record)
            } else {
                nil
            }
        }
        #expect(records.map(\.requests.count).max() == 3)
        let next = try PartitionBench(log: log, codec: codec) { $0.openRequests = 4 }
        try await next.serve { bench in
            try await bench.idle()
            for number in 0..<21 {
                #expect(try await bench.grain("a").send(Add(amount: 1), requestID: "r\(number)") == number + 1)
            }
            #expect(try await bench.total("a") == 21)
        }
    }

    @Test func aGrainTakesItsSealedRequestsToItsGraveAndBeyond() async throws {
        let bench = try PartitionBench { $0.openRequests = 2 }
        try await bench.serve { bench in
            for number in 0..<4 { _ = try await bench.grain("a").send(Add(amount: 1), requestID: "r\(number)") }
            _ = try await bench.grain("a").send(Finish(), requestID: "finish")
            #expect(try await bench.grain("a").send(Add(amount: 1), requestID: "r0") == 1)
            bench.clock.advance(.seconds(86_401))
            let grain = try GrainID(type: "counter", key: "a")
            try await eventually("it is buried") { bench.committed(grain) == nil }
        }
        var live: [[UInt8]: [UInt8]] = [:]
        for record in bench.log.records(Topics.state) { live[record.key ?? []] = record.value }
        let requests = live.keys.filter { if case .requests = ChangelogKey($0) { true } else { false } }
        #expect(requests.isEmpty)
    }

    @Test func aDamagedChunkQuarantinesItsGrain() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let first = try PartitionBench(log: log, codec: codec) { $0.openRequests = 2 }
        try await first.serve { bench in
            for key in ["a", "b"] { _ = try await bench.grain(key).send(Add(amount: 1)) }
        }
        let key = ChangelogKey.requests(try GrainID(type: "counter", key: "a"), sequence: 1)
        log.append(ProducerRecord(topic: Topics.state, partition: 0, key: key.bytes, value: [9, 9]))
        let second = try PartitionBench(log: log, codec: codec)
        try await second.serve { bench in
            try await bench.idle()
            await expectCode(.quarantined) { _ = try await bench.grain("a").send(Add(amount: 1)) }
            #expect(try await bench.total("a") == 1, "queries need no requests")
            #expect(try await bench.grain("b").send(Add(amount: 1)) == 2)
        }
    }

    @Test(arguments: ["\0requests/", "\0requests/1", "\0requests/x/counter/a", "\0requests/1/counter", "\0requests//"])
    func damagedKeysAreUnknown(_ text: String) {
        #expect(ChangelogKey(Array(text.utf8)) == .unknown(Array(text.utf8)))
    }

    @Test func keysRoundTrip() throws {
        let key = ChangelogKey.requests(try GrainID(type: "counter", key: "a/b/\u{1F600}"), sequence: .max)
        #expect(ChangelogKey(key.bytes) == key)
    }
}
