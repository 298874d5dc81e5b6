package import GRDB
package import Logging
import NIOCore
import NIOPosix
package import OrchestraCore
import ServiceLifecycle
import Synchronization

// A single-node broker that speaks Kafka's protocol over a SQLite database: for development, tests and one machine.
// It keeps what Orchestra relies on (docs: "What the local broker promises"): acknowledged data survives the violent
// end of the process; transactions, fencing and read_committed are Kafka's. It has no replicas, no quotas and no
// access control; beyond one machine use Apache Kafka.
//
//     Wire            the protocol's messages, one file per API
//     RecordBatches   the batch format
//     Coordinators    groups, transactions, producers as value types without I/O
//     Storage         logs in memory and in SQLite, group commit
//     Handlers        what each API does
//     Server          connections
//
/// A Kafka-compatible broker in this process.
package final class LocalBroker: Service {
    private let configuration: LocalBrokerConfiguration
    private let storage: BrokerDatabase
    private let state: LoadedState
    private let logger: Logger
    private let port = Mutex(PortState.waiting([]))

    private enum PortState {
        /// Next: bound, failed.
        case waiting([CheckedContinuation<Int, any Error>])
        case bound(Int)
        case failed(any Error)
    }

    /// Opens the data folder and reads the state back; serves nobody before ``run()``.
    ///
    /// - Throws: ``OrchestraError``: `unavailable` if another broker uses the folder, `badConfiguration` if it cannot be
    ///   used, `quarantined` if what it holds cannot be read.
    package init(_ configuration: LocalBrokerConfiguration, logger: Logger) throws(OrchestraError) {
        self.configuration = configuration
        self.logger = logger
        storage = try BrokerDatabase.open(
            directory: configuration.dataDirectory, syncsToDisk: configuration.syncsToDisk)
        state = try storage.loadState()
    }

    /// The database, which the Schema Registry shares.
    package var database: DatabasePool { storage.pool }

    /// The port that clients connect to; waits until it is bound.
    ///
    /// - Throws: what ``run()`` threw, if it failed before.
    package func boundPort() async throws -> Int {
        try await withCheckedThrowingContinuation { continuation in
            let known: Result<Int, any Error>? = port.withLock { state in
                switch state {
                case .bound(let port): return .success(port)
                case .failed(let error): return .failure(error)
                case .waiting(let others):
                    state = .waiting(others + [continuation])
                    return nil
                }
            }
            if let known { continuation.resume(with: known) }
        }
    }

    private func settlePort(_ result: Result<Int, any Error>) {
        let waiting: [CheckedContinuation<Int, any Error>] = port.withLock { state in
            guard case .waiting(let waiting) = state else { return [] }
            switch result {
            case .success(let port): state = .bound(port)
            case .failure(let error): state = .failed(error)
            }
            return waiting
        }
        for continuation in waiting { continuation.resume(with: result) }
    }

    /// Serves clients until graceful shutdown or cancellation; then lets what is being written reach the disk and
    /// closes all connections.
    ///
    /// - Throws: ``OrchestraError``: `unavailable` if the address cannot be bound, `internalError` if the database could
    ///   not be written: then nothing more is acknowledged, and a restart continues from what is on disk.
    package func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let server = try await BrokerServer.start(
                configuration: configuration, state: state, pool: storage.pool, group: group, logger: logger)
            settlePort(.success(server.port))
            logger.info(
                "broker is ready",
                metadata: [
                    "address": "\(configuration.host):\(server.port)", "topics": "\(state.topics.count)",
                    "data": "\(configuration.dataDirectory)",
                ])
            await withTaskCancellationOrGracefulShutdownHandler {
                await server.waitUntilStopped(
                    server.maintenance(
                        interval: configuration.maintenanceInterval, pool: storage.pool, logger: logger))
            } onCancelOrGracefulShutdown: {
                server.requestStop()
            }
            try await server.close()
            try await group.shutdownGracefully()
        } catch {
            settlePort(.failure(error))
            try? await group.shutdownGracefully()
            throw error
        }
        settlePort(.failure(OrchestraError(.unavailable, "the broker has stopped")))
        logger.info("broker has stopped")
    }
}
