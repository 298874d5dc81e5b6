import EventLog
import Logging
import NIOCore
import NIOPosix
import OrchestraCore
import Records
import ServiceLifecycle
import Synchronization
import Testing

@testable import Gateway
@testable import Silo

/// A cluster in memory: what is appended becomes a workflow when it is asked about, as its owner would have it.
final class ScriptedCluster: StartEventSink, GrainCallHandler {
    struct State {
        var events: [WorkflowStartEvent] = []
        var workflows: [String: (snapshot: WorkflowSnapshot, version: UInt64)] = [:]
        var appendFailure: OrchestraError?
        var callFailure: OrchestraError?
        var holdsAppends = false
        var obstacle: String?
        var calls = 0
    }

    let state = Mutex(State())
    var events: [WorkflowStartEvent] { state.withLock { $0.events } }

    func change(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    func run() async throws { try await Task.sleep(for: .seconds(3600)) }

    var obstacle: String? { state.withLock { $0.obstacle } }

    func append(_ event: WorkflowStartEvent) async throws(OrchestraError) -> GrainCallRequest.Position {
        while state.withLock({ $0.holdsAppends }) { try? await Task.sleep(for: .milliseconds(5)) }
        let result: Result<Int64, OrchestraError> = state.withLock { state in
            if let failure = state.appendFailure { return .failure(failure) }
            state.events.append(event)
            // The first record of an id counts.
            if state.workflows[event.workflowId] == nil {
                state.workflows[event.workflowId] = (ScriptedCluster.running(event), 1)
            }
            return .success(Int64(state.events.count))
        }
        return GrainCallRequest.Position(topic: Topics.workflowStartEvents, offset: try result.get())
    }

    func finish(_ workflowID: String, output: String) {
        state.withLock { state in
            guard var entry = state.workflows[workflowID] else { return }
            entry.snapshot.status = .completed
            entry.snapshot.output = output
            entry.snapshot.finishedAt = Timestamp(millisecondsSinceEpoch: 1_795_355_400_123)
            entry.version += 1
            state.workflows[workflowID] = entry
        }
    }

    func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        let end = ContinuousClock.now + request.timeLeft
        state.withLock { $0.calls += 1 }
        let query = try? MessageCoding.decode(GetDocument.self, from: request.payload)
        let waitsForEnd = request.method == GetDocument.name && query?.untilFinished == true
        while true {
            let answer: Result<GrainCallReply, OrchestraError>? = state.withLock { state in
                if let failure = state.callFailure { return .failure(failure) }
                guard var entry = state.workflows[request.grain.key] else {
                    return .failure(OrchestraError(.notFound, "no such grain"))
                }
                if request.method == Cancel.name, entry.snapshot.status == .running {
                    entry.snapshot.status = .cancelled
                    entry.snapshot.error = "cancelled"
                    entry.version += 1
                    state.workflows[request.grain.key] = entry
                }
                if waitsForEnd, !entry.snapshot.isFinished { return nil }
                return Result { () throws(OrchestraError) in
                    let payload =
                        request.method == GetDocument.name
                        ? entry.snapshot.json.encoded() : try MessageCoding.encode(entry.snapshot)
                    return GrainCallReply(version: entry.version, payload: payload)
                }
            }
            if let answer { return try answer.get() }
            guard ContinuousClock.now < end, (try? await Task.sleep(for: .milliseconds(5))) != nil else {
                throw OrchestraError(.deadlineExceeded, "it goes on")
            }
        }
    }

    private static func running(_ event: WorkflowStartEvent) -> WorkflowSnapshot {
        var state = WorkflowState(
            workflow: event.workflow, status: .running, step: 0, acceptedAt: event.acceptedAt,
            startedAt: event.acceptedAt)
        state.inputDigest = event.inputDigest
        return WorkflowSnapshot(workflowId: event.workflowId, state: state)
    }
}

let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

