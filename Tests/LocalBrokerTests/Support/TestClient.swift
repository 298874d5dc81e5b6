import DequeModule
import NIOCore
import NIOPosix

@testable import LocalBroker

/// A raw client that speaks the broker's own message structures.
final class TestClient: Sendable {
    enum Failure: Error { case closed, timedOut }

    private let channel: any Channel
    private let answers: NIOLoopBound<Answers>

    private final class Answers: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var received = ByteBuffer()
        var waiting: Deque<EventLoopPromise<ByteBuffer>> = []
        var correlationID: Int32 = 0
        var isClosed = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            received.writeBuffer(&bytes)
            while let frame = nextFrame() { waiting.popFirst()?.succeed(frame) }
        }

        private func nextFrame() -> ByteBuffer? {
            guard let length = received.getInteger(at: received.readerIndex, as: Int32.self),
                received.readableBytes >= 4 + Int(length)
            else { return nil }
            received.moveReaderIndex(forwardBy: 4)
            return received.readSlice(length: Int(length))
        }

        func channelInactive(context: ChannelHandlerContext) {
            isClosed = true
            for promise in waiting { promise.fail(Failure.closed) }
            waiting = []
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    init(port: Int) async throws {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let answers = try await eventLoop.submit { NIOLoopBound(Answers(), eventLoop: eventLoop) }.get()
        self.answers = answers
        channel = try await ClientBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(answers.value)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    /// Sends a request and waits for its answer.
    func call<Request: WireRequest>(
        _ request: Request, version: Int16? = nil
    ) async throws -> Request.Response {
        try await start(request, version: version).get()
    }

    /// Sends a request; its answer comes later.
    func start<Request: WireRequest>(
        _ request: Request, version: Int16? = nil
    ) -> EventLoopFuture<Request.Response> {
        let version = version ?? Request.api.versions.upperBound
        let isFlexible = Request.api.isFlexible(version)
        return channel.eventLoop.flatSubmit { [answers, channel] in
            let state = answers.value
            let promise = channel.eventLoop.makePromise(of: ByteBuffer.self)
            guard !state.isClosed else {
                promise.fail(Failure.closed)
                return promise.futureResult.flatMapThrowing { _ in throw Failure.closed }
            }
            state.correlationID += 1
            let correlationID = state.correlationID
            state.waiting.append(promise)
            do {
                var wire = WireCodec(writingTo: ByteBuffer(integer: Int32(0)), version: version, isFlexible: isFlexible)
                var header = RequestHeader(
                    apiKey: Request.api.key.rawValue, apiVersion: version, correlationID: correlationID,
                    clientID: "test")
                try header.fields(&wire)
                var message = request
                try wire.structure(&message)
                var frame = wire.takeBuffer()
                frame.setInteger(Int32(frame.readableBytes - 4), at: 0)
                channel.writeAndFlush(frame, promise: nil)
            } catch {
                promise.fail(error)
            }
            return promise.futureResult.flatMapThrowing { frame in
                var wire = WireCodec(reading: frame, version: version, isFlexible: isFlexible)
                var received: Int32 = 0
                try wire.int32(&received)
                guard received == correlationID else {
                    throw WireError("answer \(received) came for request \(correlationID)")
                }
                if isFlexible, Request.api.key != .apiVersions { try wire.taggedFields() }
                var response = Request.Response()
                try wire.structure(&response)
                guard wire.buffer.readableBytes == 0 else {
                    throw WireError("\(wire.buffer.readableBytes) bytes follow the answer")
                }
                return response
            }
        }
    }

    /// Sends bytes as they are.
    func send(_ bytes: [UInt8]) {
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    }

    /// Waits until the broker has closed the connection.
    func waitUntilClosed(within time: TimeAmount = .seconds(10)) async throws {
        let deadline = channel.eventLoop.scheduleTask(in: time) { throw Failure.timedOut }
        channel.closeFuture.whenComplete { _ in deadline.cancel() }
        do {
            try await deadline.futureResult.get()
        } catch EventLoopError.cancelled {
            return
        }
    }

    func close() async { try? await channel.close().get() }
}
