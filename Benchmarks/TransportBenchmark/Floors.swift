import NIOCore
import NIOPosix
import Synchronization

/// Frames of the floors: length, call id, a key of whatever length, the payload.
struct FloorFrames {
    private var bytes = ByteBuffer()

    mutating func append(_ received: ByteBuffer) {
        if bytes.readableBytes == 0 { return bytes = received }
        bytes.discardReadBytes()
        bytes.writeImmutableBuffer(received)
    }

    mutating func next() -> ByteBuffer? { bytes.readLengthPrefixedSlice(as: UInt32.self) }

    static func writeRequest(_ id: UInt64, key: String, to buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(UInt32(8 + key.utf8.count + TransportBenchmark.payloadLength), id)
        buffer.writeString(key)
        buffer.writeBytes(TransportBenchmark.payload)
    }

    static func writeReply(_ id: UInt64, _ payload: ByteBuffer, to buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(UInt32(8 + payload.readableBytes), id)
        buffer.writeImmutableBuffer(payload)
    }

    /// - Returns: call id, key and payload of a request.
    static func readRequest(_ frame: ByteBuffer) -> (id: UInt64, key: String, payload: ByteBuffer) {
        var frame = frame
        let id = frame.readInteger(as: UInt64.self) ?? 0
        let key = frame.readString(length: frame.readableBytes - TransportBenchmark.payloadLength) ?? ""
        return (id, key, frame)
    }
}

func serveFloor(_ makeHandler: @escaping @Sendable (any Channel) -> any ChannelHandler & Sendable) async throws {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
        .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        .childChannelInitializer { channel in channel.pipeline.addHandler(makeHandler(channel)) }
        .bind(host: "127.0.0.1", port: 0).get()
    await ServerProcess.announce(port: channel.localAddress?.port ?? 0)
}

func connectFloor(port: Int, _ handler: any ChannelHandler & Sendable) async throws -> any Channel {
    try await ClientBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
        .channelOption(.tcpOption(.tcp_nodelay), value: 1)
        .channelInitializer { channel in channel.pipeline.addHandler(handler) }
        .connect(host: "127.0.0.1", port: port).get()
}

// MARK: - Echo on the event loop

enum Echo {
    static func serve() async throws { try await serveFloor { _ in EchoServer() } }

    static func connect(port: Int) async throws -> any Caller {
        let client = EchoClient()
        client.channel = try await connectFloor(port: port, client)
        return client
    }
}

/// `@unchecked Sendable`: touched on its channel's event loop only.
private final class EchoServer: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private var frames = FloorFrames()
    private var output = ByteBuffer()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        frames.append(unwrapInboundIn(data))
        while let frame = frames.next() {
            let (id, _, payload) = FloorFrames.readRequest(frame)
            FloorFrames.writeReply(id, payload, to: &output)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard output.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        output = context.channel.allocator.buffer(capacity: 1 << 16)
    }
}