/// A gateway over a scripted cluster, for as long as `body` takes.
func withGateway<R>(
    limits: GatewayLimits = GatewayLimits(), siloObstacle: @escaping @Sendable () -> String? = { nil },
    _ body: (ScriptedCluster, Int) async throws -> R
) async throws -> R {
    let cluster = ScriptedCluster()
    let configuration = GatewayConfiguration(
        port: 0, nodeID: "gateway-1", kafka: KafkaConfiguration(bootstrapServers: "127.0.0.1:1", clientID: "test"),
        limits: limits)
    let gateway = Gateway(
        configuration, sink: cluster, calls: cluster,
        workflows: [.summarize, WorkflowDefinition(name: "review", steps: [.init(agent: "a"), .init(agent: "b")])],
        siloObstacle: siloObstacle, logger: quiet)
    return try await whileRunning(gateway) { try await body(cluster, gateway.boundPort()) }
}

func whileRunning<R>(_ service: any Service, _ body: () async throws -> R) async throws -> R {
    let task = Task { try await service.run() }
    let result: Result<R, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    task.cancel()
    _ = await task.result
    return try result.get()
}

func eventually(
    _ what: String, within limit: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("not within \(limit): \(what)", sourceLocation: sourceLocation)
    throw TimedOut(what: what)
}

struct TimedOut: Error { var what: String }

/// One HTTP/1.1 connection of bare bytes.
final class RawConnection: Sendable {
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let received = Mutex([UInt8]())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            received.withLock { $0 += bytes.readableBytesView }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let channel: any Channel
    private let collector: Collector

    init(port: Int) async throws {
        let collector = Collector()
        self.collector = collector
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in channel.pipeline.addHandler(collector) }
            .connect(host: "127.0.0.1", port: port).get()
    }

    var isOpen: Bool { channel.isActive }
    var received: [UInt8] { collector.received.withLock { $0 } }

    func send(_ bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
    func close() { channel.close(promise: nil) }

    /// Sends a request and reads its answer.
    func exchange(_ request: String, body: [UInt8] = []) async throws -> Answer {
        collector.received.withLock { $0 = [] }
        send(Array(request.utf8) + body)
        return try await answer()
    }

    func answer() async throws -> Answer {
        var answer: Answer?
        try await eventually("an answer; received \(String(decoding: received.prefix(500), as: UTF8.self))") {
            answer = Answer(received)
            return answer != nil
        }
        return try #require(answer)
    }
}

/// An HTTP answer with a known length.
struct Answer {
    var status: Int
    var headers: [String: String] = [:]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    /// `nil` until it is whole. Informational answers are skipped.
    init?(_ bytes: [UInt8]) {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        guard let first = lines.first, let status = Int(first.split(separator: " ")[1]) else { return nil }
        let rest = Array(bytes[end.upperBound...])
        if status == 100 {
            guard let answer = Answer(rest) else { return nil }
            self = answer
            return
        }
        self.status = status
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        guard let length = headers["content-length"].flatMap({ Int($0) }), rest.count >= length else { return nil }
        body = Array(rest.prefix(length))
    }

    /// The value of a string or number member, wherever it is.
    func member(_ name: String) -> String? {
        guard let range = text.firstRange(of: "\"\(name)\":") else { return nil }
        let rest = text[range.upperBound...]
        if rest.first == "\"" { return String(rest.dropFirst().prefix { $0 != "\"" }) }
        return String(rest.prefix { !",}]\n".contains($0) })
    }
}

func trigger(
    _ port: Int, _ body: String, key: String? = nil, headers: String = "Content-Type: application/json\r\n"
) async throws -> Answer {
    try await post(port, Array(body.utf8), key: key, headers: headers)
}

func post(
    _ port: Int, _ body: [UInt8], key: String? = nil, headers: String = "Content-Type: application/json\r\n"
) async throws -> Answer {
    let connection = try await RawConnection(port: port)
    defer { connection.close() }
    let keyHeader = key.map { "Idempotency-Key: \($0)\r\n" } ?? ""
    return try await connection.exchange(
        "POST /v1/workflows HTTP/1.1\r\nHost: x\r\n\(headers)\(keyHeader)Content-Length: \(body.count)\r\n\r\n",
        body: body)
}

func get(_ port: Int, _ path: String, method: String = "GET") async throws -> Answer {
    let connection = try await RawConnection(port: port)
    defer { connection.close() }
    return try await connection.exchange("\(method) \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
}
