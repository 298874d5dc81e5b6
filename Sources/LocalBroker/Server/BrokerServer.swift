import GRDB
import Logging
import NIOCore
import NIOPosix
import OrchestraCore
import Synchronization

/// The listening socket, the event loop behind it, and the broker's state on it.
final class BrokerServer: Sendable {
    let port: Int
    private let channel: any Channel
    private let core: NIOLoopBound<BrokerCore>
    private let eventLoop: any EventLoop
    /// Succeeds when the broker is asked to stop, fails when it has to.
    private let stop: StopSignal

    private init(
        port: Int, channel: any Channel, core: NIOLoopBound<BrokerCore>, eventLoop: any EventLoop, stop: StopSignal
    ) {
        self.port = port
        self.channel = channel
        self.core = core
        self.eventLoop = eventLoop
        self.stop = stop
    }

    static func start(
        configuration: LocalBrokerConfiguration, state: LoadedState, pool: DatabasePool,
        group: MultiThreadedEventLoopGroup, logger: Logger
    ) async throws -> BrokerServer {
        let eventLoop = group.next()
        let stop = StopSignal(eventLoop)
        let core = try await eventLoop.submit {
            let core = try BrokerCore(
                configuration: configuration, state: state, pool: pool, eventLoop: eventLoop, logger: logger
            ) { error in
                logger.critical(
                    "the database cannot be written; the broker stops", metadata: ["error": "\(error)"])
                stop.fail(
                    OrchestraError(
                        .internalError, "the database \(pool.path) cannot be written",
                        nextStep: "see whether the disk is full or damaged, then start again", cause: error))
            }
            return NIOLoopBound(core, eventLoop: eventLoop)
        }.get()
        let channel: any Channel
        do {
            channel = try await bootstrap(core, configuration, eventLoop, logger)
                .bind(host: configuration.host, port: configuration.port).get()
        } catch {
            stop.request()
            throw OrchestraError(
                .unavailable, "\(configuration.host):\(configuration.port) cannot be bound",
                nextStep: "choose another address with --listen, or stop who uses it", cause: error)
        }
        let port = channel.localAddress?.port ?? configuration.port
        try await eventLoop.submit {
            let core = core.value
            core.advertisedPort = configuration.advertisedPort ?? port
            core.scheduleExpiry()
        }.get()
        try await channel.setOption(.autoRead, value: true).get()
        channel.read()
        return BrokerServer(port: port, channel: channel, core: core, eventLoop: eventLoop, stop: stop)
    }

    private static func bootstrap(
        _ core: NIOLoopBound<BrokerCore>, _ configuration: LocalBrokerConfiguration, _ eventLoop: any EventLoop,
        _ logger: Logger
    ) -> ServerBootstrap {
        let maximumConnections = configuration.limits.maximumConnections
        return ServerBootstrap(group: eventLoop)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Nobody is served before the advertised address is known.
            .serverChannelOption(.autoRead, value: false)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(
                .writeBufferWaterMark, value: .init(low: 64 << 10, high: 1 << 20)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard core.value.connections.count < maximumConnections else {
                        logger.warning(
                            "too many connections; one is refused", metadata: ["limit": "\(maximumConnections)"])
                        throw ChannelError.operationUnsupported
                    }
                    try channel.pipeline.syncOperations.addHandler(ConnectionHandler(core: core.value))
                }
            }
    }

    func requestStop() { stop.request() }

    /// Does the background work until the broker is to stop.
    func waitUntilStopped(_ maintenance: Maintenance) async {
        await withTaskGroup { tasks in
            tasks.addTask { await maintenance.run() }
            await stop.wait()
            tasks.cancelAll()
        }
    }

    func maintenance(interval: Duration, pool: DatabasePool, logger: Logger) -> Maintenance {
        Maintenance(core: core, eventLoop: eventLoop, pool: pool, interval: interval, logger: logger)
    }

    /// Closes the listener, takes no more requests, waits for the writes on their way, closes the connections.
    ///
    /// - Throws: why the broker had to stop, if it was not asked to.
    func close() async throws {
        try? await channel.close().get()
        let idle = eventLoop.makePromise(of: Void.self)
        eventLoop.execute { [core] in
            let core = core.value
            if core.committer.hasFailed {
                idle.succeed()
            } else {
                // What is answered after the flush might not reach the disk any more.
                core.takesRequests = false
                core.committer.flush()
                core.committer.whenDurable { idle.succeed() }
            }
        }
        let deadline = eventLoop.scheduleTask(in: .seconds(10)) { idle.succeed() }
        try await idle.futureResult.get()
        deadline.cancel()
        try await eventLoop.submit { [core] in core.value.stop() }.get()
        try stop.outcome()
    }
}

/// Tells once that the broker is to stop, and why.
final class StopSignal: Sendable {
    private let promise: EventLoopPromise<Void>
    private let state = Mutex<Result<Void, OrchestraError>?>(nil)

    init(_ eventLoop: any EventLoop) { promise = eventLoop.makePromise() }

    func request() { settle(.success(())) }

    func fail(_ error: OrchestraError) { settle(.failure(error)) }

    private func settle(_ result: Result<Void, OrchestraError>) {
        let isFirst = state.withLock { state in
            switch (state, result) {
            case (nil, _):
                state = result
                return true
            case (.success, .failure):
                // It was asked to stop, and what it had to write at its end could not be written.
                state = result
            default: break
            }
            return false
        }
        if isFirst { promise.succeed() }
    }

    func wait() async { try? await promise.futureResult.get() }

    func outcome() throws(OrchestraError) { try state.withLock { $0 }?.get() }
}
