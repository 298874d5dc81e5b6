import OrchestraCore
import SeededRandom
import Testing

@testable import LocalBroker

/// Consumers that join, crash, fall silent, come back, leave and commit at random, over brokers that restart.
@Suite("Groups, simulated")
struct GroupSimulationTests {
    static let partitions: Int32 = 12

    /// A consumer as librdkafka behaves: it joins, the leader assigns, everybody syncs, heartbeats and commits.
    struct Client {
        enum Phase: Equatable {
            case idle
            case joining(RequestToken)
            case syncing(RequestToken)
            case stable
        }

        var instanceID: String?
        var memberID = ""
        var generation: Int32 = -1
        var phase = Phase.idle
        var assigned: [UInt8] = []
        /// It does nothing any more until it is restarted.
        var isSilent = false
    }

    struct World {
        var generator: SeededGenerator
        var harness = GroupHarness(initialRebalanceDelay: .milliseconds(30))
        var clients: [Client]
        /// Generation → member → its assignment, as answered.
        var assignments: [Int32: [String: [UInt8]]] = [:]
        var leaders: [Int32: String] = [:]
        var expected: [Int32: Int64] = [:]
        var highestOffset: Int64 = 0
        var stableRounds = 0
        var trace: [String] = []
    }

    @Test("one assignment per generation, no partition for two, no commit lost", arguments: 1...UInt64(30))
    func chaos(seed: UInt64) {
        var world = run(seed: seed, rounds: 600)
        #expect(world.harness.answeredTwice.isEmpty, "seed \(seed): a request was answered twice")
        #expect(world.stableRounds > 20, "seed \(seed): the group was hardly ever stable")
        // Calm: everybody who is alive must end up with a part of the whole.
        for index in world.clients.indices { world.clients[index].isSilent = false }
        var rounds = 0
        while rounds < 400, !isSettled(world) {
            rounds += 1
            step(&world, chaos: false)
        }
        #expect(isSettled(world), "seed \(seed): after \(rounds) calm rounds: \(world.clients)")
        let all = world.clients.flatMap(\.assigned).sorted()
        #expect(all == Array(0..<UInt8(Self.partitions)), "seed \(seed): \(all)")
        for (partition, offset) in world.expected {
            let fetched = world.harness.fetch(partition: partition).committed?.offset
            #expect(fetched == offset, "seed \(seed), partition \(partition)")
        }
    }

    @Test("the same seed gives the same run")
    func deterministic() {
        #expect(run(seed: 3, rounds: 200).trace == run(seed: 3, rounds: 200).trace)
        #expect(run(seed: 3, rounds: 200).trace != run(seed: 4, rounds: 200).trace)
    }

    func isSettled(_ world: World) -> Bool {
        let generations = Set(world.clients.map(\.generation))
        return generations.count == 1 && world.clients.allSatisfy { $0.phase == .stable }
            && world.clients.allSatisfy { $0.generation == world.harness.coordinator.groups["g"]?.generation }
    }

    func run(seed: UInt64, rounds: Int) -> World {
        let clients = (0..<6).map { Client(instanceID: $0 < 2 ? "static-\($0)" : nil) }
        var world = World(generator: SeededGenerator(seed: seed), clients: clients)
        for _ in 0..<rounds { step(&world, chaos: true) }
        return world
    }

    func step(_ world: inout World, chaos: Bool) {
        world.harness.advance(by: .milliseconds(Int64.random(in: 0...400, using: &world.generator)))
        if chaos, world.generator.chance(1) {
            world.harness.restart()
            // A generation is stored when its leader has synchronised. Those that were not come again, as in Kafka.
            let stored = world.harness.coordinator.groups["g"]?.generation ?? 0
            world.leaders = world.leaders.filter { $0.key <= stored }
            // The connections are gone, and with them the held requests.
            for index in world.clients.indices where world.clients[index].phase != .stable {
                world.clients[index].phase = .idle
            }
            world.trace.append("restart")
        }
        for index in world.clients.indices.shuffled(using: &world.generator) {
            act(index, chaos: chaos, in: &world)
        }
        if isSettled(world) { world.stableRounds += 1 }
    }

