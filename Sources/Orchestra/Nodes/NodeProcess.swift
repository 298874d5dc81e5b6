import Foundation
import Logging
import OrchestraCore
import ServiceLifecycle
import UnixSignals

/// The parts of a node, ready to run.
struct NodeServices {
    /// Started in this order, stopped in the reverse one.
    var services: [any Service]
    /// Waits until the node serves; returns what it serves where.
    var ready: @Sendable () async throws -> [String: String]
    /// Lets go of what is no service, after all services have stopped.
    var close: @Sendable () async -> Void = {}
}

/// Runs one node in this process, from configuration to graceful stop.
enum NodeProcess {
    /// How long a node may take to stop by itself; less than the supervisor's patience.
    private static let stopLimit: Duration = .seconds(15)

    /// Returns after a graceful stop by SIGINT or SIGTERM.
    ///
    /// - Parameters:
    ///   - role: names the node in logs and, without another name, in the cluster.
    ///   - supervision: whether `up` started it.
    ///   - load: reads the configuration.
    ///   - build: makes the node's parts.
    /// - Throws: what made the node fail; its supervisor has been told.
    static func run(
        role: String, supervision: SupervisionOptions, load: () throws -> ResolvedConfiguration,
        build: (NodeContext) async throws -> NodeServices
    ) async throws {
        // A peer that closes its end must be an error of that write, not the end of this process.
        signal(SIGPIPE, SIG_IGN)
        NodeMetrics.start()
        let link = try supervision.link()
        do {
            let configuration = try load()
            let logger = startLogging(configuration, role: role)
            let context = NodeContext(role: role, configuration: configuration, logger: logger)
            nameThisProcess(context.nodeID)
            let parts = try await build(context)
            try await runServices(parts, context: context, link: link)
        } catch {
            link?.send(.failed(RootCommand.describe(error)))
            throw error
        }
    }

    private static func startLogging(_ configuration: ResolvedConfiguration, role: String) -> Logger {
        let level = Logger.Level(rawValue: configuration[ConfigurationKeys.logLevel]) ?? .info
        let format = NodeLogHandler.Format(rawValue: configuration[ConfigurationKeys.logFormat]) ?? .human
        LoggingSystem.bootstrap { NodeLogHandler(label: $0, level: level, format: format) }
        return Logger(label: role)
    }

    /// Lets `top` and `ps -o comm` tell the nodes apart: all run the same executable.
    private static func nameThisProcess(_ nodeID: String) {
        // Swift cannot call the variadic prctl(PR_SET_NAME). The kernel keeps 15 bytes.
        try? Data("orch-\(nodeID)".utf8).write(to: URL(fileURLWithPath: "/proc/self/comm"))
    }

    private static func runServices(
        _ parts: NodeServices, context: NodeContext, link: SupervisorLink?
    ) async throws {
        let readiness = ReadinessService(ready: parts.ready, link: link, context: context)
        var configuration = ServiceGroupConfiguration(
            services: parts.services + [readiness], gracefulShutdownSignals: [.sigint, .sigterm], logger: context.logger
        )
        configuration.maximumGracefulShutdownDuration = stopLimit
        context.logger.info("starting", metadata: ["node": "\(context.nodeID)", "version": "\(orchestraVersion)"])
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch {
            await parts.close()
            throw error
        }
        await parts.close()
        context.logger.info("stopped", metadata: ["node": "\(context.nodeID)"])
    }
}

/// Tells the log and the supervisor once the node serves.
private struct ReadinessService: Service, CustomStringConvertible {
    let ready: @Sendable () async throws -> [String: String]
    let link: SupervisorLink?
    let context: NodeContext

    /// The service group logs its services; the configuration in this one, secrets included, is not for the log.
    var description: String { "ReadinessService" }

    func run() async throws {
        let start = ContinuousClock.now
        let addresses: [String: String]
        do {
            addresses = try await cancelWhenGracefulShutdown {
                let addresses = try await ready()
                // A wait that a shutdown has ended says nothing about readiness.
                try Task.checkCancellation()
                return addresses
            }
        } catch {
            // Stopped before it was ready. A part that failed throws its own error besides this one's.
            try await gracefulShutdown()
            return
        }
        var metadata: Logger.Metadata = addresses.mapValues { "\($0)" }
        metadata["node"] = "\(context.nodeID)"
        metadata["after"] = "\((ContinuousClock.now - start).secondsText)"
        context.logger.info("ready", metadata: metadata)
        link?.send(.ready(addresses))
        try await gracefulShutdown()
    }
}
