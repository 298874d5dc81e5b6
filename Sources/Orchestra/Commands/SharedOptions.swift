import ArgumentParser
import Foundation
import Logging
import OrchestraCore

/// The flags of every command that reads configuration.
struct ConfigurationOptions: ParsableArguments {
    @Option(
        name: .customLong("config"), help: ArgumentHelp("Read this file instead of orchestra.json.", valueName: "file"))
    var configurationFile: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp(
            "Set any key, for example --set silo.partitions=32. May be repeated.", valueName: "key=value"))
    var assignments: [String] = []

    @Option(help: ArgumentHelp("The directory of the local cluster (data.dir).", valueName: "directory"))
    var dataDir: String?

    @Option(
        help: ArgumentHelp("trace, debug, info, notice, warning, error or critical (log.level).", valueName: "level"))
    var logLevel: String?

    @Option(help: ArgumentHelp("human or json (log.format).", valueName: "format"))
    var logFormat: String?

    mutating func validate() throws {
        for assignment in assignments where !assignment.dropFirst().contains("=") || assignment.hasPrefix("=") {
            throw ValidationError("--set \(assignment): write it key=value, for example --set silo.partitions=32")
        }
    }

    /// - Parameter flags: of the command itself: the key, the flag's spelling, and its value if it was given.
    func load(_ flags: [ConfigurationFlag?] = []) throws(ConfigurationProblems) -> ResolvedConfiguration {
        var all = assignments.map { assignment in
            let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return ConfigurationFlag(key: String(parts[0]), spelling: "--set", text: String(parts[1]))
        }
        all += [
            .init(ConfigurationKeys.dataDirectory, "--data-dir", dataDir),
            .init(ConfigurationKeys.logLevel, "--log-level", logLevel),
            .init(ConfigurationKeys.logFormat, "--log-format", logFormat),
        ].compactMap { $0 }
        all += flags.compactMap { $0 }
        return try ConfigurationLoader(flags: all, file: configurationFile).load()
    }

    /// What a child must be given to read the same configuration.
    var inheritedArguments: [String] {
        (configurationFile.map { ["--config", $0] } ?? []) + assignments.flatMap { ["--set", $0] }
    }
}

extension ConfigurationFlag {
    /// - Returns: `nil` if the flag was not given.
    init?(_ key: ConfigurationKey<some Sendable>, _ spelling: String, _ text: String?) {
        guard let text else { return nil }
        self.init(key: key.description.name, spelling: spelling, text: text)
    }
}

/// Where Kafka and the registry are.
struct ConnectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The Kafka cluster, host:port,… (kafka.bootstrap.servers).", valueName: "servers"))
    var kafka: String?

    @Option(help: ArgumentHelp("The schema registry (registry.url).", valueName: "url"))
    var registry: String?

    var flags: [ConfigurationFlag?] {
        [
            .init(ConfigurationKeys.kafkaBootstrapServers, "--kafka", kafka),
            .init(ConfigurationKeys.registryURL, "--registry", registry),
        ]
    }
}

/// How `up` starts a node.
struct SupervisionOptions: ParsableArguments {
    @Flag(help: .hidden)
    var supervised = false

    /// The tie to the supervisor, for a node that has one. Make it before anything can fail.
    ///
    /// - Throws: `ValidationError` for somebody who types the hidden flag.
    func link() throws -> SupervisorLink? {
        guard supervised else { return nil }
        var information = stat()
        guard fstat(SupervisorLink.descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFSOCK else {
            throw ValidationError("--supervised is how `up` starts its nodes; leave it out")
        }
        return SupervisorLink(file: SupervisorLink.descriptor)
    }
}
