import Logging
import NIOCore
import NIOPosix
import OrchestraCore
import ServiceLifecycle
import Synchronization
import Testing
import Transport

/// Answers with what a closure says.
struct ScriptedHandler: GrainCallHandler {
    var body: @Sendable (GrainCallRequest) async throws(OrchestraError) -> GrainCallReply

    func handle(_ request: GrainCallRequest) async throws(OrchestraError) -> GrainCallReply {
        try await body(request)
    }

    static let echo = ScriptedHandler { request async throws(OrchestraError) in
        GrainCallReply(version: UInt64(request.payload.count), payload: request.payload)
    }
}

/// Counts handlers that wait, and holds them until it is opened or they are cancelled.
final class Gate: Sendable {
    private let opened = OneShot<Void>()
    let waiting = Atomic(0)
    let cancelled = Atomic(0)

    func open() { opened.finish(.success(())) }

    func pass() async {
        waiting.add(1, ordering: .sequentiallyConsistent)
        do { try await opened.value() } catch { cancelled.add(1, ordering: .sequentiallyConsistent) }
        waiting.subtract(1, ordering: .sequentiallyConsistent)
    }

    var handler: ScriptedHandler {
        ScriptedHandler { request async throws(OrchestraError) in
            await self.pass()
            return GrainCallReply(version: 1, payload: request.payload)
        }
    }
}

let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

func request(
    _ payload: [UInt8] = [1, 2, 3], kind: GrainCallRequest.Kind = .query, key: String = "k",
    timeLeft: Duration = .seconds(20), newerThan: UInt64? = nil
) -> GrainCallRequest {
    GrainCallRequest(
        requestID: "r-1", grain: grain(key), kind: kind, method: "echo", payload: payload, timeLeft: timeLeft,
        newerThan: newerThan)
}

func grain(_ key: String) -> GrainID {
    do { return try GrainID(type: "test", key: key) } catch { fatalError("\(error)") }
}

/// Waits for a condition; the failure names it.
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

/// Runs a server for as long as `body` takes; it ends by cancellation, that is at once.
func withServer<R>(
    _ handler: any GrainCallHandler, identity: NodeIdentity = NodeIdentity(nodeID: "s1", role: .silo),
    port: Int = 0, limits: TransportLimits = TransportLimits(),
    _ body: (CallServer, Int) async throws -> R
) async throws -> R {
    let server = CallServer(
        host: "127.0.0.1", port: port, handler: handler, identity: identity, limits: limits, logger: quiet)
    return try await whileRunning(server) { try await body(server, server.boundPort()) }
}

/// Runs a client for as long as `body` takes.
func withClient<R>(
    _ port: Int, identity: NodeIdentity = NodeIdentity(nodeID: "g1", role: .gateway),
    limits: TransportLimits = TransportLimits(), _ body: (CallClient) async throws -> R
) async throws -> R {
    let client = CallClient(
        peers: [HostAndPort(host: "127.0.0.1", port: port)], identity: identity, limits: limits, logger: quiet)
    return try await whileRunning(client) { try await body(client) }
}

func whileRunning<R>(_ service: any Service, _ body: () async throws -> R) async throws -> R {
    let task = Task { try await service.run() }
    let result: Result<R, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    task.cancel()
    _ = await task.result
    return try result.get()
}

func nonce(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: Hello.nonceLength) }

/// A TCP peer that sends and sees bare bytes.
final class RawPeer: Sendable {
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let received: Mutex<ByteBuffer> = Mutex(ByteBuffer())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            received.withLock { _ = $0.writeBuffer(&bytes) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    let channel: any Channel
    private let collector: Collector

    init(port: Int, reads: Bool = true) async throws {
        let collector = Collector()
        self.collector = collector
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelOption(.socketOption(.so_rcvbuf), value: reads ? 1 << 20 : 4096)
            .channelInitializer { channel in channel.pipeline.addHandler(collector) }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }
    func send(_ bytes: [UInt8]) { send(ByteBuffer(bytes: bytes)) }

    var received: ByteBuffer { collector.received.withLock { $0 } }
    var isOpen: Bool { channel.isActive }

    func frames() throws -> [Frame] {
        var splitter = FrameSplitter(maximumLength: 1 << 24)
        splitter.append(received)
        var frames: [Frame] = []
        while let frame = try splitter.next() { frames.append(frame) }
        return frames
    }

    /// The whole handshake of a cluster without a secret; nothing in it depends on what the server says.
    func sayHello(clusterName: String = "orchestra", versions: ClosedRange<UInt16> = 1...1) {
        send(RawPeer.hello(clusterName: clusterName, versions: versions))
    }

    static func hello(clusterName: String = "orchestra", versions: ClosedRange<UInt16> = 1...1) -> ByteBuffer {
        var bytes = ByteBuffer()
        // One node has one connection for calls: each of these is a node of its own.
        let identity = NodeIdentity(
            clusterName: clusterName, nodeID: "raw-\(UInt64.random(in: 0 ... .max))", role: .agent)
        Hello(identity: identity, versions: versions, purpose: .calls, nonce: nonce(1)).write(to: &bytes)
        bytes.writeFrame(.proof)
        return bytes
    }

    func close() { channel.close(promise: nil) }
}
