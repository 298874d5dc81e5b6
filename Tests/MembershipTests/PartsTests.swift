import Testing

@testable import Membership

@Suite struct ExpanderTests {
    /// The neighbours of each of so many members, by number.
    static func graph(_ count: Int) -> [[Int]] {
        let settings = MembershipSettings()
        var table = MemberTable()
        var numbers: [NodeID: Int] = [:]
        for index in 0..<count {
            numbers[NodeID("node-\(index)")] = index
            table.set(.init(record: record("node-\(index)"), since: .zero))
        }
        return (0..<count).map { index in
            var expander = Expander(of: NodeID("node-\(index)"))
            _ = expander.rebuild(table: table, ringCount: settings.ringCount(memberCount: count))
            return expander.neighbours.map { numbers[$0]! }
        }
    }

    @Test(arguments: [2, 5, 9, 40, 300]) func everyEdgeIsKnownAtBothEndsAndAllAreConnected(count: Int) {
        let graph = Self.graph(count)
        let rings = MembershipSettings().ringCount(memberCount: count)
        var oneSided = 0
        for (index, neighbours) in graph.enumerated() {
            #expect(neighbours.count <= 2 * rings && !neighbours.isEmpty)
            for neighbour in neighbours where !graph[neighbour].contains(index) { oneSided += 1 }
        }
        #expect(oneSided == 0)
        var reached: Set<Int> = [0]
        var frontier = [0]
        while let next = frontier.popLast() {
            for neighbour in graph[next] where reached.insert(neighbour).inserted { frontier.append(neighbour) }
        }
        #expect(reached.count == count)
    }

    @Test func growingOneByOneEndsWhereBuildingAnewDoes() {
        let settings = MembershipSettings()
        var table = MemberTable()
        table.set(.init(record: record("node-0"), since: .zero))
        var grown = Expander(of: NodeID("node-0"))
        for index in 1..<200 {
            table.set(.init(record: record("node-\(index)"), since: .zero))
            let rings = settings.ringCount(memberCount: table.liveCount)
            _ = grown.insert(NodeID("node-\(index)"), table: table, ringCount: rings)
            var fresh = Expander(of: NodeID("node-0"))
            _ = fresh.rebuild(table: table, ringCount: rings)
            #expect(Set(grown.neighbours) == Set(fresh.neighbours))
        }
    }
}

@Suite struct SuspicionTests {
    let settings = MembershipSettings()

    private func deadline(accusers: Int, refusals: Int = 0, of able: Int = 999, health: Int = 1) -> Duration {
        var suspicion = Suspicion(record: record("node-1"), at: .zero)
        for index in 0..<accusers {
            _ = suspicion.add(
                Accusation(accuser: NodeID("accuser-\(index)"), isRefusal: index < refusals),
                limit: settings.accusersForShortest)
        }
        suspicion.updateDeadline(now: .zero, siloCount: able + 1, accusers: able, health: health, settings: settings)
        return suspicion.deadline - .zero
    }

    @Test func confirmationsShortenASuspicionDownToTheShortest() {
        let (shortest, longest) = settings.suspicionBounds(siloCount: 1000)
        #expect(deadline(accusers: 1) == longest)
        #expect(deadline(accusers: 2) < longest && deadline(accusers: 2) > shortest)
        #expect(deadline(accusers: 3) == shortest)
        #expect(deadline(accusers: 9) == shortest)
        #expect(deadline(accusers: 0) == longest)
    }

    @Test func theShortestSuspicionGrowsLittleBeyondAThousandSilos() {
        let shortest = [100, 1_000, 10_000].map { settings.suspicionBounds(siloCount: $0).shortest }
        let timeout = settings.probeTimeout
        let expected = [6.0, 9.0, 9.5].map { timeout.scaled(by: $0) }
        for (found, wanted) in zip(shortest, expected) { #expect(abs((found - wanted).microseconds) < 100) }
    }

    @Test func doubtInOneselfCountsOnlyAsLongAsNobodyConfirms() {
        #expect(deadline(accusers: 1, health: 4) == deadline(accusers: 1).scaled(by: 4))
        #expect(deadline(accusers: 3, health: 4) == deadline(accusers: 3))
    }

    @Test func closedPortsEndItSoonOnlyWhenSeveralFindThem() {
        #expect(deadline(accusers: 3, refusals: 3) == settings.refusedGrace)
        #expect(deadline(accusers: 3, refusals: 2) == deadline(accusers: 3))
        #expect(deadline(accusers: 1, refusals: 1) == deadline(accusers: 1))
        // Of three silos, the two others are several.
        #expect(deadline(accusers: 2, refusals: 2, of: 2) == settings.refusedGrace)
        #expect(deadline(accusers: 1, refusals: 1, of: 1) > settings.refusedGrace)
    }

    @Test func theSameAccuserCountsOnce() {
        var suspicion = Suspicion(record: record("node-1"), at: .zero)
        let accuser = NodeID("node-2")
        let told = [false, false, true].map {
            suspicion.add(Accusation(accuser: accuser, isRefusal: $0), limit: 3)
        }
        #expect(told == [true, false, true])
        #expect(suspicion.accusations.count == 1)
    }
}

@Suite struct DisseminationTests {
    private let peers = (1...4).map { NodeID("peer-\($0)") }

