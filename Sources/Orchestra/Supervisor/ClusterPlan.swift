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
        var agents = 1
        var gateways = 1
        /// Free ports for everything, instead of those in the configuration.
        var freePorts = false
        /// `--config` and `--set` as given, for the children to see the same configuration.
        var inheritedArguments: [String] = []
    }

    var stages: [[Child]]
    var kafka: String
    var registry: String
    var gateways: [String]
    var silos: [String]
    /// Held for as long as the cluster runs.
    var reservations: [PortReservation]

    var children: [Child] { stages.flatMap { $0 } }

    /// Chooses and reserves the ports.
    ///
    /// - Throws: ``OrchestraError`` with `unavailable` that names a taken port and the key that asked for it.
    init(_ request: Request) throws(OrchestraError) {
        let configuration = request.configuration
        var ports = PortChooser(takesFreePorts: request.freePorts)
        let common =
            request.inheritedArguments + [
                "--data-dir", configuration[ConfigurationKeys.dataDirectory],
                "--log-level", configuration[ConfigurationKeys.logLevel],
                "--log-format", configuration[ConfigurationKeys.logFormat],
                "--supervised",
            ]
        stages = []
        gateways = []

        let ownKafka = configuration.optional(ConfigurationKeys.kafkaBootstrapServers)
        let ownRegistry = configuration.optional(ConfigurationKeys.registryURL)
        var broker = Child(name: "broker", arguments: ["broker"] + common, place: "")
        var places: [String] = []
        if let ownKafka {
            kafka = ownKafka
            broker.arguments.append("--no-kafka")
        } else {
            let address = try ports.choose(ConfigurationKeys.brokerListen, of: configuration, for: "broker")
            kafka = "\(address.connectable)"
            broker.arguments += ["--listen", "\(address)"]
            places.append("kafka \(kafka)")
        }
        if let ownRegistry {
            registry = ownRegistry
            broker.arguments.append("--no-registry")
        } else {
            let address = try ports.choose(ConfigurationKeys.registryListen, of: configuration, for: "broker")
            registry = "http://\(address.connectable)"
            broker.arguments += ["--registry-listen", "\(address)"]
            places.append("registry \(registry)")
        }
        broker.place = places.joined(separator: ", ")
        if !places.isEmpty { stages.append([broker]) }

        // A registry URL may carry a password, which must not be on a command line that `ps` shows.
        let connections =
            (ownKafka == nil ? ["--kafka", kafka] : []) + (ownRegistry == nil ? ["--registry", registry] : [])
        let silo = try ports.choose(ConfigurationKeys.siloListen, of: configuration, for: "silo-1")
        silos = ["\(silo.connectable)"]
        stages.append([
            Child(
                name: "silo-1",
                arguments: ["silo", "--node-id", "silo-1", "--listen", "\(silo)"] + connections + common,
                place: "\(silo)")
        ])

        var clients: [Child] = []
        for number in (0..<request.agents).map({ $0 + 1 }) {
            clients.append(
                Child(
                    name: "agent-\(number)",
                    arguments: ["agent", "--node-id", "agent-\(number)"] + connections + common,
                    place: ""))
        }
        for number in (0..<request.gateways).map({ $0 + 1 }) {
            // 8080, then 8082, 8083, …: the registry sits at 8081.
            let address = try ports.choose(
                ConfigurationKeys.gatewayListen, of: configuration, for: "gateway-\(number)",
                offset: number == 1 ? 0 : number)
            gateways.append("http://\(address.connectable)")
            clients.append(
                Child(
                    name: "gateway-\(number)",
                    arguments: ["gateway", "--node-id", "gateway-\(number)", "--listen", "\(address)"]
                        + ["--silos", silos.joined(separator: ",")] + connections + common,
                    place: gateways[number - 1]))
        }
        stages.append(clients)
        reservations = ports.reservations
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
