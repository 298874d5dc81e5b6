import Synchronization

/// Wakes whoever keeps the time of a silo's partitions (``TimeKeeper``) before it would look at them by itself.
///
/// Whoever adds something that time has to look after (a deadline, a pause, a turn that may take too long) adds it
/// first and then asks. Under load somebody has asked already, and asking again costs one atomic operation.
final class Attention: Sendable {
    private static let isAsked: UInt8 = 1
    private static let wantsReconcile: UInt8 = 2

    /// Both in one word: who finds the question standing has been early enough, and what it added is seen by the keeper
    /// that forgets the question.
    private let flags = Atomic<UInt8>(0)
    private let signal = Signal()

    /// Something was added: it is looked at within a tick.
    func ask() { raise(Attention.isAsked) }

    /// Something has changed on which it depends what runs here: see ``SiloPartitions/reconcile()``.
    func askToReconcile() { raise(Attention.isAsked | Attention.wantsReconcile) }

    /// Forgets what was asked. To be called before looking.
    ///
    /// - Returns: whether something has changed.
    func begin() -> Bool {
        flags.exchange(0, ordering: .acquiringAndReleasing) & Attention.wantsReconcile != 0
    }

    /// Waits so long, or until somebody asks.
    ///
    /// - Returns: whether somebody has.
    func wait(_ duration: Duration, _ clocks: Clocks) async -> Bool {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // Cancelled when somebody asks, or at the end.
                try? await clocks.sleep(duration)
            }
            group.addTask { await self.signal.wait() }
            await group.next()
            group.cancelAll()
        }
        return flags.load(ordering: .acquiring) & Attention.isAsked != 0
    }

    private func raise(_ raised: UInt8) {
        let before = flags.bitwiseOr(raised, ordering: .acquiringAndReleasing).oldValue
        if before & Attention.isAsked == 0 { signal.notify() }
    }
}
