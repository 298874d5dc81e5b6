import Synchronization

/// Wakes whoever keeps the time of a silo's partitions (``TimeKeeper``) before it would look at them by itself.
///
/// Whoever adds something that time has to look after (a deadline, a pause, a turn that may take too long) adds it
/// first and then asks. Under load somebody has asked already, and asking again costs one load.
final class Attention: Sendable {
    private let isAsked = Atomic<Bool>(false)
    private let wantsReconcile = Atomic<Bool>(false)
    private let signal = Signal()

    /// Something was added: it is looked at within a tick.
    func ask() {
        // The keeper forgets the question before it looks, and finds under a lock what was added under that lock: who
        // sees its question still standing was early enough.
        guard !isAsked.load(ordering: .relaxed) else { return }
        guard !isAsked.exchange(true, ordering: .acquiringAndReleasing) else { return }
        signal.notify()
    }

    /// Something has changed on which it depends what runs here: see ``SiloPartitions/reconcile()``.
    func askToReconcile() {
        wantsReconcile.store(true, ordering: .releasing)
        ask()
    }

    /// Forgets what was asked. To be called before looking.
    ///
    /// - Returns: whether something has changed.
    func begin() -> Bool {
        isAsked.store(false, ordering: .releasing)
        return wantsReconcile.exchange(false, ordering: .acquiringAndReleasing)
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
        return isAsked.load(ordering: .acquiring)
    }
}
