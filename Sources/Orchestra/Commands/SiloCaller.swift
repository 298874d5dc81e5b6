import ArgumentParser
import Logging
import OrchestraCore
import Silo
import Transport

/// Sends one call from the command line to a silo, whichever can be reached: any of them passes it on to the owner.
struct SiloCaller {
    private let configuration: ResolvedConfiguration
    private let peers: [HostAndPort]

    /// - Parameter silo: the address of the silo to ask; `nil` asks those of the cluster on the data directory.
    init(_ configuration: ResolvedConfiguration, silo: String?) throws(OrchestraError) {
        self.configuration = configuration
        if let address = silo.flatMap({ HostAndPort($0) }) {
            peers = [address]
        } else {
            let directory = DataDirectory(path: configuration[ConfigurationKeys.dataDirectory])
            peers = try ClusterState.running(on: directory).silos.compactMap { HostAndPort($0) }
        }
    }

    func send(_ request: GrainCallRequest) async throws -> GrainCallReply {
        // Connection trouble ends up in the error of the call; the log would say it twice.
        var logger = Logger(label: "call") { NodeLogHandler(label: $0, level: .critical, format: .human) }
        logger.logLevel = .critical
        // Unique: a node has one connection to each other, and several of these may run at once, on several machines.
        let network = try configuration.makeNetwork(
            nodeID: CallClient.anonymous.nodeID, role: .gateway, logger: logger)
        let client = CallClient(owning: network, peers: peers)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.run() }
            defer { group.cancelAll() }
            let end = ContinuousClock.now + request.timeLeft
            let peer = try await reachablePeer(client, until: end)
            var request = request
            request.timeLeft = end - .now
            return try await client.handle(request, at: peer)
        }
    }

    /// How long to wait for a connection: longer than a silo takes to start again, not so long that people wonder.
    private static let patience = Duration.seconds(5)

    /// One that is connected.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` that says why none is.
    private func reachablePeer(_ client: CallClient, until deadline: ContinuousClock.Instant) async throws
        -> HostAndPort
    {
        let end = min(deadline, .now + SiloCaller.patience)
        while true {
            if let peer = peers.filter({ client.isConnected(to: $0) }).randomElement() { return peer }
            guard ContinuousClock.now < end else { break }
            try await Task.sleep(for: .milliseconds(5))
        }
        let reasons = peers.map { peer -> String in
            guard case .disconnected(let reason?) = client.status(of: peer) else { return "\(peer): no answer" }
            return "\(peer): \(reason)"
        }
        throw OrchestraError(
            .unavailable,
            reasons.isEmpty ? "no silo is known" : "no silo can be reached: \(reasons.joined(separator: "; "))",
            nextStep: "name one with --silo, and check cluster.name and cluster.secret")
    }
}

/// `orchestra cluster drain`: a silo gives its partitions to the others.
struct ClusterDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Have a silo give all its partitions to the others; it goes on running without any.",
        discussion: """
            Returns once the partitions have moved. Then the silo can be stopped without anybody noticing; a plain stop
            does the same by itself. Start it again to give it partitions again.

              orchestra cluster drain silo-2
            """)

    @Argument(help: ArgumentHelp("The silo's name.", valueName: "node"))
    var node: String

    @Option(
        help: ArgumentHelp(
            "Any silo, to pass it on; without it, the cluster on the data directory is asked.", valueName: "host:port"))
    var silo: String?

    @Option(help: ArgumentHelp("How long to wait for the partitions to move.", valueName: "seconds"))
    var timeout = 60

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions

    mutating func validate() throws {
        guard (1...3600).contains(timeout) else { throw ValidationError("--timeout \(timeout): use 1 to 3600 seconds") }
        if let silo, HostAndPort(silo) == nil { throw ValidationError("--silo \(silo): write it host:port") }
    }

    func run() async throws {
        let request = try SiloMessage.drain(silo: node).request(timeLeft: .seconds(timeout))
        _ = try await SiloCaller(try options.load(), silo: silo).send(request)
        Console.print("\(node) has given its partitions away")
    }
}