    func act(_ index: Int, chaos: Bool, in world: inout World) {
        if chaos { disturb(index, in: &world) }
        guard !world.clients[index].isSilent else { return }
        let client = world.clients[index]
        switch client.phase {
        case .idle:
            let token = world.harness.join(
                client.memberID, instanceID: client.instanceID, requiresKnownMemberID: true, session: .seconds(3),
                rebalance: .seconds(6))
            world.clients[index].phase = .joining(token)
        case .joining(let token):
            guard let answer = world.harness.joined[token] else { return }
            take(answer, index, in: &world)
        case .syncing(let token):
            guard let answer = world.harness.synced[token] else { return }
            take(answer, index, in: &world)
        case .stable:
            work(index, in: &world)
        }
    }

    func disturb(_ index: Int, in world: inout World) {
        let client = world.clients[index]
        if client.isSilent {
            guard world.generator.chance(5) else { return }
            world.clients[index].isSilent = false
            if world.generator.chance(50) {
                // A new process: it knows nothing but its instance id.
                world.clients[index] = Client(instanceID: client.instanceID)
            }
            world.trace.append("\(index) back")
        } else if world.generator.chance(1) {
            world.clients[index].isSilent = true
            world.trace.append("\(index) silent")
        } else if world.generator.chance(1), !client.memberID.isEmpty, client.instanceID == nil {
            _ = world.harness.leave(client.memberID)
            world.clients[index] = Client()
            world.trace.append("\(index) left")
        }
    }

    func take(_ answer: JoinAnswer, _ index: Int, in world: inout World) {
        world.trace.append("\(index) join \(answer.error.rawValue) \(answer.generation)")
        switch answer.error {
        case .none:
            world.clients[index].memberID = answer.memberID
            world.clients[index].generation = answer.generation
            var assignments: [String: [UInt8]] = [:]
            if answer.leaderID == answer.memberID, !answer.skipAssignment {
                let known = world.leaders.updateValue(answer.memberID, forKey: answer.generation)
                #expect(known == nil || known == answer.memberID, "two leaders in generation \(answer.generation)")
                for partition in 0..<Self.partitions {
                    let member = answer.members[Int(partition) % answer.members.count].memberID
                    assignments[member, default: []].append(UInt8(partition))
                }
            }
            let token = world.harness.sync(
                answer.memberID, generation: answer.generation, assignments: assignments,
                instanceID: world.clients[index].instanceID)
            world.clients[index].phase = .syncing(token)
        case .memberIDRequired:
            world.clients[index].memberID = answer.memberID
            world.clients[index].phase = .idle
        default:
            rejoin(after: answer.error, index, in: &world)
        }
    }

    func take(_ answer: SyncAnswer, _ index: Int, in world: inout World) {
        let client = world.clients[index]
        world.trace.append("\(index) sync \(answer.error.rawValue) \(answer.assignment)")
        guard answer.error == .none else { return rejoin(after: answer.error, index, in: &world) }
        // One assignment per generation: the parts of different places in it are disjoint, and each is always the
        // same. A static member that came back holds its place under a new id.
        let place = client.instanceID ?? client.memberID
        let earlier = world.assignments[client.generation, default: [:]].updateValue(answer.assignment, forKey: place)
        #expect(earlier == nil || earlier == answer.assignment, "generation \(client.generation) was assigned twice")
        let parts = world.assignments[client.generation, default: [:]].values.flatMap { $0 }
        #expect(Set(parts).count == parts.count, "a partition for two members of generation \(client.generation)")
        world.clients[index].assigned = answer.assignment
        world.clients[index].phase = .stable
    }

    func work(_ index: Int, in world: inout World) {
        let client = world.clients[index]
        let membership = GroupMembership(
            generation: client.generation, memberID: client.memberID, instanceID: client.instanceID)
        if let partition = client.assigned.randomElement(using: &world.generator), world.generator.chance(50) {
            world.highestOffset += 1
            let error = world.harness.commit(
                world.highestOffset, partition: Int32(partition), membership: membership)
            let group = world.harness.coordinator.groups["g"]
            if error == .none {
                #expect(group?.generation == client.generation, "a stale generation committed")
                world.expected[Int32(partition)] = world.highestOffset
            }
        }
        let error = world.harness.heartbeat(
            client.memberID, generation: client.generation, instanceID: client.instanceID)
        if error != .none { rejoin(after: error, index, in: &world) }
    }

    func rejoin(after error: KafkaErrorCode, _ index: Int, in world: inout World) {
        world.clients[index].phase = .idle
        world.clients[index].assigned = []
        if error == .unknownMemberID || error == .fencedInstanceID { world.clients[index].memberID = "" }
    }
}
