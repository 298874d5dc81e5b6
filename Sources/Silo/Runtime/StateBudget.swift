import OrchestraCore
import Synchronization

/// The memory that the state of all grains of a silo may take.
final class StateBudget: Sendable {
    let limit: Int
    private let used = Atomic<Int>(0)

    init(limit: Int) {
        self.limit = limit
    }

    var bytes: Int { used.load(ordering: .relaxed) }
    var isExceeded: Bool { bytes > limit }

    func add(_ change: Int) { used.wrappingAdd(change, ordering: .relaxed) }

    var error: OrchestraError {
        OrchestraError(
            .overloaded, "the silo holds \(bytes) bytes of grain state, over its limit of \(limit)",
            nextStep: "raise the limit, shorten the retention of finished grains, or add silos")
    }
}
