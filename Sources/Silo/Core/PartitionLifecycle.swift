package import EventLog
package import OrchestraCore

/// The life of a partition on one silo, as a state machine without I/O: the shell reports what happened and does
/// what the directive says.
///
/// The order is what makes ownership safe: see to it that every rival has released the partition or is fenced, join the
/// silo's producer, write the claim, and only then read the changelog to its end, again minding rivals
/// (``PartitionClaims`` says why).
///
/// A standby stays at the first step: it follows the changelog, so that it has little left to read when it is nominated.
///
/// A silo that has held the partition and failed, for whatever reason, begins at the first step too. Losing a
/// transaction to fencing does not tell a rival from a broker that timed the transaction out, and a commit without an
/// answer does not tell anything; the claims in the changelog do.
package struct PartitionLifecycle: Sendable {
    package enum State: Sendable, Hashable {
        /// → following, released
        case unowned
        /// Reading the changelog, until the silo is nominated. → clearing, backingOff, stopped, released
        case following
        /// Getting rivals out of the way, those that live by asking them. → joining, following, backingOff, stopped,
        /// released
        case clearing
        /// Joining the silo's producer. → claiming, backingOff, stopped, released
        case joining
        /// → restoring, draining, backingOff, stopped
        case claiming
        /// Reading what is left of the changelog, and deleting the claims of rivals. → serving, draining, backingOff, stopped
        case restoring
        /// → draining, backingOff, stopped
        case serving
        /// Finishing what is in hand: a batch, or a step of the takeover, which may be committing. → released, stopped
        case draining
        /// → following, released
        case backingOff
        /// Given back in order. Final.
        case released
        /// Given up with an error; somebody has to look. Final.
        case stopped

        /// Whether this silo may be writing to the partition.
        package var isHolding: Bool {
            switch self {
            case .joining, .claiming, .restoring, .serving, .draining: true
            case .unowned, .following, .clearing, .backingOff, .released, .stopped: false
            }
        }

        package var isFinal: Bool { self == .released || self == .stopped }
    }

    package enum Event: Sendable {
        case start
        /// The changelog has been read and the silo shall own the partition.
        case nominated
        /// The silo shall not own the partition any more.
        case withdrawn
        /// No rival is left.
        case cleared
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
        /// The changelog and the input topics contradict each other.
        case contradiction(OrchestraError)
    }

    package enum Directive: Sendable {
        /// Read the changelog; go on reading until the silo is nominated.
        case follow
        case clear
        /// Join the silo's producer.
        case join
        case writeClaim
        case restore
        case serve
        /// Take no more input, commit what is in hand.
        case finish
        /// Leave the producer, forget what was read, wait, then begin again.
        case backOff(Duration)
        /// Close everything. With an error: raise an alarm.
        case close(OrchestraError?)
        case nothing
    }

    package private(set) var state = State.unowned
    private let partition: Int32
    private var failures = 0

    package init(partition: Int32) {
        self.partition = partition
    }

    package mutating func handle(_ event: Event) -> Directive {
        switch (state, event) {
        case (.released, _), (.stopped, _): return .nothing
        case (.unowned, .start), (.backingOff, .backedOff): return move(to: .following, .follow)
        case (.following, .nominated): return move(to: .clearing, .clear)
        case (.clearing, .withdrawn): return move(to: .following, .follow)
        case (.clearing, .cleared): return move(to: .joining, .join)
        case (.joining, .joined): return move(to: .claiming, .writeClaim)
        case (.claiming, .claimed): return move(to: .restoring, .restore)
        case (.restoring, .restored):
            failures = 0
            return move(to: .serving, .serve)
        case (.draining, .drained): return move(to: .released, .close(nil))
        case (.claiming, .drainRequested), (.restoring, .drainRequested), (.serving, .drainRequested):
            return move(to: .draining, .finish)
        case (.draining, .drainRequested): return .nothing
        case (_, .drainRequested): return move(to: .released, .close(nil))
        case (_, .contradiction(let error)): return move(to: .stopped, .close(error))
        case (.draining, .claimed), (.draining, .restored), (.draining, .failed):
            return move(to: .released, .close(nil))
        case (_, .failed(let error)): return recover(from: error)
        default:
            preconditionFailure("partition \(partition): \(event) is impossible while \(state)")
        }
    }

    private mutating func recover(from error: EventLogError) -> Directive {
        switch error.kind {
        case .badConfiguration, .unknownTopic:
            let reason = OrchestraError(
                .badConfiguration, "partition \(partition): \(error.message)", nextStep: error.nextStep, cause: error)
            return move(to: .stopped, .close(reason))
        default:
            // 100 ms, doubled with each failure in a row, at most 5 s.
            failures += 1
            let pause = min(Duration.milliseconds(100) * (1 << min(failures - 1, 10)), .seconds(5))
            return move(to: .backingOff, .backOff(pause))
        }
    }

    private mutating func move(to next: State, _ directive: Directive) -> Directive {
        state = next
        return directive
    }
}
