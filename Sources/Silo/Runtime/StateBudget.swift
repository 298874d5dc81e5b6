import OrchestraCore
import Synchronization

/// The memory that the state of all grains of a silo may take.
final class StateBudget: Sendable {
    let limit: Int
    private let used = Atomic<Int>(0)
    private let didCross: @Sendable () -> Void

    /// - Parameter didCross: told when the limit has been crossed, in either direction.
    init(limit: Int, didCross: @escaping @Sendable () -> Void = {}) {
        self.limit = limit
        self.didCross = didCross
    }

    var bytes: Int { used.load(ordering: .relaxed) }
    var isExceeded: Bool { bytes > limit }

    func add(_ change: Int) {
        let (before, after) = used.wrappingAdd(change, ordering: .relaxed)
        if (before > limit) != (after > limit) { didCross() }
    }

    var error: OrchestraError {
        OrchestraError(
            .overloaded, "the silo holds \(bytes) bytes of grain state, over its limit of \(limit)",
            nextStep: "raise the limit, shorten the retention of finished grains, or add silos")
    }
}
