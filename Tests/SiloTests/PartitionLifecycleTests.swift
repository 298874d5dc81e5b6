import EventLog
import OrchestraCore
import Testing

@testable import Silo

/// The life of a partition, event by event.
@Suite struct PartitionLifecycleTests {
    private static let takeover: [PartitionLifecycle.Event] = [
        .start, .nominated, .cleared, .joined, .claimed, .restored,
    ]

    private func failure(_ kind: EventLogError.Kind) -> PartitionLifecycle.Event {
        .failed(EventLogError(kind: kind, name: "_TEST", message: "failed on purpose"))
    }

    /// A partition that has come this far.
    private func lifecycle(_ events: some Sequence<PartitionLifecycle.Event>) -> PartitionLifecycle {
        var lifecycle = PartitionLifecycle(partition: 3)
        for event in events { _ = lifecycle.handle(event) }
        return lifecycle
    }

    @Test func followsThenClearsThenJoinsThenClaimsThenRestores() {
        var lifecycle = PartitionLifecycle(partition: 3)
        guard case .follow = lifecycle.handle(.start) else { return fail(lifecycle) }
        guard case .clear = lifecycle.handle(.nominated) else { return fail(lifecycle) }
        #expect(!lifecycle.state.isHolding)
        guard case .join = lifecycle.handle(.cleared) else { return fail(lifecycle) }
        #expect(lifecycle.state.isHolding, "from here on it may write")
        guard case .writeClaim = lifecycle.handle(.joined) else { return fail(lifecycle) }
        guard case .restore = lifecycle.handle(.claimed) else { return fail(lifecycle) }
        guard case .serve = lifecycle.handle(.restored) else { return fail(lifecycle) }
        guard case .finish = lifecycle.handle(.drainRequested) else { return fail(lifecycle) }
        #expect(lifecycle.state.isHolding, "the last batch is still to commit")
        guard case .close(nil) = lifecycle.handle(.drained) else { return fail(lifecycle) }
        #expect(lifecycle.state == .released)
        #expect(!lifecycle.state.isHolding)
    }

    @Test func aNominationCanBeWithdrawnBeforeItHasHadAnEffect() {
        var lifecycle = lifecycle([.start, .nominated])
        guard case .follow = lifecycle.handle(.withdrawn) else { return fail(lifecycle) }
        guard case .clear = lifecycle.handle(.nominated) else { return fail(lifecycle) }
    }

    @Test(arguments: [EventLogError.Kind.fenced, .outcomeUnknown, .fatal, .closed, .timedOut, .retriable])
    func whoFailsReadsTheClaimsBeforeItClaimsAgain(kind: EventLogError.Kind) {
        for count in 1...Self.takeover.count {
            var lifecycle = lifecycle(Self.takeover.prefix(count))
            guard case .backOff = lifecycle.handle(failure(kind)) else { return fail(lifecycle) }
            #expect(!lifecycle.state.isHolding)
            guard case .follow = lifecycle.handle(.backedOff) else { return fail(lifecycle) }
        }
    }

    @Test func pausesGrowUntilThePartitionIsServed() {
        var lifecycle = lifecycle([.start])
        var pauses: [Duration] = []
        for _ in 0..<9 {
            guard case .backOff(let pause) = lifecycle.handle(failure(.timedOut)) else { return fail(lifecycle) }
            pauses.append(pause)
            guard case .follow = lifecycle.handle(.backedOff) else { return fail(lifecycle) }
        }
        #expect(pauses.first == .milliseconds(100))
        #expect(pauses == pauses.sorted())
        #expect(pauses.last == .seconds(5))
        for event in Self.takeover.dropFirst() { _ = lifecycle.handle(event) }
        guard case .backOff(.milliseconds(100)) = lifecycle.handle(failure(.fenced)) else { return fail(lifecycle) }
    }

    @Test func whatNobodyCanMendStopsThePartition() {
        for kind in [EventLogError.Kind.badConfiguration, .unknownTopic] {
            var lifecycle = lifecycle([.start])
            guard case .close(.some) = lifecycle.handle(failure(kind)) else { return fail(lifecycle) }
            #expect(lifecycle.state == .stopped)
        }
        var lifecycle = lifecycle(Self.takeover.prefix(5))
        let error = OrchestraError(.badConfiguration, "the topics contradict each other")
        guard case .close(.some) = lifecycle.handle(.contradiction(error)) else { return fail(lifecycle) }
        guard case .nothing = lifecycle.handle(.drainRequested) else { return fail(lifecycle) }
        #expect(lifecycle.state == .stopped)
    }

    @Test func aDrainEndsEveryStateAndNothingFollows() {
        for count in 0..<4 {
            var lifecycle = lifecycle(Self.takeover.prefix(count))
            guard case .close(nil) = lifecycle.handle(.drainRequested) else { return fail(lifecycle) }
            guard case .nothing = lifecycle.handle(.restored) else { return fail(lifecycle) }
            #expect(lifecycle.state == .released)
        }
        var draining = lifecycle(Self.takeover + [.drainRequested])
        guard case .nothing = draining.handle(.drainRequested) else { return fail(draining) }
        guard case .close(nil) = draining.handle(failure(.fenced)) else { return fail(draining) }
        #expect(draining.state == .released)
    }

    @Test(arguments: 4..<6) func aTakeoverThatIsGivenUpHoldsThePartitionUntilItsStepHasEnded(count: Int) {
        var lifecycle = lifecycle(Self.takeover.prefix(count))
        guard case .finish = lifecycle.handle(.drainRequested) else { return fail(lifecycle) }
        #expect(lifecycle.state.isHolding, "it may be committing")
        guard case .close(nil) = lifecycle.handle(Self.takeover[count]) else { return fail(lifecycle) }
        #expect(lifecycle.state == .released)
    }

    private func fail(_ lifecycle: PartitionLifecycle, sourceLocation: SourceLocation = #_sourceLocation) {
        Issue.record("unexpected directive, now \(lifecycle.state)", sourceLocation: sourceLocation)
    }
}
