import Avro
import EventLog
import Logging
import Membership
import OrchestraCore
import Records
import SeededRandom
import Silo

/// One process: a real silo on a virtual host.
///
/// `@unchecked Sendable`: it belongs to the thread of its ``VirtualWorld``.
final class SiloProcess: @unchecked Sendable {
    let name: String
    let generation: Int64
    let host: VirtualHost
    private(set) var silo: Silo!
    private var task: Task<Void, Never>?
    private var shutdownWaits: [Promise<Bool>] = []
    private(set) var isLeaving = false
    /// Its ``Silo/run()`` has returned.
    private(set) var hasEnded = false
    private(set) var failure: (any Error)?
    /// Told when it has ended by itself.
    var onEnd: () -> Void = {}
    /// What to do when its caller goes away; by call.
    private var calls: [Int: @Sendable () -> Void] = [:]
    private var lastCall = 0

    init(
        _ name: String, generation: Int64, on host: VirtualHost, kafka: ModelKafka, network: any SiloNetwork,
        settings: OwnershipSettings, leaving: @escaping @Sendable () async -> Void
    ) throws {
        (self.name, self.generation, self.host) = (name, generation, host)
        var configuration = SiloConfiguration(
            nodeID: name, generation: generation, kafka: KafkaConfiguration(bootstrapServers: "model", clientID: name))
        configuration.partitionCount = settings.partitionCount
        configuration.standbys = settings.standbys
        configuration.workflows = []
        configuration.limits.idleTime = settings.idleTime
        configuration.groupID = SiloProcess.group
        configuration.clocks = host.clocks
        configuration.tick = .milliseconds(100)
        configuration.jitter = { 0.5 + host.world.random.fraction() / 2 }
        configuration.executor = host
        let log = ModelLog(kafka, on: host, partitionCount: settings.partitionCount)
        silo = try Silo(
            configuration, grains: [Tally.self, Board.self], coding: settings.codec, network: network, leaving: leaving,
            logger: host.logger, connect: { log })
    }

    static let group = "g"
    static func transactionalID(of name: String) -> String { "\(group).\(name)" }

    /// Whether it takes part: neither dead nor at its end.
    var isUp: Bool { !host.isDead && !hasEnded }

    func start() {
        task = Task(executorPreference: host) {
            do {
                try await self.silo.run(until: { try await self.waitForShutdown() })
            } catch {
                self.failure = error
            }
            self.hasEnded = true
            self.onEnd()
        }
    }

    /// In a task of the process: one that is paused hears it later, and views may overtake each other.
    func follow(_ view: SiloView) {
        _ = Task(executorPreference: host) { self.silo.follow(view) }
    }

    /// `SIGTERM`.
    func leave() {
        isLeaving = true
        for wait in shutdownWaits { wait.resolve(true) }
        shutdownWaits = []
    }

    private func waitForShutdown() async throws {
        if isLeaving { return }
        let wait = Promise<Bool>()
        shutdownWaits.append(wait)
        guard await wait.value(ifCancelled: false) else { throw CancellationError() }
    }

    /// `SIGKILL`.
    func kill() {
        host.die()
        task?.cancel()
        let open = calls.sorted { $0.key < $1.key }
        calls = [:]
        for (_, cancel) in open { cancel() }
    }

    /// Has the silo answer a call in a task of its process.
    ///
    /// - Parameter gone: called when the process dies first.
    func answer(
        _ request: GrainCallRequest, gone: @escaping @Sendable () -> Void,
        _ reply: @escaping @Sendable (Result<GrainCallReply, OrchestraError>) -> Void
    ) {
        lastCall += 1
        let call = lastCall
        let task = Task(executorPreference: host) {
            let result: Result<GrainCallReply, OrchestraError>
            do throws(OrchestraError) {
                result = .success(try await self.silo.handle(request))
            } catch {
                result = .failure(error)
            }
            guard self.calls.removeValue(forKey: call) != nil else { return }
            reply(result)
        }
        calls[call] = {
            task.cancel()
            gone()
        }
    }
}

/// What a run is made of.
struct OwnershipSettings: Sendable {
    var siloCount = 3
    var partitionCount: Int32 = 4
    var standbys = 1
    /// After half of it what nobody uses may be collected.
    var idleTime = Duration.seconds(900)
    var codec = PlainCodec()
}

/// Writes records in Avro behind the number of their type; there is no registry.
struct PlainCodec: RecordCoding {
    func register<R: AvroRecord>(_ record: R.Type, subject: String) async throws {}

    func encode<R: AvroRecord>(_ record: R) throws(AvroError) -> [UInt8] {
        var writer = AvroWriter()
        record.write(to: &writer)
        return [PlainCodec.number(of: R.self)] + writer.bytes
    }

    func decodeIfKnown<R: AvroRecord>(_ record: R.Type, from bytes: [UInt8]) throws(AvroError) -> R? {
        guard bytes.first == PlainCodec.number(of: R.self) else { throw AvroError(.wrongRecord, "no \(R.avroName)") }
        var reader = AvroReader(bytes, from: 1)
        return try R(from: &reader)
    }

    func decode<R: AvroRecord>(_ record: R.Type, from bytes: [UInt8]) async throws(AvroError) -> R {
        guard let value = try decodeIfKnown(R.self, from: bytes) else { throw AvroError(.wrongRecord, "cannot be") }
        return value
    }

    private static func number<R: AvroRecord>(of record: R.Type) -> UInt8 {
        R.avroName.utf8.reduce(7) { $0 &* 31 &+ $1 }
    }
}

extension VirtualHost {
    /// Logs into the world's trace.
    var logger: Logger {
        var logger = Logger(label: name) { _ in TraceLog(host: self) }
        logger.logLevel = world.trace == nil ? .critical : .debug
        return logger
    }
}

private struct TraceLog: LogHandler {
    let host: VirtualHost
    var logLevel = Logger.Level.debug
    var metadata: Logger.Metadata = [:]

    init(host: VirtualHost) { self.host = host }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let values = metadata.merging(event.metadata ?? [:]) { _, new in new }.filter { $0.key != "silo" }
        let text = values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        host.world.log("\(host.name): \(event.message) \(text)")
    }
}
