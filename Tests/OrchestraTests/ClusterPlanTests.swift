import OrchestraCore
import Testing
import Transport

@testable import Orchestra

/// Which processes `up` plans for which configuration.
@Suite struct ClusterPlanTests {
    private func plan(
        silos: Int = 1, agents: Int = 1, gateways: Int = 1, freePorts: Bool = true, _ settings: [String: String] = [:],
        environment: [String: String] = [:]
    ) throws -> ClusterPlan {
        let flags = settings.map { ConfigurationFlag(key: $0.key, spelling: "--set", text: $0.value) }
        let configuration = try ResolvedConfiguration(
            layers: [ConfigurationLayer(flags: flags), ConfigurationLayer(environment: environment)], filePath: nil)
        return try ClusterPlan(
            ClusterPlan.Request(
                configuration: configuration, silos: silos, agents: agents, gateways: gateways, freePorts: freePorts,
                inheritedArguments: ["--config", "x.json"]))
    }

    private func argument(_ flag: String, of child: ClusterPlan.Child) -> String? {
        child.arguments.firstIndex(of: flag).map { child.arguments[$0 + 1] }
    }

    @Test func everythingIsLocalByDefaultAndKnowsEachOther() throws {
        let plan = try plan(agents: 2, gateways: 2)
        #expect(
            plan.stages.map { $0.map(\.name) } == [
                ["broker"], ["silo-1"], ["agent-1", "agent-2"], ["gateway-1", "gateway-2"],
            ])
        for child in plan.children.dropFirst() {
            #expect(argument("--kafka", of: child) == plan.kafka)
            #expect(argument("--registry", of: child) == plan.registry)
            #expect(argument("--node-id", of: child) == child.name)
        }
        for child in plan.children {
            #expect(child.arguments.contains("--supervised"))
            #expect(argument("--config", of: child) == "x.json")
        }
        for child in plan.stages[2] + plan.stages[3] { #expect(argument("--seed", of: child) == plan.silos[0]) }
        let ports = plan.reservations.map(\.address.port)
        #expect(Set(ports).count == 5)
    }

    @Test func silosStartTogetherAndAreEachOthersSeeds() throws {
        let plan = try plan(silos: 3)
        #expect(plan.stages[1].map(\.name) == ["silo-1", "silo-2", "silo-3"])
        #expect(Set(plan.silos).count == 3)
        for child in plan.children.dropFirst() {
            let seeds = zip(child.arguments, child.arguments.dropFirst()).filter { $0.0 == "--seed" }.map(\.1)
            #expect(seeds == plan.silos)
        }
        #expect(zip(plan.stages[1], plan.silos).allSatisfy { argument("--listen", of: $0) == $1 })
    }

    @Test func aConfiguredKafkaMeansNoBroker() throws {
        let both = try plan(
            ["kafka.bootstrap.servers": "kafka:9092"],
            environment: ["ORCHESTRA_REGISTRY_URL": "http://me:secret@registry:1"])
        #expect(both.children.map(\.name) == ["silo-1", "agent-1", "gateway-1"])
        #expect(both.kafka == "kafka:9092")
        #expect(both.children.allSatisfy { argument("--kafka", of: $0) == "kafka:9092" })
        // The children read it from where we did; a password must not appear in `ps`.
        #expect(!both.children.contains { child in child.arguments.contains { $0.contains("secret") } })

        let kafkaOnly = try plan(["kafka.bootstrap.servers": "kafka:9092"])
        #expect(kafkaOnly.children[0].arguments.contains("--no-kafka"))
        #expect(!kafkaOnly.children[0].arguments.contains("--no-registry"))
        let registryOnly = try plan(["registry.url": "http://registry:1"])
        #expect(registryOnly.children[0].arguments.contains("--no-registry"))
    }

    @Test func aTakenPortIsNamedWithItsKeyAndTheWayOut() throws {
        let first = try plan()
        let silo = try #require(HostAndPort(first.silos[0]))
        // Nobody listens at a reservation; a second plan may share it, as the restart of a child does.
        _ = try PortReservation.reserve(silo)
        let error = #expect(throws: OrchestraError.self) {
            try plan(
                freePorts: false,
                [
                    "broker.listen": "127.0.0.1:\(silo.port)", "registry.listen": "127.0.0.1:\(silo.port)",
                ])
        }
        #expect(error?.message.contains("port \(silo.port) is taken") == true)
        #expect(error?.nextStep?.contains("--ports auto") == true)
        #expect(error?.nextStep?.contains("registry.listen") == true)
    }

    @Test func anAddressForAllInterfacesIsReachedOverLoopback() throws {
        let plan = try plan(["gateway.listen": "0.0.0.0:0", "broker.listen": "[::]:0"])
        #expect(plan.gateways[0].hasPrefix("http://127.0.0.1:"))
        #expect(plan.kafka.hasPrefix("[::1]:"))
        #expect(argument("--listen", of: plan.stages[3][0])?.hasPrefix("0.0.0.0:") == true)
    }

    @Test(arguments: [
        ("localhost:1", "localhost", 1), ("[::1]:80", "::1", 80), ("0.0.0.0:0", "0.0.0.0", 0),
        ("a-b.c:65535", "a-b.c", 65535),
    ])
    func addressesAreRead(text: String, host: String, port: Int) {
        #expect(HostAndPort(text) == HostAndPort(host: host, port: port))
        #expect(HostAndPort(text)?.description == text)
    }

    @Test(arguments: [
        "", ":1", "host", "host:", "host:x", "host:-1", "host:65536", "::1:80", "a b:1", "http://a:1", "a:1,b:2",
    ])
    func otherAddressesAreRefused(text: String) {
        #expect(HostAndPort(text) == nil)
    }
}