/// Keeps so many requests under way from the event loop itself: no tasks, no continuations.
///
/// `@unchecked Sendable`: `channel` is set before the first round; the rest is touched on the event loop only.
private final class EchoClient: ChannelInboundHandler, Caller, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    var channel: (any Channel)?
    private var frames = FloorFrames()
    private var output = ByteBuffer()
    private var sent: [ContinuousClock.Instant] = []
    private var latencies: [Float] = []
    private var outstanding = 0
    private var next = 0
    private var end = ContinuousClock.now
    private var done: CheckedContinuation<[Float], Never>?

    func run(outstanding: Int, seconds: Double) async throws -> [Float] {
        guard let channel else { return [] }
        return await withCheckedContinuation { continuation in
            channel.eventLoop.execute {
                self.done = continuation
                self.latencies = []
                self.sent = Array(repeating: .now, count: outstanding)
                self.end = .now + .seconds(seconds)
                for slot in 0..<outstanding { self.ask(slot) }
                self.flush()
            }
        }
    }

    func close() async throws { try await channel?.close() }

    private func ask(_ slot: Int) {
        sent[slot] = .now
        outstanding += 1
        let key = TransportBenchmark.keys[next % TransportBenchmark.keyCount]
        FloorFrames.writeRequest(UInt64(slot), key: key, to: &output)
        next += 1
    }

    private func flush() {
        guard output.readableBytes > 0 else { return }
        channel?.writeAndFlush(output, promise: nil)
        output = ByteBufferAllocator().buffer(capacity: 1 << 16)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        frames.append(unwrapInboundIn(data))
        while var frame = frames.next(), let slot = frame.readInteger(as: UInt64.self).map({ Int($0) }) {
            latencies.append(microseconds(since: sent[slot]))
            outstanding -= 1
            if sent[slot] < end { ask(slot) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        guard outstanding == 0, let done else { return }
        self.done = nil
        done.resume(returning: latencies)
    }
}

// MARK: - A Swift actor for each key

/// What answers in the floor and behind ours alike.
actor KeyActor {
    private var calls = 0

    func call<Payload: Sendable>(_ payload: Payload) -> Payload {
        calls += 1
        return payload
    }
}

enum ActorFloor {
    static func serve() async throws { try await serveFloor { ActorServer(Outbox($0)) } }

    static func connect(port: Int) async throws -> any Caller {
        let client = ActorClient()
        let channel = try await connectFloor(port: port, client)
        client.outbox.withLock { $0 = Outbox(channel) }
        return client
    }
}

/// Frames from any thread; the event loop is woken once for all that come meanwhile.
private final class Outbox: Sendable {
    let channel: any Channel
    private let waiting = Mutex<(bytes: ByteBuffer, isScheduled: Bool)>((ByteBuffer(), false))

    init(_ channel: any Channel) { self.channel = channel }

    func send(_ write: (inout ByteBuffer) -> Void) {
        let mustWake = waiting.withLock { waiting in
            write(&waiting.bytes)
            defer { waiting.isScheduled = true }
            return !waiting.isScheduled
        }
        if mustWake { channel.eventLoop.execute { self.flush() } }
    }

    private func flush() {
        let bytes = waiting.withLock { waiting in
            defer { waiting = (ByteBuffer(), false) }
            return waiting.bytes
        }
        channel.writeAndFlush(bytes, promise: nil)
    }
}

/// `@unchecked Sendable`: touched on its channel's event loop only.
private final class ActorServer: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    private var frames = FloorFrames()
    private var actors: [String: KeyActor] = [:]
    private let outbox: Outbox

    init(_ outbox: Outbox) { self.outbox = outbox }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        frames.append(unwrapInboundIn(data))
        while let frame = frames.next() {
            let (id, key, payload) = FloorFrames.readRequest(frame)
            let actor = actors[key] ?? KeyActor()
            actors[key] = actor
            Task { [outbox] in
                let reply = await actor.call(payload)
                outbox.send { FloorFrames.writeReply(id, reply, to: &$0) }
            }
        }
    }
}

/// `@unchecked Sendable`: `frames` is touched on the event loop only, the rest has locks.
private final class ActorClient: ChannelInboundHandler, Caller, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    let outbox = Mutex<Outbox?>(nil)
    private var frames = FloorFrames()
    private let waiting = Mutex<(calls: [UInt64: CheckedContinuation<ByteBuffer, Never>], next: UInt64)>(([:], 0))

    func run(outstanding: Int, seconds: Double) async throws -> [Float] {
        guard let outbox = outbox.withLock({ $0 }) else { return [] }
        return try await measure(outstanding: outstanding, seconds: seconds) { key in
            _ = await withCheckedContinuation { continuation in
                let id = self.waiting.withLock { waiting in
                    waiting.next += 1
                    waiting.calls[waiting.next] = continuation
                    return waiting.next
                }
                outbox.send { FloorFrames.writeRequest(id, key: key, to: &$0) }
            }
        }
    }

    func close() async throws { try await outbox.withLock { $0 }?.channel.close() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        frames.append(unwrapInboundIn(data))
        while var frame = frames.next(), let id = frame.readInteger(as: UInt64.self) {
            waiting.withLock { $0.calls.removeValue(forKey: id) }?.resume(returning: frame)
        }
    }
}
