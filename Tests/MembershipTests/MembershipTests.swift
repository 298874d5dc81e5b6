import Membership
import SeededRandom
import Testing

@Suite struct MembershipTests {
    @Test func aPingIsAnswered() {
        var node = TestNode()
        let answers = node.receive(.ping(sequence: 7), from: "node-1").sent(to: "node-1")
        #expect(answers.map(\.body) == [.ack(sequence: 7)])
    }

    @Test func aSuspectedNodeRaisesItsIncarnationAndSaysSo() {
        var node = TestNode()
        let accusation = Accusation(accuser: NodeID("node-2"), isRefusal: false)
        let news = News(record: brief("node-0", status: .suspect), accusations: [accusation])
        var effects = node.receive(news: [news], from: "node-1")
        #expect(effects.observations.contains(.refuted(incarnation: 1)))
        effects += node.run(for: .milliseconds(300))
        let told = effects.sent(to: "node-3").flatMap(\.news).contains {
            $0.record.id.name == "node-0" && $0.record.incarnation == 1 && $0.record.status == .alive
        }
        #expect(told)
    }

    @Test func aNodeWhoseClockWentBackTakesTheRefusedGenerationPlusOne() {
        var node = TestNode()
        let effects = node.receive(.refused(generation: 41), from: "node-1", generation: 1)
        #expect(effects.newGeneration == 42)
        #expect(node.membership.generation == 42)
    }

    @Test func aSenderOfAnEndedGenerationIsRefusedAndNotListenedTo() {
        var node = TestNode()
        _ = node.receive(news: [News(record: brief("node-4", status: .dead))], from: "node-1")
        #expect(node.status("node-4") == .dead)
        let late = News(record: brief("node-3", status: .dead))
        let answers = node.receive(.ping(sequence: 1), news: [late], from: "node-4").sent(to: "node-4")
        #expect(answers.map(\.body) == [.refused(generation: 1)])
        #expect(node.status("node-3") == .alive)
        _ = node.receive(.gossip, news: [News(record: record("node-4", generation: 2))], from: "node-4", generation: 2)
        #expect(node.status("node-4") == .alive)
    }

    @Test func silenceBecomesAnAccusationAndThenADeath() {
        var node = TestNode()
        var effects: [MembershipEffect] = []
        var heard = 0
        // Everybody but node-4 answers every ping.
        for _ in 0..<8000 {
            let step = node.step(.wake, after: .milliseconds(5))
            effects += step
            for case .send(let message, let to, _) in step where to.name != "node-4" {
                guard case .ping(let sequence) = message.body else { continue }
                heard += 1
                effects += node.receive(.ack(sequence: sequence), from: to.name)
            }
            for case .dial(let target, _) in step { effects += node.step(.dialed(target, .timedOut)) }
        }
        #expect(heard > 20)
        #expect(effects.observations.contains(.accused(NodeID("node-4"), refused: false)))
        #expect(node.status("node-4") == .dead)
        #expect(node.status("node-1") == .alive)
        #expect(effects.observations.contains(.declaredDead(NodeID("node-4"), witnessed: false)))
    }

    /// A node that is nearly cut off knows few others, and must not take its word for that of the whole cluster.
    @Test func theVerdictOfOneIsNotToldEvenInAClusterOfTwo() {
        var node = TestNode(others: 1)
        let effects = node.run(for: .seconds(20))
        #expect(effects.observations.contains(.declaredDead(NodeID("node-1"), witnessed: false)))
        _ = node.step(.dialed(.member(NodeID("node-1")), .timedOut))
        // Who takes the member for alive is told of the doubt, not of the verdict.
        let newcomer = [News(record: record("node-2")), News(record: record("node-1"))]
        let later = node.receive(news: newcomer, from: "node-2") + node.run(for: .seconds(1))
        let told = later.sent(to: "node-2").flatMap(\.news).filter { $0.record.id.name == "node-1" }
        #expect(!told.isEmpty)
        #expect(told.allSatisfy { $0.record.status == .suspect && $0.accusations.isEmpty })
        #expect(node.status("node-1") == .dead)
    }

    @Test func closedPortsSeenBySeveralEndASuspicionAtOnce() {
        var node = TestNode()
        let accusations = ["node-1", "node-2", "node-3"].map { Accusation(accuser: NodeID($0), isRefusal: true) }
        _ = node.receive(
            news: [News(record: brief("node-4", status: .suspect), accusations: accusations)], from: "node-1")
        #expect(node.status("node-4") == .suspect)
        var died: Duration?
        for tick in 0..<200 where died == nil {
            _ = node.receive(from: "node-1")
            _ = node.step(.wake, after: .milliseconds(5))
            if node.status("node-4") == .dead { died = .milliseconds(5 * tick) }
        }
        #expect(died.map { $0 >= .milliseconds(250) && $0 <= .milliseconds(400) } == true)
    }

    @Test func aNodeThatHearsNobodyAccusesNobodyForAWhile() {
        var node = TestNode()
        let effects = node.run(for: .seconds(8))
        #expect(effects.observations.contains(.deaf))
        #expect(!effects.observations.contains { if case .accused = $0 { true } else { false } })
    }

    @Test func aPausedNodeForgivesThePause() {
        var node = TestNode()
        _ = node.run(for: .seconds(1))
        let effects = node.step(.wake, after: .seconds(60))
        #expect(effects.observations.contains { if case .stalled = $0 { true } else { false } })
        #expect(!effects.observations.contains { if case .accused = $0 { true } else { false } })
    }

