import ArgumentParser
import Foundation
import OrchestraCore

/// `orchestra up`: a whole cluster on this machine.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Run a whole cluster on this machine: broker, registry, silos, agents, gateways.",
        discussion: """
            Each is a process of its own. One that crashes is started again; Ctrl-C stops all in order, a second Ctrl-C
            kills them. The data stays in the data directory, so that the next `up` goes on where this one stopped.
            With kafka.bootstrap.servers or registry.url configured, no local broker or registry is started.

              orchestra up
              orchestra up --silos 5 --agents 4 --gateways 1
              orchestra up --ports auto --data-dir /tmp/try
              orchestra up --kafka kafka:9092 --registry http://registry:8081
            """)

    enum Ports: String, ExpressibleByArgument, CaseIterable {
        case configured, auto
    }

    @Option(help: "configured: the ports of the configuration; auto: free ones.")
    var ports = Ports.configured

    @Option(help: "How many silos.")
    var silos = 3

    @Option(help: "How many agent workers.")
    var agents = 2

    @Option(help: "How many gateways.")
    var gateways = 2

    @Flag(help: "Print one line of JSON once everything is ready, and nothing else, on standard output.")
    var json = false

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions
    @OptionGroup(title: "Connections") var connections: ConnectionOptions

    mutating func validate() throws {
        guard (1...16).contains(silos) else { throw ValidationError("--silos \(silos): use 1 to 16") }
        guard (0...64).contains(agents) else { throw ValidationError("--agents \(agents): use 0 to 64") }
        guard (1...16).contains(gateways) else { throw ValidationError("--gateways \(gateways): use 1 to 16") }
    }

    func run() async throws {
        let configuration = try options.load(connections.flags)
        let directory = DataDirectory(path: configuration[ConfigurationKeys.dataDirectory])
        try directory.make()
        let lock = try directory.lock()
        defer { withExtendedLifetime(lock) {} }
        // What an `up` that was killed left behind says nothing about this one.
        try? FileManager.default.removeItem(atPath: directory.clusterFile)
        let plan = try ClusterPlan(
            ClusterPlan.Request(
                configuration: configuration, silos: silos, agents: agents, gateways: gateways,
                freePorts: ports == .auto,
                inheritedArguments: options.inheritedArguments))
        let reporter = ConsoleReporter(printsJSON: json)
        reporter.begin(dataDirectory: directory.path)
        try await ClusterProcess(plan: plan, directory: directory, reporter: reporter).run()
        reporter.end()
    }
}
