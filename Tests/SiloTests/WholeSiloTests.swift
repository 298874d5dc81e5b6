import EventLog
import Logging
import OrchestraCore
import Records
import Testing

@testable import Silo

/// A whole silo over a log in memory.
@Suite(.timeLimit(.minutes(1))) struct WholeSiloTests {
    /// Two processes of one name would fence each other for ever.
    @Test func aSupersededProcessInitialisesNothing() async throws {
        let (log, codec, recorder) = (MemoryLog(), TestCodec(), LogRecorder())
        let silo = try Silo.inMemory(log, codec: codec, logger: recorder.logger)
        try await silo.serve {
            await silo.waitUntilReady()
            let id = "orchestra.silo.silo-1"
            #expect(log.epoch(of: id) == 1)
            let successor = SiloHeartbeat(silo: "silo-1", generation: 2, sequence: 1)
            log.append(
                ProducerRecord(
                    topic: Topics.silos, partition: 0, key: Array("silo-1".utf8),
                    value: try codec.encode(successor)))
            try await eventually("it has noticed") {
                recorder.count(of: "another process runs under this silo's name: this one stops committing") == 1
            }
            // The successor initialises the id: a command of the elder finds that out.
            log.fence(id)
            let counter = try ClusterClient(handler: silo).grain(Counter.self, key: "a")
            let late = await code { _ = try await counter.send(Add(amount: 1)) }
            #expect(late == .outcomeUnknown)
            try await eventually("it has tried to take its partition over, and not been let") {
                recorder.count(of: "the partition cannot be taken over yet") >= 3
            }
            #expect(log.epoch(of: id) == 2, "the successor's")
        }
    }

    /// Views overtake each other on their way to a silo, also while it starts.
    @Test func anOlderViewIsPassedOverBeforeThereArePartitions() async throws {
        let silo = try Silo.inMemory(MemoryLog(), network: NoNetwork())
        silo.follow(SiloView(version: 2, silos: [SiloView.Silo(id: "silo-1", generation: 1)]))
        silo.follow(SiloView(version: 1, silos: []))
        try await silo.serve {
            try await eventually("it owns what the newer view gives it") { silo.isReady }
        }
    }
}
