import Membership
import MembershipNetwork
import NIOCore
import OrchestraCore
import Testing
import Transport

/// The membership of a few nodes over real sockets on the loopback.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct MembershipServiceTests {
    private func cluster(of count: Int, secret: String? = nil) async throws -> [Node] {
        let first = try Node("node-1", secret: secret)
        var nodes = [first]
        let seed = try await first.address()
        for number in 2...max(2, count) where number <= count {
            nodes.append(try Node("node-\(number)", secret: secret, seeds: [seed]))
        }
        for node in nodes { try await node.membership.waitUntilJoined() }
        for node in nodes {
            try await eventually("\(count) silos at \(node.network.identity)") {
                node.membership.views.current?.silos.count == count
            }
        }
        return nodes
    }

    @Test
    func nodesFindEachOtherAndAgree() async throws {
        let nodes = try await cluster(of: 4, secret: "a secret that is long enough")
        let digests = Set(nodes.compactMap { $0.membership.views.current?.digest })
        #expect(digests.count == 1)
        let list = try await nodes[3].membership.members()
        #expect(list.members.map(\.id) == ["node-1", "node-2", "node-3", "node-4"])
        #expect(list.joined && list.node == "node-4" && list.cluster == "test")
        #expect(list.members.allSatisfy { $0.version == "1.2.3" && $0.status == "alive" && $0.role == "silo" })
        #expect(list.members[0].address == "\(try await nodes[0].address())")
        #expect(try ClusterMembers(json: list.json).members.map(\.generation) == list.members.map(\.generation))
        #expect(nodes[0].log.contains("member joined", "member=node-3", "role=silo"))
        for node in nodes { try await node.stop() }
    }

    @Test
    func aNodeThatStopsIsSaidToHaveLeftNotDied() async throws {
        let nodes = try await cluster(of: 3)
        try await nodes[2].stop()
        for node in nodes.prefix(2) {
            try await eventually("node-3 has left") { try await node.statuses()["node-3"] == "left" }
            try await eventually("a view without it") { node.membership.views.current?.silos.count == 2 }
            #expect(node.log.contains("member left", "member=node-3"))
            #expect(!node.log.contains("member suspected"))
        }
        for node in nodes.prefix(2) { try await node.stop() }
    }

    @Test
    func aNodeThatIsKilledIsFoundDeadSoonAndItsSuccessorIsWelcome() async throws {
        let nodes = try await cluster(of: 4)
        let port = try await nodes[3].address().port
        let start = ContinuousClock.now
        await nodes[3].kill()
        for node in nodes.prefix(3) {
            try await eventually("node-4 is dead") { node.membership.views.current?.silos.count == 3 }
        }
        let took = ContinuousClock.now - start
        print("three survivors agreed on a death after \(took)")
        #expect(took < .seconds(5))
        #expect(nodes.prefix(3).contains { $0.log.contains("member is dead", "member=node-4") })
        let successor = try Node(
            "node-4", generation: 100_000, seeds: [try await nodes[0].address()], port: port)
        for node in nodes.prefix(3) {
            try await eventually("node-4 is back") { node.membership.views.current?.silos.count == 4 }
            #expect(node.log.contains("member came back", "member=node-4"))
        }
        for node in nodes.prefix(3) + [successor] { try await node.stop() }
    }

    @Test
    func clientsAreListedButNoPartOfTheView() async throws {
        let nodes = try await cluster(of: 2)
        let gateway = try Node("gateway-1", role: .gateway, seeds: [try await nodes[1].address()])
        try await gateway.membership.waitUntilJoined()
        try await eventually("the gateway is listed") { try await nodes[0].statuses()["gateway-1"] == "alive" }
        try await eventually("the gateway knows the silos") { gateway.membership.views.current?.silos.count == 2 }
        #expect(nodes[0].membership.views.current?.silos.count == 2)
        for node in nodes + [gateway] { try await node.stop() }
    }

    @Test(arguments: [("other", "a secret that is long enough"), ("test", "another secret, as long as that")])
    func aStrangerIsRefusedAndSaysWhy(cluster name: String, secret: String) async throws {
        let nodes = try await cluster(of: 2, secret: "a secret that is long enough")
        let stranger = try Node(
            "stranger", cluster: name, secret: secret, seeds: [try await nodes[0].address()])
        try await eventually("the stranger says why it cannot join") {
            stranger.log.contains("cannot join through a seed", name == "test" ? "wrongSecret" : "wrongCluster")
        }
        #expect(try await nodes[0].statuses()["stranger"] == nil)
        try await eventually("the refusal is logged") { nodes[0].log.contains("warning", "stranger") }
        for node in nodes + [stranger] { try await node.stop() }
    }

    @Test
    func nodesBehindOneNameFindEachOtherAlthoughEachIsItsOwnSeed() async throws {
        let first = try Node("node-1")
        let port = try await first.address().port
        try await first.stop()
        // Alone behind its own name: it is the first.
        let name = HostAndPort(host: "localhost", port: port)
        let alone = try Node("node-1", generation: 100_000, names: [name], port: port)
        try await alone.membership.waitUntilJoined()
        let second = try Node("node-2", names: [name])
        try await eventually("both know both") {
            alone.membership.views.current?.silos.count == 2 && second.membership.views.current?.silos.count == 2
        }
        for node in [alone, second] { try await node.stop() }
    }

    @Test
    func whatIsNoMessageEndsTheConnectionAndNothingElse() async throws {
        let nodes = try await cluster(of: 2)
        let identity = NodeIdentity(clusterName: "test", nodeID: "babbler", role: .agent)
        let babbler = try PeerNetwork(
            PeerNetworkConfiguration(identity: identity), takesGossip: true, logger: nodes[0].log.logger)
        try await babbler.start()
        let target = Gossip.Target(nodeID: nil, address: try await nodes[0].address())
        babbler.gossip.send(ByteBuffer(bytes: [1, 200, 7, 7, 7]), to: target)
        try await eventually("the babble is logged") { nodes[0].log.contains("no membership message", "babbler") }
        var isClosed = false
        for await input in babbler.gossip.inputs {
            if case .disconnected = input {
                isClosed = true
                break
            }
        }
        #expect(isClosed)
        #expect(try await nodes[1].statuses() == ["node-1": "alive", "node-2": "alive"])
        await babbler.shutDown()
        for node in nodes { try await node.stop() }
    }

    @Test
    func laterHandshakesTellTheNewGeneration() async throws {
        let nodes = try await cluster(of: 2)
        nodes[0].network.setGeneration(7)
        // A handshake that is on its way at this moment may tell the old one.
        try await eventually("the new generation is told") {
            let answer = await nodes[1].network.probe(
                try await nodes[0].address(), expecting: "node-1", timeout: .seconds(5))
            return try answer.get().identity.generation == 7
        }
        for node in nodes { try await node.stop() }
    }
}
