package import GRDB
import Hummingbird
package import Logging
import NIOCore
package import OrchestraCore
import ServiceLifecycle
import Synchronization

// The built-in Schema Registry: the part of Confluent's REST interface that Avro clients use, over tables in the
// broker's database. For development, tests and one machine; a cluster names a registry of its own.
//
//     RegistryTables       the tables (`registry_…`) and their migration
//     RegistryStore        reading and writing them inside a database transaction
//     SchemaRules          what may be registered;  SchemaIdentity, SchemaReference, CompatibilityLevel, RegistryMode
//     RegistryOperations   the operations of the interface, each one transaction
//     RegistryRoutes       paths and parameters;  RegistryMessages  bodies;  RegistryMiddleware  headers and errors
//
/// A Schema Registry in this process.
package final class LocalRegistry: Service {
    /// The longest request body in bytes: a schema of Avro's limit, escaped as a JSON string, and some room.
    static let maximumBodyBytes = 4 << 20

    private let operations: RegistryOperations
    private let host: String
    private let requestedPort: Int
    private let logger: Logger
    private let port = Mutex(PortState.waiting([]))

    private enum PortState {
        /// Next: bound, failed.
        case waiting([CheckedContinuation<Int, any Error>])
        /// Next: failed, when the registry has stopped.
        case bound(Int)
        case failed(any Error)
    }

    /// Makes the registry's tables if the database does not have them; serves nobody before ``run()``.
    ///
    /// - Parameters:
    ///   - database: the broker's database, or one of its own.
    ///   - port: 0 for a free one.
    /// - Throws: ``OrchestraError`` with `quarantined` if the tables cannot be made or read.
    package init(database: DatabasePool, host: String, port: Int, logger: Logger) throws(OrchestraError) {
        do {
            try RegistryTables.migrator.migrate(database)
        } catch {
            throw OrchestraError(
                .quarantined, "the schema registry's tables in \(database.path) cannot be used",
                nextStep: "restore the database from a copy, or choose another data folder", cause: error)
        }
        operations = RegistryOperations(database: database)
        self.host = host
        requestedPort = port
        self.logger = logger
    }

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

    /// Serves clients until graceful shutdown or cancellation.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` if the address cannot be bound.
    package func run() async throws {
        let application = Application(
            router: RegistryRoutes.router(operations),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: requestedPort), serverName: "orchestra-registry"),
            onServerRunning: { channel in
                let bound = channel.localAddress?.port ?? self.requestedPort
                self.settlePort(.success(bound))
                self.logger.info("schema registry is ready", metadata: ["address": "\(self.host):\(bound)"])
            },
            logger: logger)
        do {
            try await application.run()
        } catch {
            let failure = OrchestraError(
                .unavailable, "the schema registry cannot serve \(host):\(requestedPort)",
                nextStep: "choose an address of this machine and a port that is free", cause: error)
            settlePort(.failure(failure))
            throw failure
        }
        settlePort(.failure(OrchestraError(.unavailable, "the schema registry has stopped")))
        logger.info("schema registry has stopped")
    }

    private func settlePort(_ result: Result<Int, any Error>) {
        let waiting: [CheckedContinuation<Int, any Error>] = port.withLock { state in
            var waiting: [CheckedContinuation<Int, any Error>] = []
            if case .waiting(let continuations) = state { waiting = continuations }
            switch result {
            case .success(let port): state = .bound(port)
            case .failure(let error): state = .failed(error)
            }
            return waiting
        }
        for continuation in waiting { continuation.resume(with: result) }
    }
}
