package import EventLog
package import OrchestraCore
package import Placement
package import Records

/// Where a batch is committed from.
package struct BatchOrigin: Sendable {
    package var partition: Int32
    package var partitioner: Partitioner
    package var nodeID: String
    package var limits: GrainLimits
    package var codec: any RecordCoding

    package init(
        partition: Int32, partitioner: Partitioner, nodeID: String, limits: GrainLimits, codec: any RecordCoding
    ) {
        self.partition = partition
        self.partitioner = partitioner
        self.nodeID = nodeID
        self.limits = limits
        self.codec = codec
    }
}

/// What comes out of a batch's turns: the transaction, and what to do once it has committed.
package struct BatchOutput: Sendable {
    /// `nil` when there is nothing to commit: no record was consumed and no grain changed.
    package var transaction: TransactionBatch?
    package var commits: [GrainCommit] = []
    package var progress: PartitionProgress
    /// The answers of commands, to be given after the commit.
    package var replies: [(call: PendingCall, reply: [UInt8])] = []
    /// Commands that failed: nothing of theirs is committed. What they are told comes from the state before the batch.
    package var refusals: [(call: PendingCall, error: OrchestraError)] = []
    package var deadLetters: [(code: String, reason: String)] = []
    /// Told commands that failed, of which their tellers hear.
    package var toldFailures = 0
    package var turnCount = 0

    /// - Parameters:
    ///   - jobs: the finished turns.
    ///   - direct: the records that needed none.
    ///   - consumed: how many records the batch consumes.
    ///   - positions: the next offsets after the batch.
    ///   - now: the batch's time.
    /// - Throws: an encoding error; only a defect of ours causes one.
    package init(
        jobs: [GrainJob], direct: [DirectOutcome], consumed: Int, positions: [String: Int64], sequence: Int64,
        now: Timestamp, origin: BatchOrigin
    ) throws {
        progress = PartitionProgress(sequence: sequence, nextOffsets: positions, lastTime: now)
        var records: [ProducerRecord] = []
        records.reserveCapacity(3 * jobs.count)
        var letters = DeadLetters(origin: origin, now: now)
        for job in jobs {
            if let commit = job.commit() {
                commits.append(commit)
                records.append(
                    origin.stateRecord(.grain(commit.grain), try commit.record.map { try origin.codec.encode($0) }))
                records += try origin.requestRecords(of: commit)
            }
            for (input, verdict) in zip(job.inputs, job.verdicts) {
                turnCount += 1
                try take(verdict, of: input, &records, &letters, origin)
            }
        }
        for outcome in direct {
            switch outcome.kind {
            case .republish(let partition): records.append(DeadLetters.republished(outcome.record, to: partition))
            case .deadLetter(let code, let reason):
                try letters.add(outcome.record, grain: nil, code: code, reason: reason, attempts: 0)
            case .failure(let failure): try tell(failure, &records, origin)
            }
        }
        deadLetters = letters.reasons
        records += letters.records
        guard !records.isEmpty || consumed > 0 else { return }
        records.append(origin.stateRecord(.progress, try origin.codec.encode(progress)))
        var offsets: [TopicPartition: Int64] = [:]
        for (topic, offset) in positions {
            offsets[TopicPartition(topic: topic, partition: origin.partition)] = offset
        }
        transaction = TransactionBatch(records: records, offsets: offsets)
    }

    private mutating func take(
        _ verdict: TurnVerdict, of input: TurnInput, _ outgoing: inout [ProducerRecord], _ letters: inout DeadLetters,
        _ origin: BatchOrigin
    ) throws {
        switch (verdict, input.source) {
        case (.done(let sent, let reply), let source):
            for record in sent {
                outgoing.append(
                    ProducerRecord(
                        topic: record.topic, partition: origin.partitioner.partition(forKey: record.key),
                        key: Array(record.key.utf8), value: record.value))
            }
            if case .call(let call) = source { replies.append((call, reply ?? [])) }
        case (.repeated(let reply), .call(let call)): replies.append((call, reply))
        case (.refused(let error), .call(let call)): refusals.append((call, error))
        case (.failed(let error, let attempts), .record(let record)):
            if let address = input.replyAddress {
                let failure = try address.failure(
                    error, from: input.grain, at: progress.lastTime, traceParent: input.traceParent)
                return try tell(failure, &outgoing, origin)
            }
            try letters.add(
                record, grain: input.grain, code: error.code.rawValue, reason: error.description, attempts: attempts)
        case (.failed(let error, let attempts), .timer(let timer)):
            try letters.add(timer, error, attempts: attempts)
        default: break
        }
    }

    /// A told command failed, and its teller wants to know: that is no dead letter.
    private mutating func tell(
        _ failure: GrainCommandRecord, _ outgoing: inout [ProducerRecord], _ origin: BatchOrigin
    ) throws {
        toldFailures += 1
        outgoing.append(
            ProducerRecord(
                topic: Topics.commands, partition: origin.partitioner.partition(forKey: failure.grainKey),
                key: Array(failure.grainKey.utf8), value: try origin.codec.encode(failure)))
    }
}

extension BatchOrigin {
    /// A record of this partition's changelog.
    package func stateRecord(_ key: ChangelogKey, _ value: [UInt8]?) -> ProducerRecord {
        ProducerRecord(topic: Topics.state, partition: partition, key: key.bytes, value: value)
    }

    fileprivate func requestRecords(of commit: GrainCommit) throws -> [ProducerRecord] {
        var records = commit.requests.forgotten.map { stateRecord(.requests(commit.grain, sequence: $0), nil) }
        if let chunk = commit.requests.sealed {
            let key = ChangelogKey.requests(commit.grain, sequence: chunk.sequence)
            records.append(stateRecord(key, try codec.encode(chunk.record)))
        }
        return records
    }
}
