import EventLog
import OrchestraCore
import Records
import Testing

@testable import Silo

/// The life of a partition, event by event.
@Suite struct PartitionLifecycleTests {
    private func failure(_ kind: EventLogError.Kind) -> PartitionLifecycle.Event {
        .failed(EventLogError(kind: kind, name: "_TEST", message: "failed on purpose"))
    }

    private func claim(_ silo: String, _ generation: Int64) -> PartitionLifecycle.Event {
        .claimRead(
            PartitionClaim(
                silo: silo, generation: generation, transactionalId: silo,
                claimedAt: Timestamp(millisecondsSinceEpoch: 0)))
    }

    /// A partition that has come this far.
    private func lifecycle(_ events: PartitionLifecycle.Event...) -> PartitionLifecycle {
        var lifecycle = PartitionLifecycle(partition: 3, silo: "silo-1", generation: 5)
        for event in events { _ = lifecycle.handle(event) }
        return lifecycle
    }

    @Test func joinsThenClaimsThenRestores() {
        var lifecycle = lifecycle()
        guard case .join = lifecycle.handle(.start) else { return fail(lifecycle) }
        guard case .writeClaim = lifecycle.handle(.joined) else { return fail(lifecycle) }
        guard case .restore = lifecycle.handle(.claimed) else { return fail(lifecycle) }
        guard case .serve = lifecycle.handle(.restored) else { return fail(lifecycle) }
        guard case .finish = lifecycle.handle(.drainRequested) else { return fail(lifecycle) }
        guard case .close(nil) = lifecycle.handle(.drained) else { return fail(lifecycle) }
        #expect(lifecycle.state == .released)
    }

    @Test(arguments: [EventLogError.Kind.fenced, .outcomeUnknown, .fatal, .closed, .timedOut, .retriable])
    func whoHasOwnedLooksForARivalBeforeItClaimsAgain(kind: EventLogError.Kind) {
        for stage in 0..<3 {
            let events: [PartitionLifecycle.Event] = [.start, .joined, .claimed, .restored]
            var lifecycle = lifecycle()
            for event in events.prefix(2 + stage) { _ = lifecycle.handle(event) }
            guard case .verifyClaim = lifecycle.handle(failure(kind)) else { return fail(lifecycle) }
            // Kafka does not answer: it goes on looking.
            guard case .backOff = lifecycle.handle(failure(.timedOut)) else { return fail(lifecycle) }
            guard case .verifyClaim = lifecycle.handle(.backedOff) else { return fail(lifecycle) }
            guard case .join = lifecycle.handle(claim("silo-1", 5)) else { return fail(lifecycle) }
            // It cannot fence now, so it looks again before the next attempt.
            guard case .verifyClaim = lifecycle.handle(failure(.timedOut)) else { return fail(lifecycle) }
            guard case .close(.some) = lifecycle.handle(claim("silo-2", 1)) else { return fail(lifecycle) }
            #expect(lifecycle.state == .stopped)
        }
    }

    @Test func whoHasNeverOwnedJustTriesAgainEachTimeLater() {
        var lifecycle = lifecycle(.start)
        var pauses: [Duration] = []
        for _ in 0..<9 {
            guard case .backOff(let pause) = lifecycle.handle(failure(.timedOut)) else { return fail(lifecycle) }
            pauses.append(pause)
            guard case .join = lifecycle.handle(.backedOff) else { return fail(lifecycle) }
        }
        #expect(pauses.first == .milliseconds(100))
        #expect(pauses == pauses.sorted())
        #expect(pauses.last == .seconds(5))
    }

    @Test func claimsOfPredecessorsAreNoRivals() {
        for event in [claim("silo-1", 4), claim("silo-1", 5), .claimRead(nil)] {
            var lifecycle = lifecycle(.start, .joined, .claimed, .restored, failure(.fenced))
            guard case .join = lifecycle.handle(event) else { return fail(lifecycle) }
        }
        var lifecycle = lifecycle(.start, .joined, .claimed, .restored, failure(.fenced))
        guard case .close(.some) = lifecycle.handle(claim("silo-1", 6)) else { return fail(lifecycle) }
    }

    @Test func aDrainEndsEveryStateAndNothingFollows() {
        let events: [PartitionLifecycle.Event] = [.start, .joined, .claimed]
        for count in 0...events.count {
            var lifecycle = lifecycle()
            for event in events.prefix(count) { _ = lifecycle.handle(event) }
            guard case .close(nil) = lifecycle.handle(.drainRequested) else { return fail(lifecycle) }
            guard case .nothing = lifecycle.handle(.restored) else { return fail(lifecycle) }
            #expect(lifecycle.state == .released)
        }
    }

    private func fail(_ lifecycle: PartitionLifecycle, sourceLocation: SourceLocation = #_sourceLocation) {
        Issue.record("unexpected directive, now \(lifecycle.state)", sourceLocation: sourceLocation)
    }
}
