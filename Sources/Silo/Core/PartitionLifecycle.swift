package import EventLog
package import OrchestraCore
package import Records

/// The life of a partition on one silo, as a state machine without I/O: the shell reports what happened and does
/// what the directive says.
///
/// The order is what makes ownership safe: join the silo's producer, write the claim, fence everybody else with a claim,
/// and only then read the changelog to its end (``PartitionClaims`` says why).
///
/// The last to claim wins, not the rightful owner. So a silo that has owned the partition and failed, for whatever
/// reason, never just initialises again: it might fence a rival that has taken over meanwhile. (Losing a transaction to
/// fencing does not tell a rival from a broker that timed the transaction out, and a commit without an answer does not
/// tell anything.) It waits a moment and reads the claims back: if nobody else has
/// claimed the partition, it begins again; otherwise this silo stops serving it.
package struct PartitionLifecycle: Sendable {
    package enum State: Sendable, Hashable {
        /// → joining, released
        case unowned
        /// Joining the silo's producer. → claiming; backingOff or (if it was owned before) verifying; stopped, released
        case joining
        /// → restoring, verifying, stopped, released
        case claiming
        /// Fencing the others and reading the changelog. → serving, verifying, stopped, released
        case restoring
        /// → draining, verifying, stopped
        case serving
        /// Finishing the batch in hand. → released
        case draining
        /// Reading the claim after a failure. → joining, backingOff, stopped, released
        case verifying
        /// → joining or (if it was owned before) verifying; released
        case backingOff
        /// Given back in order. Final.
        case released
        /// Given up with an error; somebody has to look. Final.
        case stopped
    }

    package enum Event: Sendable {
        case start
        case joined
        case claimed
        case restored
        /// The partition shall be given back.
        case drainRequested
        /// The last batch has committed.
        case drained
        case backedOff
        /// What was being done failed. The outcome of a commit may be unknown.
        case failed(EventLogError)
        /// The last claim since this silo began to take the partition over; `nil` if there is none.
        case claimRead(PartitionClaim?)
        /// The changelog and the input topics contradict each other.
        case contradiction(OrchestraError)
    }

    package enum Directive: Sendable {
        /// Join the silo's producer.
        case join
        case writeClaim
        case restore
        case serve
        /// Take no more input, commit what is in hand.
        case finish
        /// Leave the producer, wait a moment, then read the claims.
        case verifyClaim
        /// Leave the producer, wait, then begin again.
        case backOff(Duration)
        /// Close everything. With an error: raise an alarm.
        case close(OrchestraError?)
        case nothing
    }

    package private(set) var state = State.unowned
    private let silo: String
    private let generation: Int64
    private let partition: Int32
    private var failures = 0
    /// Whether this silo has come as far as claiming: from then on a rival may have taken over.
    private var hasOwned = false
    private var isDraining = false

    package init(partition: Int32, silo: String, generation: Int64) {
        self.partition = partition
        self.silo = silo
        self.generation = generation
    }

    package mutating func handle(_ event: Event) -> Directive {
        switch (state, event) {
        case (.released, _), (.stopped, _): return .nothing
        case (.unowned, .start): return move(to: .joining, .join)
        case (.joining, .joined):
            hasOwned = true
            return move(to: .claiming, .writeClaim)
        case (.claiming, .claimed): return move(to: .restoring, .restore)
        case (.restoring, .restored):
            failures = 0
            return move(to: .serving, .serve)
        case (.backingOff, .backedOff):
            return hasOwned ? move(to: .verifying, .verifyClaim) : move(to: .joining, .join)
        case (.draining, .drained): return move(to: .released, .close(nil))
        case (.serving, .drainRequested):
            isDraining = true
            state = .draining
            return .finish
        case (.draining, .drainRequested): return .nothing
        case (_, .drainRequested):
            isDraining = true
            return move(to: .released, .close(nil))
        case (.verifying, .claimRead(let claim)): return judge(claim)
        case (_, .contradiction(let error)): return move(to: .stopped, .close(error))
        case (_, .failed(let error)): return recover(from: error)
        default:
            preconditionFailure("partition \(partition): \(event) is impossible while \(state)")
        }
    }

    private mutating func recover(from error: EventLogError) -> Directive {
        if isDraining { return move(to: .released, .close(nil)) }
        switch error.kind {
        case .badConfiguration, .unknownTopic:
            return move(
                to: .stopped,
                .close(
                    OrchestraError(
                        .badConfiguration, "partition \(partition): \(error.message)", nextStep: error.nextStep,
                        cause: error)))
        default:
            guard hasOwned, state != .verifying else { return backOff() }
            return move(to: .verifying, .verifyClaim)
        }
    }

    private mutating func judge(_ claim: PartitionClaim?) -> Directive {
        // A claim of this node by a later generation is a rival too: a restarted process of the same name.
        if let claim, claim.silo != silo || claim.generation > generation {
            let error = OrchestraError(
                .notOwner,
                "partition \(partition) was taken over by silo \(claim.silo) (generation "
                    + "\(claim.generation)) at \(claim.claimedAt.millisecondsSinceEpoch) ms",
                nextStep: "run one silo for these topics, or give each its own cluster")
            return move(to: .stopped, .close(error))
        }
        return move(to: .joining, .join)
    }

    /// 100 ms, doubled with each failure in a row, at most 5 s.
    private mutating func backOff() -> Directive {
        failures += 1
        let pause = min(Duration.milliseconds(100) * (1 << min(failures - 1, 10)), .seconds(5))
        return move(to: .backingOff, .backOff(pause))
    }

    private mutating func move(to next: State, _ directive: Directive) -> Directive {
        state = next
        return directive
    }
}
