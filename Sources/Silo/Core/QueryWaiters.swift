package import OrchestraCore

/// The queries that wait in a partition: for a newer version of their grain, for records to be taken in, or for the
/// partition to be served. Bounded.
package struct QueryWaiters: Sendable {
    /// What a query waits for.
    package enum Condition: Sendable {
        /// The next commit of its grain.
        case commit
        /// Each of these topics to be taken in up to this offset.
        case positions([String: Int64])
        /// The partition to be served.
        case serving
    }

    private var forCommit: [GrainID: [QueryWait]] = [:]
    private var forPositions: [(wait: QueryWait, positions: [String: Int64])] = []
    private var forServing: [QueryWait] = []
    package private(set) var count = 0
    private let limit: Int

    package init(limit: Int) {
        self.limit = limit
    }

    /// - Throws: ``OrchestraError`` with `overloaded` when there is no room.
    package mutating func add(_ wait: QueryWait, until condition: Condition) throws(OrchestraError) {
        guard count < limit else {
            throw OrchestraError(
                .overloaded, "\(count) queries wait in the partition of \(wait.grain)",
                nextStep: "try again in a moment")
        }
        count += 1
        switch condition {
        case .commit: forCommit[wait.grain, default: []].append(wait)
        case .positions(let positions): forPositions.append((wait, positions))
        case .serving: forServing.append(wait)
        }
    }

    /// Takes out the queries that a commit of these grains, or the new positions, may satisfy.
    package mutating func takeReady(
        committed: some Sequence<GrainID>, takenIn: [String: Int64]
    ) -> [QueryWait] {
        var ready: [QueryWait] = []
        if !forCommit.isEmpty {
            for grain in committed {
                if let waits = forCommit.removeValue(forKey: grain) { ready += waits }
            }
        }
        if !forPositions.isEmpty {
            let place = forPositions.partition { waiter in
                waiter.positions.allSatisfy { takenIn[$0.key, default: 0] >= $0.value }
            }
            ready += forPositions[place...].map(\.wait)
            forPositions.removeSubrange(place...)
        }
        count -= ready.count
        return ready
    }

    /// Takes out those that wait for the partition to be served, and those whose grain may have moved on meanwhile.
    package mutating func takeAll() -> [QueryWait] {
        // In an order that follows from the names, so that runs can be replayed.
        let waits = forCommit.sorted { $0.key.description < $1.key.description }.flatMap(\.value)
        let all = waits + forPositions.map(\.wait) + forServing
        (forCommit, forPositions, forServing, count) = ([:], [], [], 0)
        return all
    }

    /// Takes out those whose deadline has passed or whose caller has gone.
    package mutating func takeExpired(at now: ContinuousClock.Instant) -> [QueryWait] {
        guard count > 0 else { return [] }
        let isOver = { (wait: QueryWait) in wait.deadline <= now || wait.isOver }
        var expired: [QueryWait] = []
        for (grain, waits) in forCommit where waits.contains(where: isOver) {
            expired += waits.filter(isOver)
            let kept = waits.filter { !isOver($0) }
            forCommit[grain] = kept.isEmpty ? nil : kept
        }
        let place = forPositions.partition { isOver($0.wait) }
        expired += forPositions[place...].map(\.wait)
        forPositions.removeSubrange(place...)
        expired += forServing.filter(isOver)
        forServing.removeAll(where: isOver)
        count -= expired.count
        return expired
    }
}
