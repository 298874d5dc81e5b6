package import Membership
package import SeededRandom

/// One process of the simulation: the protocol, its clock, and what the network has counted.
package final class SimulatedNode {
    package enum State: Sendable {
        case running
        /// Does not run, but its host accepts connections and keeps what arrives: `SIGSTOP`, a pause.
        case stalled
        /// The process is gone; its host refuses connections.
        case exited
        /// The host is gone: nothing answers.
        case vanished
    }

    package let id: NodeID
    package let address: NodeAddress
    package var membership: Membership
    package var random: SeededGenerator
    package var state: State = .exited
    /// Counts the processes under this name; what was planned for an earlier one is void.
    package var life = 0
    /// This node's clock: what it showed at the start, in microseconds, and how many microseconds a second it is fast.
    package var clockOffset: Int64 = 0
    package var clockDrift: Int64 = 0
    var wakeToken: UInt64 = 0
    /// What arrived during a stall, in order.
    var inbox: [MembershipEvent] = []

    package var sentBytes = 0
    package var receivedBytes = 0
    package var sentMessages = 0
    package var peakBytesPerSecond = 0
    var second: Int64 = 0
    package internal(set) var bytesThisSecond = 0

    init(id: NodeID, address: NodeAddress, membership: Membership, random: SeededGenerator) {
        self.id = id
        self.address = address
        self.membership = membership
        self.random = random
    }

    package var role: MemberRole { membership.description.role }

    package var isUp: Bool { state == .running || state == .stalled }

    func step(_ event: MembershipEvent, now: Moment, effects: inout [MembershipEffect]) {
        membership.step(event, now: now, random: &random, effects: &effects)
    }

    func local(_ time: Int64) -> Moment {
        Moment(microseconds: clockOffset + time + time * clockDrift / 1_000_000)
    }

    /// The first time at which this node's clock shows the moment or later.
    func global(_ moment: Moment) -> Int64 {
        let elapsed = moment.microseconds - clockOffset
        guard clockDrift != 0 else { return elapsed }
        var time = Int64(Double(elapsed) / (1 + Double(clockDrift) / 1_000_000)) - 2 * (abs(clockDrift) + 1)
        while local(time) < moment { time += max(1, (moment - local(time)).microseconds) }
        return time
    }

    /// - Parameter time: of the simulation, in microseconds.
    func count(_ bytes: Int, sent: Bool, at time: Int64) {
        if sent {
            sentBytes += bytes
            sentMessages += 1
        } else {
            receivedBytes += bytes
        }
        if time / 1_000_000 != second {
            second = time / 1_000_000
            bytesThisSecond = 0
        }
        if sent { bytesThisSecond += bytes }
        peakBytesPerSecond = max(peakBytesPerSecond, bytesThisSecond)
    }

    package func resetCounters() {
        sentBytes = 0
        receivedBytes = 0
        sentMessages = 0
        peakBytesPerSecond = 0
        bytesThisSecond = 0
    }
}
