import Synchronization

/// Bounds the triggers in progress, by number and by bytes of their bodies.
final class Admission: Sendable {
    private let maximumCount: Int
    private let maximumBytes: Int
    private let used = Mutex((count: 0, bytes: 0))

    init(maximumCount: Int, maximumBytes: Int) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
    }

    var count: Int { used.withLock { $0.count } }

    /// - Returns: whether there is room for one more; it counts until `leave`.
    func enter() -> Bool {
        used.withLock { used in
            guard used.count < maximumCount else { return false }
            used.count += 1
            return true
        }
    }

    /// - Returns: whether the bytes fit; if so they count until `leave`.
    func grow(_ bytes: Int) -> Bool {
        used.withLock { used in
            guard used.bytes + bytes <= maximumBytes else { return false }
            used.bytes += bytes
            return true
        }
    }

    /// - Parameter bytes: all that `grow` granted.
    func leave(bytes: Int) {
        used.withLock { used in
            used.count -= 1
            used.bytes -= bytes
        }
    }
}
