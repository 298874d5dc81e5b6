import ArgumentParser
import Logging
import OrchestraCore
import Testing
import Transport

@testable import Orchestra

/// The `cluster.*` keys.
@Suite struct NetworkConfigurationTests {
    private func load(_ environment: [String: String]) throws -> ResolvedConfiguration {
        try ResolvedConfiguration(layers: [ConfigurationLayer(environment: environment)], filePath: nil)
    }

    @Test func theSecretIsLongAndCovered() throws {
        let secret = "a secret that nobody may see"
        let configuration = try load(["ORCHESTRA_CLUSTER_SECRET": secret, "ORCHESTRA_CLUSTER_NAME": "prod"])
        #expect(!configuration.settings.compactMap(\.displayText).contains { $0.contains(secret) })
        let problems = #expect(throws: ConfigurationProblems.self) { try load(["ORCHESTRA_CLUSTER_SECRET": "short-1"]) }
        #expect(problems?.messages.count == 1)
        #expect(problems?.messages[0].contains("cluster.secret") == true)
        #expect(problems?.messages[0].contains("short-1") == false)
        let network = try configuration.makeNetwork(nodeID: "n", role: .silo, logger: Logger(label: "test"))
        #expect(network.identity.clusterName == "prod")
    }

    @Test func tlsIsAllOrNothing() throws {
        #expect(try load([:]).tlsFiles() == nil)
        let half = try load(["ORCHESTRA_CLUSTER_TLS_CERTIFICATE": "a.pem", "ORCHESTRA_CLUSTER_TLS_TRUST": "c.pem"])
        #expect { try half.tlsFiles() } throws: { "\($0)".contains("cluster.tls.key not set") }
        let all = try load([
            "ORCHESTRA_CLUSTER_TLS_CERTIFICATE": "a.pem", "ORCHESTRA_CLUSTER_TLS_KEY": "b.pem",
            "ORCHESTRA_CLUSTER_TLS_TRUST": "c.pem",
        ])
        #expect(try all.tlsFiles() == TLSFiles(certificate: "a.pem", key: "b.pem", trustRoots: "c.pem"))
        #expect {
            try all.makeNetwork(nodeID: "n", role: .silo, logger: Logger(label: "test"))
        } throws: {
            "\($0)".contains("a.pem")
        }
    }

    @Test func theAdvertisedAddressIsOptional() throws {
        #expect(try load([:]).optional(ConfigurationKeys.clusterAdvertise) == nil)
        let configuration = try load(["ORCHESTRA_CLUSTER_ADVERTISE": "silo-1.example:7600"])
        #expect(
            configuration.optional(ConfigurationKeys.clusterAdvertise)
                == HostAndPort(host: "silo-1.example", port: 7600))
    }

    @Test func seedsAreAListAndHaveNoDefault() throws {
        #expect(try load([:]).optional(ConfigurationKeys.clusterSeeds) == nil)
        let configuration = try load([
            "ORCHESTRA_CLUSTER_SEEDS": "a:1,b:2", "ORCHESTRA_CLUSTER_JOIN_DNS": "silos.example:7600",
        ])
        #expect(
            configuration.optional(ConfigurationKeys.clusterSeeds)
                == [HostAndPort(host: "a", port: 1), HostAndPort(host: "b", port: 2)])
        #expect(configuration.optional(ConfigurationKeys.clusterJoinDNS)?.map(\.host) == ["silos.example"])
        #expect(throws: ConfigurationProblems.self) {
            _ = try load(["ORCHESTRA_CLUSTER_SEEDS": "a:1,,b:0"])
        }
    }

    @Test func theSeedFlagMayBeRepeated() throws {
        let parsed = try RootCommand.parseAsRoot(["silo", "--seed", "a:1", "--seed", "b:2", "--join-dns", "c:3"])
        let silo = try #require(parsed as? SiloCommand)
        let configuration = try silo.options.load(silo.node.flags)
        #expect(configuration.optional(ConfigurationKeys.clusterSeeds)?.map(\.host) == ["a", "b"])
        #expect(configuration.optional(ConfigurationKeys.clusterJoinDNS)?.map(\.host) == ["c"])
    }
}
