import EventLog
import Logging
import OrchestraCore
import Testing

@testable import Silo

@Suite(.timeLimit(.minutes(1))) struct HeartbeatsTests {
    /// A heartbeat says that its silo lived when it was sent; the commit may have taken long.
    @Test func theLeaseCountsFromWhenAHeartbeatWasSent() async throws {
        let (log, clock, codec) = (MemoryLog(), TestClock(), TestCodec())
        var configuration = SiloConfiguration(
            nodeID: "n", generation: 1, kafka: KafkaConfiguration(bootstrapServers: "none", clientID: "n"))
        configuration.clocks = clock.clocks
        configuration.heartbeatInterval = .seconds(600)
        let lease = ServingLease(clocks: clock.clocks)
        let heartbeats = Heartbeats(
            configuration, sink: log.makeProducer("n"),
            open: { () async throws(EventLogError) in throw EventLogError.closed("nobody reads") }, codec: codec,
            lease: lease, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        log.blockCommits(true)
        let running = Task { await heartbeats.run() }
        try await eventually("a heartbeat is under way") { log.blockedCommits == 1 }
        clock.advance(.milliseconds(500))
        #expect(!lease.isHeld, "it has not been committed")
        log.blockCommits(false)
        try await eventually("the lease is held") { lease.isHeld }
        clock.advance(ServingLease.duration - .milliseconds(500))
        #expect(!lease.isHeld)
        running.cancel()
        await running.value
    }
}
