import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import OrchestraCore
import ServiceLifecycle
import Transport

/// The small HTTP port of a node that is no gateway: who the members are, and whether the process is alive.
final class AdminServer: Service {
    /// Connections at once; more are closed.
    private static let maximumConnections = 64
    /// A request must have come, and its answer gone, within this time.
    private static let patience = TimeAmount.seconds(10)

    private let listen: HostAndPort
    private let members: @Sendable () async throws -> [UInt8]
    private let logger: Logger
    private let bound = Transport.OneShot<Int>()

    /// - Parameters:
    ///   - listen: port 0 takes a free one.
    ///   - members: what `GET /v1/cluster/members` answers, as JSON.
    init(listen: HostAndPort, members: @escaping @Sendable () async throws -> [UInt8], logger: Logger) {
        self.listen = listen
        self.members = members
        self.logger = logger
    }

    /// - Returns: where it answers, once it does.
    func address() async throws -> HostAndPort {
        HostAndPort(host: listen.host, port: try await bound.value())
    }

    func run() async throws {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let connections = Connections(limit: Self.maximumConnections)
        let bootstrap = ServerBootstrap(group: eventLoop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [members] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        AdminHandler(connections: connections, members: members))
                }
            }
        let listener: any Channel
        do {
            listener = try await bootstrap.bind(host: listen.host, port: listen.port).get()
        } catch {
            let failure = OrchestraError(
                .unavailable, "cannot listen for administration on \(listen): \(error)",
                nextStep: "free the port, or choose another one with --admin-listen (0 takes a free one)", cause: error)
            bound.finish(.failure(failure))
            throw failure
        }
        bound.finish(.success(listener.localAddress?.port ?? listen.port))
        try? await gracefulShutdown()
        try? await listener.close()
    }

    /// Counts connections on the one event loop that has them all.
    ///
    /// `@unchecked Sendable`: touched on that event loop only.
    private final class Connections: @unchecked Sendable {
        let limit: Int
        var count = 0

        init(limit: Int) { self.limit = limit }
    }

    /// One request, one answer, then the connection closes.
    private final class AdminHandler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let connections: Connections
        private let members: @Sendable () async throws -> [UInt8]
        private var head: HTTPRequestHead?
        private var isAnswered = false
        private var deadline: Scheduled<Void>?

        init(connections: Connections, members: @escaping @Sendable () async throws -> [UInt8]) {
            self.connections = connections
            self.members = members
        }

        func channelActive(context: ChannelHandlerContext) {
            connections.count += 1
            let channel = context.channel
            guard connections.count <= connections.limit else { return channel.close(promise: nil) }
            deadline = context.eventLoop.scheduleTask(in: AdminServer.patience) { channel.close(promise: nil) }
            context.fireChannelActive()
        }

        func channelInactive(context: ChannelHandlerContext) {
            connections.count -= 1
            deadline?.cancel()
            context.fireChannelInactive()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body: break
            case .end:
                guard let head, !isAnswered else { return }
                isAnswered = true
                answer(head, context.channel)
            }
        }

        private func answer(_ head: HTTPRequestHead, _ channel: any Channel) {
            let path = head.uri.prefix { $0 != "?" }
            guard head.method == .GET else {
                return Self.send(.methodNotAllowed, #"{"title":"use GET"}"#, on: channel)
            }
            switch path {
            case "/health/live":
                Self.send(.ok, #"{"status":"live"}"#, on: channel)
            case "/v1/cluster/members":
                let promise = channel.eventLoop.makePromise(of: [UInt8].self)
                promise.completeWithTask(members)
                promise.futureResult.whenComplete { result in
                    switch result {
                    case .success(let json): Self.send(.ok, json, on: channel)
                    case .failure:
                        Self.send(.serviceUnavailable, #"{"title":"this node has not begun to join"}"#, on: channel)
                    }
                }
            default:
                Self.send(
                    .notFound, #"{"title":"there is GET /v1/cluster/members and GET /health/live"}"#, on: channel)
            }
        }

        private static func send(_ status: HTTPResponseStatus, _ body: String, on channel: any Channel) {
            send(status, Array(body.utf8), on: channel)
        }

        private static func send(_ status: HTTPResponseStatus, _ body: [UInt8], on channel: any Channel) {
            let headers: HTTPHeaders = [
                "content-type": status == .ok ? "application/json" : "application/problem+json",
                "content-length": "\(body.count)", "cache-control": "no-store", "connection": "close",
            ]
            let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
            channel.write(HTTPServerResponsePart.head(head), promise: nil)
            channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
            let sent = channel.eventLoop.makePromise(of: Void.self)
            sent.futureResult.whenComplete { _ in channel.close(promise: nil) }
            channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: sent)
        }
    }
}
