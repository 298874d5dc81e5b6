import Foundation
import GRDB
import NIOCore
import Testing

@testable import LocalBroker

@Suite("Retention and compaction")
struct MaintenanceTests {
    private func withQuickBroker(
        _ body: (_ port: Int, _ client: TestClient) async throws -> Void
    ) async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.maintenanceInterval = .milliseconds(20)
        } _: { port, client in
            try await body(port, client)
        }
    }

    private var now: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

    @Test("old batches go, newer stay, the log start says so")
    func time() async throws {
        try await withQuickBroker { _, client in
            try await client.createTopic("t", ["retention.ms": "60000"])
            for age in [200_000, 100_000, 0, 150_000] {
                try await client.produce("t", .of([TestRecord("k", "\(age)")], timestamp: now - Int64(age)))
            }
            try await eventually("the log starts at 2") { try await client.listOffset("t", -2) == 2 }
            #expect(try await client.fetch("t", from: 1).error == .offsetOutOfRange)
            #expect(try await client.readAll("t", from: 2) == ["2 k=0", "3 k=150000"])
        }
    }

    @Test("a partition keeps to its size")
    func size() async throws {
        try await withQuickBroker { _, client in
            try await client.createTopic("t", ["retention.bytes": "5000", "retention.ms": "-1"])
            for _ in 0..<10 { try await client.produce("t", .of(String(repeating: "x", count: 1_000))) }
            try await eventually("about 5000 bytes are left") { try await client.listOffset("t", -2) == 5 }
            #expect(try await client.readAll("t", from: 5).count == 5)
        }
    }

    @Test("a log that has gone altogether goes on where it ended, also after a restart")
    func everything() async throws {
        let directory = TemporaryDirectory()
        for round in 0..<2 {
            try await withBroker(in: directory.path) { configuration in
                configuration.maintenanceInterval = .milliseconds(20)
            } _: { _, client in
                if round == 0 {
                    try await client.createTopic("t", ["retention.ms": "1"])
                    for _ in 0..<3 { try await client.produce("t", .of([TestRecord(nil, "old")], timestamp: 1)) }
                    try await eventually("the log is empty") { try await client.listOffset("t", -2) == 3 }
                } else {
                    #expect(try await client.listOffset("t", -1) == 3)
                    #expect(try await client.produce("t", .of("new")).baseOffset == 3)
                }
            }
        }
    }

    @Test("of each key the newest record stays; tombstones go in the end; nothing open is touched")
    func compaction() async throws {
        try await withQuickBroker { port, client in
            try await client.createTopic(
                "t", ["cleanup.policy": "compact", "delete.retention.ms": "100", "min.cleanable.dirty.ratio": "0"])
            for round in 0..<5 {
                for key in ["a", "b", "c"] { try await client.produce("t", .of([TestRecord(key, "\(round)")])) }
            }
            try await client.produce("t", .of([TestRecord("a", nil)]))
            try await client.produce("t", .of([TestRecord("end", "1")]))
            try await eventually("only b, c and the end are left") {
                try await client.readAll("t") == ["13 b=4", "14 c=4", "16 end=1"]
            }
            #expect(try await client.listOffset("t", -1) == 17)
        }
    }

    @Test("a record stays uncompacted for min.compaction.lag.ms")
    func compactionLag() async throws {
        try await withQuickBroker { _, client in
            try await client.createTopic(
                "t",
                ["cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "min.compaction.lag.ms": "60000"])
            for age: Int64 in [200_000, 150_000, 100_000, 1_000, 0] {
                try await client.produce("t", .of([TestRecord("k", "\(age)")], timestamp: now - age))
            }
            try await eventually("of the old records the newest is left") {
                try await client.readAll("t") == ["2 k=100000", "3 k=1000", "4 k=0"]
            }
        }
    }

    @Test(
        "abort markers go after delete.retention.ms, with their entries in the aborted list; what was committed stays")
    func abortMarkers() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.maintenanceInterval = .milliseconds(20)
        } _: { _, client in
            try await client.createTopic(
                "t", ["cleanup.policy": "compact", "delete.retention.ms": "50", "min.cleanable.dirty.ratio": "0"])
            var producer = TransactionalProducer(client: client, transactionalID: "x")
            try await producer.initialize()
            for (value, commits) in [("a", false), ("b", true), ("c", false), ("d", true)] {
                #expect(try await producer.add("t") == KafkaErrorCode.none)
                #expect(try await producer.produce("t", value) == .none)
                #expect(try await producer.end(commits: commits) == .none)
            }
            try await client.produce("t", .of([TestRecord("end", "1")]))
            try await eventually("only the committed record and the end are left") {
                guard case .slice(let slice) = try await client.fetch("t", from: 0).records else { return false }
                return TestRecord.batches(Array(slice.readableBytesView)).map(\.header.baseOffset) == [6, 8]
            }
            let fetched = try await client.fetch("t", from: 0)
            #expect(fetched.abortedTransactions?.isEmpty == true)
            #expect(try await client.readAll("t") == ["6 k=d", "8 end=1"])
        }
        let report = try BrokerCheck.run(directory: directory.path)
        #expect(report.problems == [])
    }

    @Test("the garbage of deleted topics is collected")
    func garbage() async throws {
        let directory = TemporaryDirectory()
        try await withBroker(in: directory.path) { configuration in
            configuration.maintenanceInterval = .milliseconds(20)
        } _: { _, client in
            try await client.createTopic("t")
            for _ in 0..<10 { try await client.produce("t", .of("x")) }
            _ = try await client.call(DeleteTopicsRequest(names: ["t"]))
        }
        let broker = try BrokerDatabase.open(directory: directory.path, syncsToDisk: false)
        let (batches, garbage) = try await broker.pool.read { database in
            let batches = try SQLiteStatement("SELECT COUNT(*) FROM batch", in: database)
            let garbage = try SQLiteStatement("SELECT COUNT(*) FROM garbage", in: database)
            _ = try batches.step()
            _ = try garbage.step()
            defer {
                batches.reset()
                garbage.reset()
            }
            return (batches.integer(0), garbage.integer(0))
        }
        #expect(batches == 0 || garbage == 1)
    }
}
