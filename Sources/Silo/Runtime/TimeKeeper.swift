import OrchestraCore

/// Looks after what time brings to a silo: deadlines, timers, the lease, and whether its partitions are in line with the
/// view and the heartbeats. It sleeps until something is due, or somebody asks (``Attention``).
struct TimeKeeper: Sendable {
    let tick: Duration
    let clocks: Clocks
    let attention: Attention
    let partitions: SiloPartitions
    let lease: ServingLease

    /// Runs until the task is cancelled.
    func run() async {
        var plan = TimePlan(tick: tick)
        while !Task.isCancelled {
            let hasChanged = attention.begin()
            let now = clocks.monotonic()
            var due = partitions.tick(at: now)
            if lease.tick() { due = now }
            if plan.reconciles(at: now, isWanted: hasChanged) { partitions.reconcile() }
            let pause = plan.pause(at: now, due: due)
            guard pause > tick else {
                // Ends early only when the silo stops.
                try? await clocks.sleep(tick)
                continue
            }
            if await attention.wait(pause, clocks) {
                // What is asked for may wait for a tick, and others may ask meanwhile.
                try? await clocks.sleep(tick)
            }
        }
    }
}
