import Gateway
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import OrchestraCore
import ServiceLifecycle
import Transport

/// The small HTTP port of a node that is no gateway: who the members are, where the partitions are, its metrics, and
/// whether the process is alive.
final class AdminServer: Service {
    /// Connections at once; more are closed.
    private static let maximumConnections = 64
    /// A request must have come, and its answer gone, within this time.
    private static let patience = TimeAmount.seconds(10)

    private let listen: HostAndPort
    private let pages: [String: Page]
    private let logger: Logger
    private let bound = Transport.OneShot<Int>()

    /// What a path answers.
    struct Page: Sendable {
        var contentType = "application/json"
        /// If it throws, the answer is 503.
        var make: @Sendable () async throws -> [UInt8]
    }

    /// - Parameters:
    ///   - listen: port 0 takes a free one.
    ///   - pages: what `GET` of each of these paths answers.
    init(listen: HostAndPort, pages: [String: Page], logger: Logger) {
        self.listen = listen
        self.pages = pages
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
            .childChannelInitializer { [pages] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        AdminHandler(connections: connections, pages: pages))
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
        private let pages: [String: Page]
        private var head: HTTPRequestHead?
        private var isAnswered = false
        private var deadline: Scheduled<Void>?

        init(connections: Connections, pages: [String: Page]) {
            self.connections = connections
            self.pages = pages
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
            if path == "/health/live" { return Self.send(.ok, #"{"status":"live"}"#, on: channel) }
            guard let page = pages[String(path)] else {
                let known = (pages.keys + ["/health/live"]).sorted().map { "GET \($0)" }
                return Self.send(.notFound, #"{"title":"there is \#(known.joined(separator: ", "))"}"#, on: channel)
            }
            let promise = channel.eventLoop.makePromise(of: [UInt8].self)
            promise.completeWithTask(page.make)
            promise.futureResult.whenComplete { result in
                switch result {
                case .success(let body): Self.send(.ok, body, page.contentType, on: channel)
                case .failure:
                    Self.send(.serviceUnavailable, #"{"title":"this node cannot answer that yet"}"#, on: channel)
                }
            }
        }

        private static func send(_ status: HTTPResponseStatus, _ body: String, on channel: any Channel) {
            let contentType = status == .ok ? "application/json" : "application/problem+json"
            send(status, Array(body.utf8), contentType, on: channel)
        }

        private static func send(
            _ status: HTTPResponseStatus, _ body: [UInt8], _ contentType: String, on channel: any Channel
        ) {
            let headers: HTTPHeaders = [
                "content-type": contentType,
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

extension AdminServer.Page {
    init(_ page: MetricsPage) {
        self.init(contentType: page.contentType) { Array(page.text().utf8) }
    }
}