    @Test func leavingIsToldBeforeTheNodeStops() {
        var node = TestNode()
        var effects = node.step(.leave)
        for peer in ["node-1", "node-2", "node-3", "node-4"] {
            #expect(effects.sent(to: peer).flatMap(\.news).contains { $0.record.status == .left })
        }
        effects = node.run(for: .seconds(1))
        #expect(effects.contains { if case .left = $0 { true } else { false } })
    }

    @Test func clientsAreListedButNotPartOfTheView() {
        var node = TestNode()
        _ = node.receive(news: [News(record: record("gateway-1", role: .gateway))], from: "node-1")
        _ = node.run(for: .milliseconds(500))
        #expect(node.status("gateway-1") == .alive)
        #expect(node.membership.view.silos.map(\.id.name) == (0...4).map { "node-\($0)" })
    }

    @Test func tombstonesExpire() {
        var settings = MembershipSettings()
        settings.tombstoneLifetime = .seconds(5)
        var node = TestNode(settings: settings)
        _ = node.receive(news: [News(record: brief("node-4", status: .dead))], from: "node-1")
        _ = node.receive(news: [News(record: record("node-4", incarnation: 9))], from: "node-1")
        #expect(node.status("node-4") == .dead)
        _ = node.run(for: .seconds(6))
        #expect(node.status("node-4") == nil)
    }

    @Test func incarnationsThatCannotBeRaisedEndTheGeneration() {
        var node = TestNode()
        let suspicion = News(record: brief("node-0", incarnation: .max - 1, status: .suspect))
        _ = node.receive(news: [suspicion], from: "node-1")
        #expect(node.membership.incarnation == .max)
        let effects = node.step(.describe(weight: 7, load: 0, labels: []))
        #expect(effects.newGeneration == 2 && node.membership.incarnation == 0)
        var other = TestNode()
        let last = News(record: brief("node-0", incarnation: .max, status: .suspect))
        #expect(other.receive(news: [last], from: "node-1").newGeneration == 2)
    }

    @Test func theEndedMakeRoomForTheLivingWhenTheTableIsFull() {
        var settings = MembershipSettings()
        settings.maximumMembers = 6
        var node = TestNode(settings: settings)
        let ended = ["node-3", "node-4"].map { News(record: brief($0, status: .left)) }
        for news in ended { _ = node.receive(news: [news], from: "node-1") }
        for index in 5...9 { _ = node.receive(news: [News(record: record("node-\(index)"))], from: "node-1") }
        #expect(node.membership.table.count == 6)
        #expect((5...7).allSatisfy { node.status("node-\($0)") == .alive })
        #expect(node.status("node-3") == nil && node.status("node-4") == nil && node.status("node-8") == nil)
        // Nobody living makes room, least of all for the ended.
        _ = node.receive(news: [News(record: brief("node-9", status: .dead))], from: "node-1")
        #expect(node.membership.table.count == 6 && node.status("node-9") == nil)
    }

    @Test func mergingDoesNotDependOnTheOrderOfNews() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<50 {
            var news: [News] = (0..<12).map { _ in
                let name = "node-\(1 + random.below(5))"
                let generation = UInt64(1 + random.below(3))
                let incarnation = UInt32(random.below(3))
                switch random.below(4) {
                case 0: return News(record: brief(name, generation: generation, incarnation: 0, status: .dead))
                case 1: return News(record: brief(name, generation: generation, incarnation: 0, status: .left))
                default: return News(record: record(name, generation: generation, incarnation: incarnation))
                }
            }
            var results: Set<[Precedence?]> = []
            for _ in 0..<4 {
                random.shuffle(&news)
                var node = TestNode()
                _ = node.receive(news: news + news.prefix(3), from: "node-9")
                results.insert((1...5).map { node.membership.table[NodeID("node-\($0)")]?.record.precedence })
            }
            #expect(results.count == 1)
        }
    }

    @Test func loadIsSpreadSeldomAndWeightAtOnce() {
        var node = TestNode()
        _ = node.step(.describe(weight: 100, load: 5, labels: []), after: .seconds(3600))
        #expect(node.membership.incarnation == 1)
        _ = node.step(.describe(weight: 100, load: 90, labels: []))
        #expect(node.membership.incarnation == 1)
        _ = node.step(.describe(weight: 50, load: 90, labels: []))
        #expect(node.membership.incarnation == 2)
    }

    @Test func aLoadThatHasHardlyChangedIsNoNews() {
        var node = TestNode()
        _ = node.step(.describe(weight: 100, load: 100, labels: []), after: .seconds(3600))
        #expect(node.membership.incarnation == 1)
        // A tenth of the scale is told after a pause, less only much later, next to nothing never.
        _ = node.step(.describe(weight: 100, load: 125, labels: []), after: .seconds(60))
        #expect(node.membership.incarnation == 1)
        _ = node.step(.describe(weight: 100, load: 74, labels: []))
        #expect(node.membership.incarnation == 2 && node.membership.description.load == 74)
        _ = node.step(.describe(weight: 100, load: 77, labels: []), after: .seconds(200))
        #expect(node.membership.incarnation == 3)
        _ = node.step(.describe(weight: 100, load: 79, labels: []), after: .seconds(3600))
        #expect(node.membership.incarnation == 3)
    }

    @Test func aLoadThatSwingsIsToldAtABoundedRate() {
        var node = TestNode(others: 4)
        for sample in 0..<120 {
            _ = node.step(.describe(weight: 100, load: sample % 2 == 0 ? 255 : 0, labels: []), after: .seconds(5))
        }
        // Five seconds and two for each of five members lie between two tellings.
        #expect((20...41).contains(node.membership.incarnation))
    }
}
