import HTTPTypes
import NIOCore
import OrchestraCore
import SeededRandom
import Testing

@testable import Gateway

@Suite struct ValueTests {
    @Test(arguments: [
        ("30s", Duration.seconds(30)), ("500ms", .milliseconds(500)), ("0", .zero), ("7", .seconds(7)),
        ("60s", .seconds(60)),
    ])
    func waitsAreRead(text: String, expected: Duration) throws {
        #expect(try WaitParameter.read(query: "wait=\(text)", maximum: .seconds(60)) == expected)
    }

    @Test(arguments: [
        "wait=61s", "wait=-1", "wait=", "wait", "wait=s", "wait=1m", "wait=1.5s", "wait=1s&wait=1s", "x=1",
        "wait=99999999999999999999", "wait=%zz",
    ])
    func otherWaitsAreRefused(query: String) {
        #expect { try WaitParameter.read(query: query, maximum: .seconds(60)) } throws: {
            ($0 as? Problem)?.status == .badRequest
        }
    }

    @Test func noWaitIsNone() throws {
        #expect(try WaitParameter.read(query: nil, maximum: .seconds(60)) == nil)
        #expect(try WaitParameter.read(query: "", maximum: .seconds(60)) == nil)
    }

    @Test func routesAreFound() throws {
        #expect(try Route(method: .post, path: "/v1/workflows") == .trigger)
        #expect(try Route(method: .head, path: "/v1/workflows/a%2Fb") == .status(workflowID: "a/b"))
        #expect(try Route(method: .delete, path: "/v1/workflows/x") == .cancel(workflowID: "x"))
        #expect(try Route(method: .post, path: "/v1/workflows/x/cancel") == .cancel(workflowID: "x"))
        #expect(try Route(method: .get, path: "/health/ready") == .ready)
    }

    @Test(arguments: [
        "/", "", "/v1", "/v1/workflows/", "/v1/workflows//cancel/x", "/v1/workflows/x/y", "/health", "//v1",
    ])
    func otherPathsAreNotFound(path: String) {
        #expect { try Route(method: .get, path: path) } throws: { ($0 as? Problem)?.status == .notFound }
    }

    @Test(arguments: ["%", "%4", "%zz", "%00", "%ff", String(repeating: "x", count: 513)])
    func impossibleWorkflowIDsAreRefused(id: String) {
        #expect { try Route(method: .get, path: "/v1/workflows/\(id)") } throws: {
            ($0 as? Problem)?.status == .badRequest
        }
    }

    @Test func otherMethodsAreToldWhatIsAllowed() {
        #expect { try Route(method: .put, path: "/v1/workflows/x") } throws: {
            ($0 as? Problem)?.status == .methodNotAllowed && ($0 as? Problem)?.allow == "DELETE, GET, HEAD"
        }
        #expect { try Route(method: .get, path: "/v1/workflows") } throws: { ($0 as? Problem)?.allow == "POST" }
    }

    @Test func idsOfKeysAreStable() {
        let id = WorkflowIdentity.id(forKey: "order-17")
        #expect(id == WorkflowIdentity.id(forKey: "order-17"))
        #expect(id != WorkflowIdentity.id(forKey: "order-18"))
        #expect(id.count == 64 && id.allSatisfy { $0.isHexDigit && !$0.isUppercase })
        // Pinned: another value would make every key a new workflow after an upgrade.
        #expect(WorkflowIdentity.id(forKey: "a") == "69fa6eaea059363529a2428613a4dc39ec7eaf1ca427bab038158e0799c2306d")
    }

    @Test func randomIDsAreVersion7() {
        var random = SeededGenerator(seed: 3)
        let ids = WorkflowIDSource(partitionCount: 16)
        let early = ids.next(now: Timestamp(millisecondsSinceEpoch: 1_000_000), using: &random)
        let late = ids.next(now: Timestamp(millisecondsSinceEpoch: 1_000_001), using: &random)
        #expect(early < late)
        #expect(early.map { $0 == "-" ? "-" : "x" }.joined() == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
        let characters = Array(early)
        #expect(characters[14] == "7" && "89ab".contains(characters[19]))
    }

    @Test func idsOfOneMomentLieInOnePartition() {
        var random = SeededGenerator(seed: 4)
        let ids = WorkflowIDSource(partitionCount: 16, first: 3)
        func partitions(at time: Int64, _ count: Int) -> [Int32] {
            (0..<count).map { _ in
                let id = ids.next(now: Timestamp(millisecondsSinceEpoch: time), using: &random)
                return partition(forKey: id.utf8, count: 16)
            }
        }
        let moments = (0..<16).map {
            partitions(at: 1_000 + $0 * WorkflowIDSource.turnMilliseconds, WorkflowIDSource.maximumIDsOfTurn)
        }
        #expect(moments.allSatisfy { Set($0).count == 1 })
        #expect(Set(moments.map { $0[0] }) == Set(0..<16))
        // A burst does not wait behind itself.
        #expect(Set(partitions(at: 5_000, 4 * WorkflowIDSource.maximumIDsOfTurn)).count == 4)
    }

    @Test func idsAreNotRepeatedAndUseAllPartitions() {
        var random = SeededGenerator(seed: 5)
        let ids = WorkflowIDSource(partitionCount: 1_024)
        let made = (0..<20_000).map { ids.next(now: Timestamp(millisecondsSinceEpoch: $0), using: &random) }
        #expect(Set(made).count == made.count)
        #expect(Set(made.map { partition(forKey: $0.utf8, count: 1_024) }).count == 1_024)
    }

    @Test func traceParentsAreCheckedAndContinued() throws {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        var random = SeededGenerator(seed: 1)
        let trace = try #require(TraceParent(header))
        #expect(trace.header == header)
        let child = trace.child(using: &random)
        #expect(child.traceID == trace.traceID && child.spanID != trace.spanID && child.flags == "01")
        #expect(TraceParent(child.header) == child)
        let generated = TraceParent(using: &random)
        #expect(TraceParent(generated.header) == generated)
        for bad in [
            "", "00-0-0-01", header.uppercased(), "ff" + header.dropFirst(2), header + "-x",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            #expect(TraceParent(bad) == nil, "\(bad)")
        }
        #expect(TraceParent("cc" + header.dropFirst(2) + "-what-comes-later") != nil)
    }

    @Test func recentWorkflowsAreBounded() {
        let recent = RecentlyAccepted(capacity: 2)
        for (index, id) in ["a", "b", "a", "c"].enumerated() {
            recent.remember(id, at: .init(topic: "t", offset: Int64(index)))
        }
        #expect(recent.position(of: "a") == nil)
        #expect(recent.position(of: "b")?.offset == 1)
        #expect(recent.position(of: "c")?.offset == 3)
    }
}
