package import Avro
package import EventLog
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
package import OrchestraCore
import ServiceLifecycle
package import Silo
import Transport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The door for people and programs: HTTP/1.1 in, Kafka records and grain calls out.
///
/// It keeps nothing: any gateway answers for any workflow. Shutdown: the listener closes, requests in progress are
/// answered (long polls at once, with what is known), then connections close. The producer and the call client outlive
/// it; their maker closes them afterwards.
package final class Gateway: Service {
    private let configuration: GatewayConfiguration
    private let sink: any StartEventSink
    private let responder: GatewayResponder
    private let logger: Logger
    private let bound = Transport.OneShot<Int>()

    /// A gateway that writes to Kafka.
    ///
    /// - Parameters:
    ///   - configuration: where to listen, and the bounds.
    ///   - producer: writes the start events.
    ///   - codec: encodes them; their schema is registered when the gateway runs.
    ///   - calls: reaches the owners of workflows.
    ///   - workflows: what can be triggered.
    ///   - siloObstacle: why no silo can be asked now, `nil` if one can. By default the status of `calls`, if that is a
    ///     ``CallClient``.
    ///   - members: what `GET /v1/cluster/members` answers, as JSON; `nil`: not found.
    ///   - placement: what `GET /v1/cluster/placement` answers, likewise.
    ///   - metricsPage: what `GET /metrics` answers; `nil`: not found.
    ///   - logger: for the start, and for what keeps the gateway from working.
    package convenience init(
        _ configuration: GatewayConfiguration, producer: Producer, codec: RecordCodec, calls: any GrainCallHandler,
        workflows: [WorkflowDefinition], siloObstacle: (@Sendable () -> String?)? = nil,
        members: (@Sendable () async throws -> [UInt8])? = nil,
        placement: (@Sendable () async throws -> [UInt8])? = nil, metricsPage: MetricsPage? = nil,
        logger: Logger
    ) {
        let sink = KafkaStartEventSink(configuration, producer: producer, codec: codec, logger: logger)
        self.init(
            configuration, sink: sink, calls: calls, workflows: workflows, siloObstacle: siloObstacle,
            members: members, placement: placement, metricsPage: metricsPage, logger: logger)
    }

    /// A gateway with another way to write start events.
    package init(
        _ configuration: GatewayConfiguration, sink: any StartEventSink, calls: any GrainCallHandler,
        workflows: [WorkflowDefinition], siloObstacle: (@Sendable () -> String?)? = nil,
        members: (@Sendable () async throws -> [UInt8])? = nil,
        placement: (@Sendable () async throws -> [UInt8])? = nil, metricsPage: MetricsPage? = nil,
        logger: Logger
    ) {
        self.configuration = configuration
        self.sink = sink
        self.logger = logger
        let limits = configuration.limits
        let accepted = RecentlyAccepted(capacity: limits.rememberedWorkflows)
        let siloObstacle = siloObstacle ?? Gateway.obstacle(of: calls)
        let calls = WorkflowCalls(handler: calls)
        responder = GatewayResponder(
            trigger: TriggerEndpoint(
                nodeID: configuration.nodeID, limits: limits, workflows: workflows.map(\.name).sorted(), sink: sink,
                calls: calls, ids: WorkflowIDSource(partitionCount: configuration.partitionCount), accepted: accepted,
                admission: Admission(maximumCount: limits.maximumTriggers, maximumBytes: limits.maximumTriggerBytes),
                now: { Timestamp.now }),
            status: StatusEndpoint(
                limits: limits, calls: calls, accepted: accepted,
                waits: Admission(maximumCount: limits.maximumWaits, maximumBytes: 0)),
            definitions: workflows.sorted { $0.name < $1.name },
            obstacles: { [sink.obstacle, siloObstacle()].compactMap(\.self) }, members: members,
            placement: placement, metricsPage: metricsPage, metrics: GatewayMetrics(), logger: logger)
    }

    /// - Returns: the port, once the gateway listens.
    /// - Throws: `unavailable` if it cannot listen there, `CancellationError` if the waiting task is cancelled.
    package func boundPort() async throws -> Int { try await bound.value() }

    /// Whether it accepts triggers and reaches its silos.
    package var isReady: Bool { responder.obstacles().isEmpty }

    /// Triggers that are not answered yet.
    package var triggersInProgress: Int { responder.trigger.admission.count }

    /// Serves until the graceful shutdown of the surrounding service group or the cancellation of the task.
    ///
    /// - Throws: ``OrchestraError``: `unavailable` if the address cannot be listened on; `badConfiguration` for a partition
    ///   count below 1; the registry's refusal of the start event's schema; a producer that can never write again.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            // The watcher outlives the server: triggers in progress at a shutdown still need the sink.
            group.addTask { try await self.sink.run() }
            group.addTask { try await self.serve() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func serve() async throws {
        let limits = configuration.limits
        let http = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionHandler(maximumBodySize: limits.maximumBodySize)],
            idleTimeout: TimeAmount(limits.idleTimeout),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100))
        let application = Application(
            responder: responder, server: .http1(configuration: http),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), backlog: 1024,
                availableConnectionsDelegate: .maximum(limits.maximumConnections, logger: logger)),
            onServerRunning: { [bound, configuration, logger] channel in
                let port = channel.localAddress?.port ?? configuration.port
                logger.info(
                    "accepting workflows", metadata: ["url": "http://\(configuration.host):\(port)/v1/workflows"])
                bound.finish(.success(port))
            },
            logger: logger)
        do {
            try await application.run()
        } catch let error as IOError {
            let failure = OrchestraError(
                .unavailable, "cannot listen for HTTP on \(configuration.host):\(configuration.port): \(error)",
                nextStep: "free the port, or choose another one (0 takes a free one)", cause: error)
            bound.finish(.failure(failure))
            throw failure
        } catch {
            bound.finish(.failure(error))
            throw error
        }
    }

    private static func obstacle(of calls: any GrainCallHandler) -> @Sendable () -> String? {
        guard let client = calls as? CallClient else { return { nil } }
        return {
            let missing = client.status.compactMap { peer, status -> String? in
                guard case .disconnected(let reason) = status else { return nil }
                return "\(peer)\(reason.map { " (\($0))" } ?? "")"
            }
            return missing.isEmpty ? nil : "no connection to silo \(missing.sorted().joined(separator: ", "))"
        }
    }
}

extension Timestamp {
    /// The wall clock.
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(millisecondsSinceEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
