import Dispatch
import GRDB

/// A database whose only writer is held up.
final class HeldDisk: Sendable {
    private let gate = DispatchSemaphore(value: 0)

    /// Returns once the writer is held.
    init(_ pool: DatabasePool) {
        let (gate, isHeld) = (gate, DispatchSemaphore(value: 0))
        DispatchQueue.global().async {
            pool.writeWithoutTransaction { _ in
                isHeld.signal()
                gate.wait()
            }
        }
        isHeld.wait()
    }

    func release() { gate.signal() }
}
