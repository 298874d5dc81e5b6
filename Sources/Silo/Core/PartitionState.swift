package import OrchestraCore
package import Records

/// A grain as it was committed last.
package enum CommittedGrain: Sendable {
    case readable(GrainStateRecord)
    /// Its envelope could not be read. It is kept untouched in the changelog, and every use of it is an error.
    case unreadable(reason: String)
}

/// One grain's part of a commit.
package struct GrainCommit: Sendable {
    package var grain: GrainID
    /// `nil` deletes the grain altogether: a tombstone.
    package var record: GrainStateRecord?
    package var requests = RequestChanges()
    /// The decoded state, kept at hand.
    package var live: (any Grain)?
}

/// The committed state of a partition: what a restore of its changelog gives. Nothing here is ahead of Kafka.
package struct PartitionState: Sendable {
    package private(set) var grains: [GrainID: CommittedGrain] = [:]
    /// The requests that are remembered besides those in the grains' records, oldest first.
    package private(set) var sealedRequests: [GrainID: [RequestChunk]] = [:]
    /// `nil` until the first transaction after the claim.
    package private(set) var progress: PartitionProgress?
    package private(set) var claims = PartitionClaims()
    package private(set) var timers = TimerQueue()
    /// What the envelopes take, in bytes.
    package private(set) var stateBytes = 0
    private var live: LiveGrains
    /// Grain types that this silo does not know keep their state, but their timers wait for a silo that does.
    private let knownTypes: Set<GrainType>

    package init(knownTypes: Set<GrainType>, limits: GrainLimits) {
        self.knownTypes = knownTypes
        live = LiveGrains(limit: limits.maximumLiveGrains, byteLimit: limits.maximumLiveBytes)
    }

    /// The sequence of the last commit; 0 before the first.
    package var sequence: Int64 { progress?.sequence ?? 0 }
    /// The version of a grain; 0 if it has never had state.
    package func version(of grain: GrainID) -> UInt64 {
        guard case .readable(let record) = grains[grain] else { return 0 }
        return UInt64(clamping: record.version)
    }

    /// Whether there is nothing to lose.
    package var isEmpty: Bool { grains.isEmpty && progress == nil }

    /// An empty state with the same settings.
    package func emptied() -> PartitionState { PartitionState(knownTypes: knownTypes, live: live.emptied()) }

    private init(knownTypes: Set<GrainType>, live: LiveGrains) {
        self.knownTypes = knownTypes
        self.live = live
    }

    // MARK: Restore

    /// Takes note that a silo with a claim released the partition or has been fenced.
    package mutating func didClear(_ silo: String) { claims.didClear(silo) }

    /// Takes in one record of the changelog, in order. Call ``finishRestore()`` after the last.
    package mutating func restore(_ item: RestoredItem) {
        switch item {
        case .claim(let silo, let value, let offset): claims.take(value, of: silo, at: offset)
        case .progress(let value): progress = value
        case .grain(let grain, let value):
            put(value, grain)
        case .requests(let grain, let sequence, let chunk):
            forgetRequests(of: grain, sealedBy: sequence)
            if let chunk { addRequests(chunk, of: grain) }
        }
    }

    /// Builds what follows from the envelopes.
    package mutating func finishRestore() {
        timers = TimerQueue()
        for (grain, value) in grains {
            guard case .readable(let record) = value else { continue }
            addTimers(of: grain, record, beyond: nil)
        }
    }

    // MARK: Serving

    /// The time for the next batch: the clock, but never behind what a turn has seen already.
    package func time(at wallClock: Timestamp) -> Timestamp {
        max(wallClock, progress?.lastTime ?? wallClock)
    }

    /// The decoded state of a grain, if it is at hand.
    package mutating func liveGrain(_ grain: GrainID) -> (any Grain)? { live.use(grain) }

    /// Keeps a decoded state at hand, unless the grain has moved on since.
    package mutating func keepLive(_ value: any Grain, _ grain: GrainID, version: Int64) {
        guard case .readable(let record) = grains[grain], record.version == version else { return }
        live.keep(value, grain, size: Int(record.uncompressedSize))
    }

    /// How many decoded states are at hand.
    package var liveCount: Int { live.count }

    /// Drops the decoded states that have not been used since the last time, or the time before; their bytes stay.
    ///
    /// - Returns: how many.
    package mutating func dropIdle() -> Int { live.age() }

    /// Takes out the timers that are due. Put them back with ``reinstate(_:)`` if their batch does not commit.
    package mutating func takeDueTimers(at now: Timestamp, limit: Int) -> [TimerEntry] {
        var due: [TimerEntry] = []
        while due.count < limit, let entry = timers.popDue(at: now) {
            if isCurrent(entry) { due.append(entry) }
        }
        return due
    }

    package mutating func reinstate(_ entries: [TimerEntry]) {
        for entry in entries { timers.add(entry) }
    }

    /// Takes over what has been committed.
    ///
    /// - Parameter fired: the timers that the batch took out; one that its handler set again to the same instant is due
    ///   again.
    package mutating func apply(_ commits: [GrainCommit], progress: PartitionProgress, fired: [TimerEntry] = []) {
        for commit in commits {
            for sequence in commit.requests.forgotten { forgetRequests(of: commit.grain, sealedBy: sequence) }
            if let chunk = commit.requests.sealed { addRequests(chunk, of: commit.grain) }
            if let value = commit.live, let record = commit.record {
                live.keep(value, commit.grain, size: Int(record.uncompressedSize))
            } else {
                live.remove(commit.grain)
            }
            let previous = put(commit.record.map { .readable($0) }, commit.grain)
            guard let record = commit.record else { continue }
            if case .readable(let old) = previous {
                addTimers(of: commit.grain, record, beyond: old)
            } else {
                addTimers(of: commit.grain, record, beyond: nil)
            }
        }
        self.progress = progress
        reinstate(fired.filter(isCurrent))
    }

    // MARK: Helpers

    private func isCurrent(_ entry: TimerEntry) -> Bool {
        guard case .readable(let record) = grains[entry.grain] else { return false }
        guard let name = entry.name else { return record.graveUntil == entry.dueAt }
        return record.timers.contains { $0.name == name && $0.dueAt == entry.dueAt }
    }

    private mutating func addTimers(of grain: GrainID, _ record: GrainStateRecord, beyond old: GrainStateRecord?) {
        guard knownTypes.contains(grain.type) else { return }
        if let end = record.graveUntil, old?.graveUntil != end {
            timers.add(TimerEntry(dueAt: end, grain: grain, name: nil))
        }
        for timer in record.timers where old?.timers.contains(timer) != true {
            timers.add(TimerEntry(dueAt: timer.dueAt, grain: grain, name: timer.name))
        }
    }

    private mutating func addRequests(_ chunk: RequestChunk, of grain: GrainID) {
        sealedRequests[grain, default: []].append(chunk)
        stateBytes += chunk.footprint
    }

    private mutating func forgetRequests(of grain: GrainID, sealedBy sequence: Int64) {
        guard let place = sealedRequests[grain]?.firstIndex(where: { $0.sequence == sequence }),
            let chunk = sealedRequests[grain]?.remove(at: place)
        else { return }
        stateBytes -= chunk.footprint
        if sealedRequests[grain]?.isEmpty == true { sealedRequests[grain] = nil }
    }

    /// - Parameter value: `nil` removes the grain.
    /// - Returns: what was there.
    @discardableResult
    private mutating func put(_ value: CommittedGrain?, _ grain: GrainID) -> CommittedGrain? {
        stateBytes += PartitionState.size(of: value, grain)
        let previous =
            if let value { grains.updateValue(value, forKey: grain) } else { grains.removeValue(forKey: grain) }
        stateBytes -= PartitionState.size(of: previous, grain)
        return previous
    }

    private static func size(of value: CommittedGrain?, _ grain: GrainID) -> Int {
        guard case .readable(let record) = value else { return 0 }
        return record.footprint + grain.key.utf8.count
    }
}

/// A record of the changelog, decoded.
package enum RestoredItem: Sendable {
    /// `nil` is a tombstone.
    case claim(silo: String, PartitionClaim?, offset: Int64)
    case progress(PartitionProgress)
    /// `nil` is a tombstone.
    case grain(GrainID, CommittedGrain?)
    /// `nil` is a tombstone.
    case requests(GrainID, sequence: Int64, RequestChunk?)
}
