import OrchestraCore
import Transport

/// Which processes `up` runs, in what order, at which addresses, with which arguments.
struct ClusterPlan {
    /// One process.
    struct Child {
        var name: String
        /// The command and the flags that make it this child.
        var arguments: [String]
        /// What people see of it: `http://127.0.0.1:8080`.
        var place: String
    }

    /// What the user asked for.
    struct Request {
        var configuration: ResolvedConfiguration
        /// At least 1.
        var silos = 1
        var agents = 1
        /// At least 1.
        var gateways = 1
        /// Free ports for everything, instead of those in the configuration.
        var freePorts = false
        /// `--config` and `--set` as given, for the children to see the same configuration.
        var inheritedArguments: [String] = []
    }

    /// In starting order; the children of one stage start together.
    private(set) var stages: [[Child]] = []
    private(set) var kafka = ""
    private(set) var registry = ""
    private(set) var gateways: [String] = []
    private(set) var silos: [String] = []
    /// Held for as long as the cluster runs.
    var reservations: [PortReservation] { ports.reservations }

    private let configuration: ResolvedConfiguration
    private let commonArguments: [String]
    private var connectionArguments: [String] = []
    private var ports: PortChooser

    var children: [Child] { stages.flatMap { $0 } }

    /// Chooses and reserves the ports.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` that names a taken port and the key that asked for it.
    init(_ request: Request) throws(OrchestraError) {
        configuration = request.configuration
        ports = PortChooser(takesFreePorts: request.freePorts)
        commonArguments =
            request.inheritedArguments + [
                "--data-dir", configuration[ConfigurationKeys.dataDirectory],
                "--log-level", configuration[ConfigurationKeys.logLevel],
                "--log-format", configuration[ConfigurationKeys.logFormat],
                "--supervised",
            ]
        try planBroker()
        try planSilos(request.silos)
        planAgents(request.agents)
        try planGateways(request.gateways)
    }

    private mutating func planBroker() throws(OrchestraError) {
        var arguments = ["broker"]
        var places: [String] = []
        if let configured = configuration.optional(ConfigurationKeys.kafkaBootstrapServers) {
            kafka = configured
            arguments.append("--no-kafka")
            if isFlag(ConfigurationKeys.kafkaBootstrapServers) { connectionArguments += ["--kafka", kafka] }
        } else {
            let address = try ports.choose(ConfigurationKeys.brokerListen, of: configuration, for: "broker")
            kafka = "\(address.connectable)"
            arguments += ["--listen", "\(address)"]
            connectionArguments += ["--kafka", kafka]
            places.append("kafka \(kafka)")
        }
        if let configured = configuration.optional(ConfigurationKeys.registryURL) {
            registry = configured
            arguments.append("--no-registry")
            if isFlag(ConfigurationKeys.registryURL) { connectionArguments += ["--registry", registry] }
        } else {
            let address = try ports.choose(ConfigurationKeys.registryListen, of: configuration, for: "broker")
            registry = "http://\(address.connectable)"
            arguments += ["--registry-listen", "\(address)"]
            connectionArguments += ["--registry", registry]
            places.append("registry \(registry)")
        }
        guard !places.isEmpty else { return }
        stages.append([
            Child(name: "broker", arguments: arguments + commonArguments, place: places.joined(separator: ", "))
        ])
    }

    /// What came from a flag is handed on as one. The rest the children read where we did: a registry's URL may carry a
    /// password, which must not get onto a command line unless the user put it there.
    private func isFlag(_ key: ConfigurationKey<String>) -> Bool {
        configuration.source(of: key).hasPrefix("flag")
    }

    private mutating func planSilos(_ count: Int) throws(OrchestraError) {
        var addresses: [HostAndPort] = []
        for number in 1...count {
            // 7600, 7601, …
            let address = try ports.choose(
                ConfigurationKeys.siloListen, of: configuration, for: "silo-\(number)", offset: number - 1)
            addresses.append(address)
            silos.append("\(address.connectable)")
        }
        // Each has them all as seeds, itself too: whichever comes first founds the cluster.
        stages.append(
            addresses.enumerated().map { index, address in
                node(
                    "silo-\(index + 1)", arguments: ["silo", "--listen", "\(address)"] + seedArguments,
                    place: "\(address.connectable)")
            })
    }

    private mutating func planAgents(_ count: Int) {
        stages.append((0..<count).map { node("agent-\($0 + 1)", arguments: ["agent"] + seedArguments, place: "") })
    }

    private mutating func planGateways(_ count: Int) throws(OrchestraError) {
        var stage: [Child] = []
        for number in 1...count {
            // 8080, then 8082, 8083, …: the registry sits at 8081.
            let address = try ports.choose(
                ConfigurationKeys.gatewayListen, of: configuration, for: "gateway-\(number)",
                offset: number == 1 ? 0 : number)
            let url = "http://\(address.connectable)"
            gateways.append(url)
            stage.append(
                node(
                    "gateway-\(number)",
                    arguments: ["gateway", "--listen", "\(address)"] + seedArguments,
                    place: url))
        }
        stages.append(stage)
    }

    /// The others find the cluster through its silos. Several: whichever is up will do.
    private var seedArguments: [String] { silos.flatMap { ["--seed", $0] } }

    private func node(_ name: String, arguments: [String], place: String) -> Child {
        Child(
            name: name, arguments: arguments + ["--node-id", name] + connectionArguments + commonArguments, place: place
        )
    }
}

/// Chooses the port of each listener and keeps it reserved.
private struct PortChooser {
    let takesFreePorts: Bool
    var reservations: [PortReservation] = []

    init(takesFreePorts: Bool) {
        self.takesFreePorts = takesFreePorts
    }

    mutating func choose(
        _ key: ConfigurationKey<HostAndPort>, of configuration: ResolvedConfiguration, for child: String,
        offset: Int = 0
    ) throws(OrchestraError) -> HostAndPort {
        var address = configuration[key]
        guard !takesFreePorts, address.port > 0 else {
            let reservation = try PortReservation.takeFree(host: address.host)
            reservations.append(reservation)
            return reservation.address
        }
        address.port += offset
        let isTwice = reservations.contains { $0.address == address }
        guard address.port <= 65_535, !isTwice, let reservation = try PortReservation.reserve(address) else {
            throw OrchestraError(
                .unavailable, "\(child) cannot listen at \(address): port \(address.port) is taken",
                nextStep: "use `--ports auto` for free ports, or another one with "
                    + "`--set \(key.description.name)=HOST:PORT` (now from: \(configuration.source(of: key)))")
        }
        reservations.append(reservation)
        return address
    }
}