    private func queue(_ count: Int) -> Dissemination {
        var queue = Dissemination()
        queue.setLinks(peers)
        for index in 0..<count { queue.add(News(record: record("node-\(index)")), from: nil, limit: 512) }
        return queue
    }

    @Test func newsGoesOnceOverEachLinkAndThenAway() {
        var queue = queue(1)
        for peer in peers {
            let first = queue.take(for: peer, byteLimit: 1000, sendLimit: 30)
            let second = queue.take(for: peer, byteLimit: 1000, sendLimit: 30)
            #expect(first.count == 1 && second.isEmpty)
        }
        #expect(queue.isEmpty)
    }

    @Test func newsIsToldNoMoreOftenThanTheLimit() {
        var queue = queue(1)
        let first = queue.take(for: peers[0], byteLimit: 1000, sendLimit: 2)
        #expect(first.count == 1 && !queue.isEmpty)
        let second = queue.take(for: peers[1], byteLimit: 1000, sendLimit: 2)
        #expect(second.count == 1 && queue.isEmpty)
    }

    @Test func aMessageHoldsNoMoreThanItsBytes() {
        var queue = queue(100)
        var taken: [News] = []
        while queue.hasNews(for: peers[0]) {
            let next = queue.take(for: peers[0], byteLimit: 300, sendLimit: 30)
            #expect(!next.isEmpty && next.reduce(0) { $0 + MessageCodec.size(of: $1) } <= 300)
            taken += next
        }
        #expect(Set(taken.map(\.record.id)).count == 100)
    }

    @Test func newsThatIsLargerThanAllTheRoomGoesAlone() {
        var queue = queue(1)
        let long = (0..<4).map { MemberDescription.Label(name: "\($0)", value: String(repeating: "x", count: 200)) }
        queue.add(News(record: record("node-9", labels: long)), from: nil, limit: 512)
        let messages = (0..<2).map { _ in queue.take(for: peers[0], byteLimit: 300, sendLimit: 30).map(\.record.id.name)
        }
        #expect(messages == [["node-0"], ["node-9"]])
        #expect(!queue.hasNews(for: peers[0]))
    }

    @Test func newsDoesNotGoBackToWhereItCameFrom() {
        var queue = queue(0)
        let news = News(record: record("node-1"))
        queue.add(news, from: peers[0], limit: 512)
        queue.heard(news, from: peers[1])
        let taken = (0..<3).map { queue.take(for: peers[$0], byteLimit: 1000, sendLimit: 30) }
        #expect(taken == [[], [], [news]])
    }

    @Test func newerNewsOfAMemberReplacesOlderAndTheQueueIsBounded() {
        var queue = queue(0)
        for incarnation in 0..<5 {
            queue.add(News(record: record("node-1", incarnation: UInt32(incarnation))), from: nil, limit: 3)
        }
        #expect(queue.count == 1)
        for index in 0..<9 { queue.add(News(record: record("node-\(index)")), from: nil, limit: 3) }
        #expect(queue.count == 3)
        #expect(queue.droppedCount > 0)
    }
}

@Suite struct ViewPublisherTests {
    let settings = MembershipSettings()

    private func publishes(
        _ publisher: inout ViewPublisher, _ digest: UInt64, after time: Duration = .zero, othersAreRipe: Bool = false
    ) -> Bool {
        publisher.update(digest: digest, now: .zero + time, settings: settings, othersAreRipe: othersAreRipe)
    }

    @Test func aDeathIsPublishedAtOnceUnlessOthersAreAboutToFollow() {
        var publisher = ViewPublisher()
        publisher.noteDeath()
        let alone = publishes(&publisher, 1)
        publisher.noteDeath()
        let first = publishes(&publisher, 2, othersAreRipe: true)
        #expect(alone && !first)
        #expect(publisher.due == Moment.zero + settings.settleTime)
        let last = publishes(&publisher, 3, after: .milliseconds(10))
        #expect(last && publisher.version == 2)
    }

    @Test func arrivalsWaitAMomentAndAReversalPublishesNothing() {
        var publisher = ViewPublisher()
        let early = [1, 0, 1].map { publishes(&publisher, $0) }
        #expect(early == [false, false, false])
        let later = publishes(&publisher, 1, after: settings.arrivalSettleTime)
        #expect(later)
    }
}

@Suite struct MemberTableTests {
    @Test func digestsFollowTheLiveMembersAndNotTheirOrder() {
        var forward = MemberTable()
        var backward = MemberTable()
        let records = (0..<300).map { record("node-\($0)") }
        for record in records { forward.set(.init(record: record, since: .zero)) }
        for record in records.reversed() { backward.set(.init(record: record, since: .zero)) }
        #expect(forward.digest == backward.digest && forward.viewDigest == backward.viewDigest)
        #expect(forward.bucketDigests == backward.bucketDigests)
        var dead = records[7]
        dead.status = .dead
        forward.set(.init(record: dead, since: .zero))
        backward.remove(dead.id)
        #expect(forward.digest == backward.digest && forward.viewDigest == backward.viewDigest)
        #expect(forward.liveSiloCount == 299 && forward.count == 300 && backward.count == 299)
    }
}
