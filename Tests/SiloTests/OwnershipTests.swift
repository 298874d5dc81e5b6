import EventLog
import OrchestraCore
import Records
import Synchronization
import Testing

@testable import Silo

/// Aborts, fencing, unknown outcomes, restore.
@Suite(.timeLimit(.minutes(1))) struct OwnershipTests {
    @Test(arguments: ["_TRANSPORT", "INVALID_RECORD"])
    func anAbortedBatchIsRunAgain(name: String) async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            bench.log.inject(.abort(name: name))
            async let reply = bench.grain("a").send(Add(amount: 2))
            try bench.order("add 3", key: "b")
            try await eventually("the abort") { bench.log.aborts == 1 }
            bench.clock.advance(.seconds(1))
            #expect(try await reply == 2)
            try await bench.idle()
            #expect(try await bench.total("b") == 3)
        }
    }

    @Test func theInputThatMakesTransactionsFailIsFoundAndCondemned() async throws {
        let bench = try PartitionBench()
        let culprit = Array("counter/culprit".utf8)
        bench.log.setPoison { $0.key == culprit && $0.value != nil }
        for number in 0..<20 {
            try bench.order("add 1", key: number == 13 ? "culprit" : "good-\(number)")
        }
        try await bench.serve { bench in
            try await bench.idle()
            for number in 0..<20 where number != 13 { #expect(try await bench.total("good-\(number)") == 1) }
            let command = await code { _ = try await bench.grain("culprit").send(Add(amount: 1)) }
            #expect(command == .tooLarge, "a command gets the error")
            #expect(try await bench.grain("good-1").send(Add(amount: 1)) == 2, "the partition goes on")
        }
        let letters = try bench.deadLetters
        #expect(letters.map(\.offset) == [13])
        #expect(letters.first?.code == "tooLarge")
    }

    @Test(arguments: [true, false])
    func fencedWithoutARivalThePartitionBeginsAgain(isCommitted: Bool) async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            bench.log.inject(isCommitted ? .commitThenFence : .fence)
            let first = await code { _ = try await bench.grain("a").send(Add(amount: 4), requestID: "r") }
            #expect(first == .outcomeUnknown, "never \"failed\": it may have been committed")
            #expect(try await bench.grain("a").send(Add(amount: 4), requestID: "r") == 4, "the same request finds out")
            #expect(try await bench.total("a") == 4, "one effect")
        }
    }

    @Test(arguments: [true, false])
    func anUnknownOutcomeIsFoundOutByRestoring(isCommitted: Bool) async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            bench.log.inject(isCommitted ? .commitThenUnknown : .dropThenUnknown)
            for _ in 0..<10 { try bench.order("add 1", key: "a") }
            try await eventually("all are taken in, each once") { (try? await bench.total("a")) == 10 }
            #expect(try await bench.grain("a").send(Add(amount: 1)) == 11)
        }
    }

    @Test func fencedByARivalThePartitionGoesBackToFollowing() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let isReleased = Locked(false)
        let first = try PartitionBench(
            log: log, codec: codec, nodeID: "silo-1",
            succession: TestSuccession { _ in isReleased.value ? .released : nil })
        try await first.serve { (first: PartitionBench) async throws in
            _ = try await first.grain("a").send(Add(amount: 1))
            let second = try PartitionBench(log: log, codec: codec, nodeID: "silo-2")
            try await second.serve { (second: PartitionBench) async throws in
                #expect(try await second.grain("a").send(Add(amount: 1)) == 2)
                let zombie = await code { _ = try await first.grain("a").send(Add(amount: 100)) }
                #expect(zombie == .outcomeUnknown)
                try await eventually("the first asks the second") { first.runtime.lifecycleState == .clearing }
                #expect(first.runtime.rival == "silo-2")
                #expect(try await second.total("a") == 2, "the zombie's command has no effect")
            }
            isReleased.use { $0 = true }
            #expect(try await first.grain("a").send(Add(amount: 1)) == 3)
        }
    }

    @Test func aSuccessorOfTheSameNameStopsThePartition() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let first = try PartitionBench(log: log, codec: codec, generation: 1)
        try await first.serve { (first: PartitionBench) async throws in
            try await first.idle()
            let lifeOne = try PartitionBench(log: log, codec: codec, generation: 2)
            try await lifeOne.serve { (second: PartitionBench) async throws in
                try await second.idle()
                _ = await code { _ = try await first.grain("a").send(Add(amount: 1)) }
                try await eventually("the first has stopped") { first.runtime.lifecycleState == .stopped }
                #expect(try await second.grain("a").send(Add(amount: 1)) == 1)
            }
        }
    }

    @Test func aStandbyFollowsAndTakesOverWhenItIsNominated() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let owner = try PartitionBench(log: log, codec: codec, nodeID: "silo-1")
        let standby = try PartitionBench(log: log, codec: codec, nodeID: "silo-2", isNominated: false)
        try await standby.serve { (standby: PartitionBench) async throws in
            try await owner.serve { (owner: PartitionBench) async throws in
                _ = try await owner.grain("a").send(Add(amount: 1))
                try await eventually("it has read the grain") { standby.budget.bytes == owner.budget.bytes }
                #expect(standby.runtime.lifecycleState == .following)
            }
            standby.runtime.nominate()
            #expect(try await standby.grain("a").send(Add(amount: 1)) == 2)
            let held = standby.runtime.shared.withLock { $0.state.stateBytes }
            #expect(standby.budget.bytes == held)
        }
        #expect(standby.budget.bytes == 0, "what is given back is not counted any more")
    }

    @Test func aNominationThatIsWithdrawnInTimeChangesNothing() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let owner = try PartitionBench(log: log, codec: codec, nodeID: "silo-1")
        let nominee = try PartitionBench(
            log: log, codec: codec, nodeID: "silo-2", succession: TestSuccession { _ in nil })
        try await owner.serve { (owner: PartitionBench) async throws in
            _ = try await owner.grain("a").send(Add(amount: 1))
            try await nominee.serve { (nominee: PartitionBench) async throws in
                try await eventually("it asks") { nominee.runtime.lifecycleState == .clearing }
                nominee.runtime.withdraw()
                try await eventually("it follows again") { nominee.runtime.lifecycleState == .following }
                #expect(try await owner.grain("a").send(Add(amount: 1)) == 2)
            }
            #expect(try await owner.grain("a").send(Add(amount: 1)) == 3)
        }
    }

    // MARK: The lease

    @Test func nothingIsAnsweredFromMemoryWithoutALease() async throws {
        let clock = TestClock()
        let lease = ServingLease(clocks: clock.clocks)
        let bench = try PartitionBench(clock: clock, lease: lease)
        try await bench.serve { bench in
            try await bench.idle()
            #expect(try await bench.grain("a").send(Add(amount: 1)) == 1, "a commit proves by itself who owns")
            let isAnswered = Locked(false)
            async let waiting = {
                let total = try await bench.total("a")
                isAnswered.use { $0 = true }
                return total
            }()
            async let refused = code { _ = try await bench.grain("b").send(Add(amount: -1)) }
            async let absent = code { _ = try await bench.total("nobody") }
            // Time in which it must not happen; an answer would take a few milliseconds.
            try await Task.sleep(for: .milliseconds(50))
            #expect(!isAnswered.value)
            #expect(bench.runtime.lifecycleState == .serving)
            lease.renew(sentAt: clock.monotonic)
            #expect(try await waiting == 1)
            #expect(await refused == .handlerFailed)
            #expect(await absent == .notFound)
            clock.advance(ServingLease.duration)
            let late = await code { _ = try await bench.grain("a").ask(Total(), deadline: .milliseconds(60)) }
            #expect(late == .unavailable || late == .deadlineExceeded, "the lease has run out")
        }
    }

    /// Woken up, a silo finds itself fenced, and begins a new life: its new lease does not count for what it knew before.
    @Test func whatWasKnownBeforeTheProducerEndedIsNotAnsweredAfterwards() async throws {
        let clock = TestClock()
        let lease = ServingLease(clocks: clock.clocks)
        let term = lease.term
        lease.renew(sentAt: clock.monotonic)
        #expect(lease.isHeld(in: term))
        lease.revoke()
        #expect(!lease.isHeld)
        lease.renew(sentAt: clock.monotonic)
        #expect(lease.isHeld && !lease.isHeld(in: term))

        let bench = try PartitionBench(clock: clock, succession: TestSuccession { _ in nil }, lease: lease)
        try await bench.serve { bench in
            _ = try await bench.grain("a").send(Add(amount: 1))
            #expect(try await bench.total("a") == 1)
            // A turn that is under way must not keep the partition answering.
            bench.log.blockCommits(true)
            async let begun = code { _ = try await bench.grain("b").send(Add(amount: 1)) }
            try await eventually("the turn has run") { bench.log.blockedCommits == 1 }
            bench.runtime.endLife(EventLogError(kind: .fenced, name: "_FENCED", message: "fenced"))
            lease.revoke()
            lease.renew(sentAt: clock.monotonic)
            let late = await code { _ = try await bench.grain("a").ask(Total(), deadline: .milliseconds(100)) }
            #expect(late == .deadlineExceeded, "it waits until the partition has been taken over anew")
            bench.log.blockCommits(false)
            _ = await begun
        }
    }

    /// A command that is refused is answered from memory; what it knew belongs to the life in which its turn ran.
    @Test func aRefusalOfAnEarlierLifeIsNotAnswered() async throws {
        let clock = TestClock()
        let lease = ServingLease(clocks: clock.clocks)
        let bench = try PartitionBench(clock: clock, succession: TestSuccession { _ in nil }, lease: lease)
        try await bench.serve { bench in
            try await bench.idle()
            async let refused = code {
                _ = try await bench.grain("late").send(Add(amount: -1), deadline: .seconds(5))
            }
            try await eventually("the turn has run") { Counter.probe.count(of: "refuse late") == 1 }
            // Another silo may have fenced this one, changed the grain, and lost it again.
            lease.revoke()
            lease.renew(sentAt: clock.monotonic)
            #expect(await refused == .outcomeUnknown)
        }
    }

    /// A query whose answer takes long must not give it after the partition has been handed over.
    @Test func aQueryThatOutlastsTheTenureIsNotAnswered() async throws {
        let bench = try PartitionBench(grains: [Ponderous.self]) { $0.maximumLiveGrains = 0 }
        let grain = try ClusterClient(handler: bench).grain(Ponderous.self, key: "a")
        let wait = OneShot<Void>()
        try await bench.serve { bench in
            _ = try await grain.send(Add(amount: 1))
            // The others take its place among the decoded ones.
            for key in ["b", "c", "d"] {
                _ = try await ClusterClient(handler: bench).grain(Ponderous.self, key: key).send(Add(amount: 1))
            }
            let commits = bench.log.commits.count
            Ponderous.wait.withLock { $0 = wait }
            async let late = code { _ = try await grain.ask(Total()) }
            try await eventually("the state is being decoded") { Ponderous.probe.count(of: "decode") == 1 }
            bench.runtime.drain()
            try await eventually("the claim is deleted") { bench.log.commits.count == commits + 1 }
            wait.resolve(())
            #expect(await late == .notOwner, "the next owner may have changed it")
        }
    }

    /// It waits for a record that was acknowledged before it; the next life has to take that in first, too.
    @Test func aQueryThatWaitsForRecordsGoesOnWaitingInTheNextLife() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            bench.log.blockCommits(true)
            try bench.order("add 1", key: "a")
            async let total = bench.total("a")
            try await eventually("it waits") { bench.waitingQueries == 1 && bench.log.blockedCommits == 1 }
            bench.log.inject(.fence)
            bench.log.blockCommits(false)
            #expect(try await total == 1)
        }
    }

    @Test func whoHasNoProducerDoesNotSayReleased() async throws {
        let bench = try PartitionBench()
        let canCommit = Locked(false)
        let configuration = SiloConfiguration(
            nodeID: "silo-1", generation: 1, kafka: KafkaConfiguration(bootstrapServers: "nowhere:1", clientID: "test"))
        let partitions = SiloPartitions(
            configuration, logger: bench.runtime.logger, liveness: { SiloLiveness(start: .now) },
            canCommit: { canCommit.value }, proveEpoch: { true }, make: { _ in bench.runtime })
        let request = ReleaseRequest(partition: 0, nominee: "silo-2")
        #expect(await !partitions.release(request), "a commit of an earlier life may still be on its way")
        canCommit.use { $0 = true }
        #expect(await partitions.release(request))
    }

    /// Two processes of one name: the one that is asked may have been fenced by the one that made the claim.
    @Test func whoIsAskedForAnothersClaimProvesItsEpochFirst() async throws {
        let bench = try PartitionBench()
        let proofs = Locked(0)
        let isCurrent = Locked(false)
        let configuration = SiloConfiguration(
            nodeID: "silo-1", generation: 2, kafka: KafkaConfiguration(bootstrapServers: "nowhere:1", clientID: "test"))
        let partitions = SiloPartitions(
            configuration, logger: bench.runtime.logger, liveness: { SiloLiveness(start: .now) }, canCommit: { true },
            proveEpoch: {
                proofs.use { $0 += 1 }
                return isCurrent.value
            }, make: { _ in bench.runtime })
        func isReleased(_ generation: Int64?) async -> Bool {
            await partitions.release(ReleaseRequest(partition: 0, nominee: "silo-2", generation: generation))
        }
        #expect(await isReleased(2))
        #expect(proofs.value == 0, "of its own commits it knows")
        for other: Int64? in [1, 3, nil] { #expect(await !isReleased(other)) }
        isCurrent.use { $0 = true }
        for other: Int64? in [1, 3, nil] { #expect(await isReleased(other)) }
    }

    @Test func anOlderViewIsPassedOver() async throws {
        let bench = try PartitionBench()
        let configuration = SiloConfiguration(
            nodeID: "silo-1", generation: 1, kafka: KafkaConfiguration(bootstrapServers: "nowhere:1", clientID: "test"))
        let partitions = SiloPartitions(
            configuration, logger: bench.runtime.logger, liveness: { SiloLiveness(start: .now) },
            canCommit: { true }, proveEpoch: { true }, make: { _ in bench.runtime })
        let rival = SiloView.Silo(id: "silo-2", generation: 1)
        partitions.follow(SiloView(version: 2, silos: [rival]))
        partitions.follow(SiloView(version: 1, silos: []))
        guard case .withoutKafka = partitions.standing(of: "silo-2") else {
            Issue.record("the newer view is forgotten")
            return
        }
    }

    @Test func rivalsThatMayStillAnswerAreWaitedFor() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let first = try PartitionBench(log: log, codec: codec, nodeID: "silo-1")
        try await first.serve { (first: PartitionBench) async throws in
            _ = try await first.grain("a").send(Add(amount: 1))
            let end = ContinuousClock.now + .milliseconds(300)
            let second = try PartitionBench(
                log: log, codec: codec, nodeID: "silo-2",
                succession: TestSuccession { rival in
                    log.fence(rival.transactionalId)
                    return .fenced(answersUntil: end)
                })
            try await second.serve { (second: PartitionBench) async throws in
                #expect(try await second.grain("a").send(Add(amount: 1)) == 2)
                #expect(ContinuousClock.now >= end)
            }
        }
    }

    @Test func restoreGoesBeyondControlMarkers() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let lifeTwo = try PartitionBench(log: log, codec: codec)
        try await lifeTwo.serve { bench in
            _ = try await bench.grain("a").send(Add(amount: 1))
        }
        // An aborted predecessor: records that are never delivered stand at the end.
        for _ in 0..<5 { log.appendHidden(Topics.state, 0) }
        let lifeThree = try PartitionBench(log: log, codec: codec)
        try await lifeThree.serve { (bench: PartitionBench) async throws in
            #expect(try await bench.total("a") == 1)
        }
    }

    @Test func inputsResumeAtTheRecordedOffsets() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let first = try PartitionBench(log: log, codec: codec)
        for _ in 0..<5 { try first.order("add 1", key: "a") }
        try await first.serveUntilIdle()
        for _ in 0..<5 { try first.order("add 1", key: "a") }
        let lifeFour = try PartitionBench(log: log, codec: codec)
        try await lifeFour.serve { bench in
            try await bench.idle()
            #expect(try await bench.total("a") == 10)
        }
    }

    @Test func offsetsThatNoLongerExistStopThePartitionLoudly() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let first = try PartitionBench(log: log, codec: codec)
        for _ in 0..<5 { try first.order("add 1", key: "a") }
        try await first.serveUntilIdle()
        for _ in 0..<5 { try first.order("add 1", key: "a") }
        log.deleteRecords("orders", 0, below: 8)
        let second = try PartitionBench(log: log, codec: codec)
        await second.runtime.run()
        #expect(second.runtime.lifecycleState == .stopped)
        await expectCode(.unavailable) { _ = try await second.total("a") }
    }

    @Test func stateWithoutProgressStopsThePartition() throws {
        let error = #expect(throws: OrchestraError.self) {
            try InputOffsets.starts(progress: nil, isEmpty: false, partition: 3, watermarks: ["orders": (0, 10)])
        }
        #expect(error?.code == .badConfiguration)
        #expect(
            try InputOffsets.starts(progress: nil, isEmpty: true, partition: 3, watermarks: ["orders": (4, 10)]) == [
                "orders": 4
            ])
    }

    @Test func aTopicThatWasNeverReadBeginsAtItsBeginning() throws {
        let never = Timestamp(millisecondsSinceEpoch: 0)
        let progress = PartitionProgress(sequence: 4, nextOffsets: ["orders": 7, "gone": 2], lastTime: never)
        let starts = try InputOffsets.starts(
            progress: progress, isEmpty: false, partition: 0, watermarks: ["orders": (0, 9), "new": (3, 5)])
        #expect(starts == ["orders": 7, "gone": 2, "new": 3])
        #expect(throws: OrchestraError.self) {
            try InputOffsets.starts(
                progress: progress, isEmpty: false, partition: 0, watermarks: ["orders": (0, 6)])
        }
    }

    @Test func unreadableStateIsQuarantinedAndNeverOverwritten() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let first = try PartitionBench(log: log, codec: codec)
        try first.order("add 1", key: "a")
        try await first.serveUntilIdle()
        let damaged = GrainStateRecord(
            version: 50, committedAt: Timestamp(millisecondsSinceEpoch: 0), codec: .json, state: Array("{no json".utf8))
        for (key, value) in [("counter/state", try codec.encode(damaged)), ("counter/envelope", [9, 9, 9])] {
            log.append(ProducerRecord(topic: Topics.state, partition: 0, key: Array(key.utf8), value: value))
        }
        let before = log.records(Topics.state).count
        let second = try PartitionBench(log: log, codec: codec)
        try second.order("add 1", key: "state")
        try second.order("add 1", key: "envelope")
        try await second.serve { bench in
            try await bench.idle()
            for key in ["state", "envelope"] {
                await expectCode(.quarantined) { _ = try await bench.total(key) }
                await expectCode(.quarantined) { _ = try await bench.grain(key).send(Add(amount: 1)) }
            }
            #expect(try await bench.total("a") == 1, "the others live on")
        }
        #expect(try bench(second).map(\.code) == ["quarantined", "quarantined"])
        let later = log.records(Topics.state).dropFirst(before).compactMap(\.key)
        #expect(!later.contains { String(decoding: $0, as: UTF8.self).hasPrefix("counter/") })
    }

    private func bench(_ bench: PartitionBench) throws -> [DeadLetter] { try bench.deadLetters }

    @Test func unknownGrainTypesAreLeftAlone() async throws {
        let (log, codec) = (MemoryLog(), TestCodec())
        let now = Timestamp(millisecondsSinceEpoch: 0)
        let stranger = GrainStateRecord(
            version: 1, committedAt: now, codec: .json, state: Array("{}".utf8),
            timers: [GrainTimer(name: "x", dueAt: now)])
        let lifeFive = try PartitionBench(log: log, codec: codec)
        try await lifeFive.serve { _ in }
        let lifeOne = try PartitionBench(log: log, codec: codec)
        try await lifeOne.serve { _ = try await $0.grain("a").send(Add(amount: 1)) }
        log.append(
            ProducerRecord(
                topic: Topics.state, partition: 0, key: Array("stranger/a".utf8), value: try codec.encode(stranger)))
        let lifeTwo = try PartitionBench(log: log, codec: codec)
        try await lifeTwo.serve { bench in
            _ = try await bench.grain("a").send(Add(amount: 1))
        }
        #expect(log.records(Topics.deadLetters).isEmpty)
        #expect(log.records(Topics.state).count { $0.key == Array("stranger/a".utf8) } == 1)
    }

    @Test func aDrainedPartitionFinishesItsBatchAndReleases() async throws {
        let bench = try PartitionBench()
        try await bench.serve { bench in
            try await bench.idle()
            bench.log.blockCommits(true)
            async let begun = bench.grain("begun").send(Add(amount: 1))
            try await eventually("the turn has run") { Counter.probe.count(of: "add begun") == 1 }
            async let queued = code { _ = try await bench.grain("queued").send(Add(amount: 1)) }
            try await eventually("the other waits") { bench.queuedCalls == 1 }
            bench.runtime.drain()
            bench.log.blockCommits(false)
            #expect(try await begun == 1)
            #expect(await queued == .notOwner, "it is told to ask the next owner")
            try await eventually("released") { bench.runtime.lifecycleState == .released }
        }
    }

    @Test func positionsPastMarkersAreCommittedInTheEnd() async throws {
        let bench = try PartitionBench()
        try bench.order("add 1", key: "a")
        try await bench.serve { bench in
            try await bench.idle()
            for _ in 0..<3 { bench.log.appendHidden("orders", 0) }
            try await bench.idle()
            let commits = bench.log.commits.count
            bench.clock.advance(.seconds(6))
            try await eventually("the position is committed") {
                bench.log.commits.last?.offsets[TopicPartition(topic: "orders", partition: 0)] == 4
            }
            #expect(bench.log.commits.count == commits + 1)
        }
    }
}
