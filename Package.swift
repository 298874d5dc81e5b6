// swift-tools-version:6.2
import PackageDescription

// Every target builds in Swift 6 mode with these on top; see docs/ARCHITECTURE.md, "Layout".
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let coreMetrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let metricsTestKit = Target.Dependency.product(name: "MetricsTestKit", package: "swift-metrics")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

func systemLibrary(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

let package = Package(
    name: "orchestra",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Orchestra", targets: ["Orchestra"]),
        .executable(name: "orchestra", targets: ["OrchestraCommand"]),
        .executable(name: "counter", targets: ["CounterExample"]),
        .executable(name: "avro-benchmark", targets: ["AvroBenchmark"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: ["FullFoundation"]),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C libraries, each imported by exactly one target under Sources.
        systemLibrary("CRdKafka", pkgConfig: "rdkafka", apt: "librdkafka-dev"),
        systemLibrary("CAvro", pkgConfig: "avro-c", apt: "libavro-dev"),
        systemLibrary("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        systemLibrary("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
        systemLibrary("CLZ4", pkgConfig: "liblz4", apt: "liblz4-dev"),

        // No I/O: no clock, no random source, no task.
        library("OrchestraCore", []),
        library("SeededRandom", []),
        .target(
            name: "Membership", dependencies: ["SeededRandom"], path: "Sources/Membership/Protocol",
            swiftSettings: settings),
        library("Placement", ["OrchestraCore"]),
        library("Simulation", ["Membership", "SeededRandom"]),

        // Wrappers of C libraries.
        library("Compression", ["CLZ4", "OrchestraCore"]),
        library("Digest", ["COpenSSL"]),
        library("HTTPClient", ["CCurl", "OrchestraCore"]),
        library("Avro", ["CAvro", "HTTPClient", "OrchestraCore"]),
        library("TLS", ["COpenSSL", nio]),
        library("EventLog", ["CRdKafka", "OrchestraCore", deque, logging, metrics]),

        // The embedded default for Kafka and its schema registry.
        library(
            "LocalBroker", ["OrchestraCore", deque, heap, grdb, grdbSQLite, lifecycle, logging, metrics, nio, nioPosix]),
        library("LocalRegistry", ["Avro", "OrchestraCore", grdb, hummingbird, lifecycle, logging, nio]),

        // The runtime.
        library("Records", ["Avro", "OrchestraCore"]),
        library(
            "Transport",
            ["Compression", "Digest", "OrchestraCore", "TLS", deque, lifecycle, logging, metrics, nio, nioPosix]),
        .target(
            name: "MembershipNetwork",
            dependencies: [
                "Membership", "OrchestraCore", "SeededRandom", "Transport", coreMetrics, lifecycle, logging, metrics,
                nio,
                nioPosix,
            ], path: "Sources/Membership/Network", swiftSettings: settings),
        library(
            "Silo",
            [
                "Avro", "Compression", "EventLog", "OrchestraCore", "Placement", "Records", deque, heap, lifecycle,
                logging, metrics,
            ]),
        library(
            "Agents",
            ["Avro", "EventLog", "HTTPClient", "OrchestraCore", "Records", deque, lifecycle, logging, metrics]),
        library(
            "Gateway",
            [
                "Avro", "Digest", "EventLog", "OrchestraCore", "Records", "Silo", "Transport", deque, hummingbird,
                lifecycle, logging, metrics, nio, nioHTTP1,
            ]),
        library(
            "Orchestra",
            [
                "Agents", "Avro", "EventLog", "Gateway", "HTTPClient", "LocalBroker", "LocalRegistry", "OrchestraCore",
                "Membership", "MembershipNetwork", "Placement", "Records", "Silo", "Transport", argumentParser,
                configuration, coreMetrics, lifecycle, logging, nio, nioHTTP1, nioPosix, unixSignals,
            ]),
        .executableTarget(name: "OrchestraCommand", dependencies: ["Orchestra"], swiftSettings: settings),
        .executableTarget(
            name: "CounterExample", dependencies: ["Orchestra"], path: "Examples/Counter", swiftSettings: settings),
        .executableTarget(
            name: "TransportBenchmark",
            dependencies: ["Orchestra", "OrchestraCore", "Transport", lifecycle, logging, nio, nioPosix],
            path: "Benchmarks/TransportBenchmark", swiftSettings: settings),
        .executableTarget(
            name: "StreamBenchmark", dependencies: ["Avro", "Orchestra", "OrchestraCore"],
            path: "Benchmarks/StreamBenchmark", exclude: ["Schemas"], swiftSettings: settings),
        .executableTarget(
            name: "AvroBenchmark", dependencies: ["Avro", "CAvro", "OrchestraCore", "Records"],
            path: "Benchmarks/AvroBenchmark", swiftSettings: settings),

        // Fuzzers; that of the broker in debug builds only.
        .target(name: "FuzzSupport", path: "Tests/Fuzz/FuzzSupport", swiftSettings: settings),
        .executableTarget(
            name: "broker-fuzz",
            dependencies: ["FuzzSupport", "LocalBroker", "OrchestraCore", "SeededRandom", logging, nio],
            path: "Tests/Fuzz/BrokerFuzz", swiftSettings: settings),
        .executableTarget(
            name: "peer-fuzz",
            dependencies: ["FuzzSupport", "Membership", "OrchestraCore", "SeededRandom", "Transport", nio],
            path: "Tests/Fuzz/PeerFuzz", swiftSettings: settings),

        // The application of the chaos tests, and the load that they put on its grains.
        .executableTarget(
            name: "chaos-orchestra",
            dependencies: ["Orchestra", "OrchestraCore", "SeededRandom", "Transport", argumentParser, logging],
            path: "Tests/Chaos/Grains", swiftSettings: settings),

        .executableTarget(
            name: "membership-sim", dependencies: ["Membership", "SeededRandom", "Simulation"],
            path: "Benchmarks/MembershipSimulation", swiftSettings: settings),

        .executableTarget(
            name: "placement-sim", dependencies: ["Placement", "SeededRandom"],
            path: "Benchmarks/PlacementSimulation", swiftSettings: settings),
        // For tests.
        .target(
            name: "OwnershipSimulation",
            dependencies: [
                "Avro", "EventLog", "Membership", "OrchestraCore", "Placement", "Records", "SeededRandom", "Silo",
                "Simulation", logging,
            ], path: "Tests/OwnershipSimulation", swiftSettings: settings),
        .executableTarget(
            name: "ownership-sim", dependencies: ["OwnershipSimulation"], path: "Benchmarks/OwnershipSimulation",
            swiftSettings: settings),
        .target(name: "Certificates", path: "Tests/Certificates", swiftSettings: settings),

        tests("MembershipTests", ["Membership", "SeededRandom"]),
        tests(
            "MembershipNetworkTests",
            [
                "Membership", "MembershipNetwork", "OrchestraCore", "Transport", coreMetrics, lifecycle, logging,
                metricsTestKit, nio,
            ]),
        tests("SimulationTests", ["Membership", "OwnershipSimulation", "SeededRandom", "Simulation"]),
        tests("OrchestraCoreTests", ["OrchestraCore"]),
        tests("PlacementTests", ["OrchestraCore", "Placement", "SeededRandom"]),
        tests("DigestTests", ["Digest"]),
        tests("TLSTests", ["COpenSSL", "Certificates", "TLS", nio, nioEmbedded]),
        tests("AvroTests", ["Avro", "Compression", "HTTPClient", "OrchestraCore", "Records", "SeededRandom"]),
        tests(
            "EventLogTests",
            ["CRdKafka", "EventLog", "LocalBroker", "OrchestraCore", coreMetrics, grdb, logging, metricsTestKit]),
        tests(
            "LocalBrokerTests",
            ["LocalBroker", "OrchestraCore", "SeededRandom", deque, grdb, logging, nio, nioPosix]),
        tests("LocalRegistryTests", ["Avro", "HTTPClient", "LocalRegistry", grdb, lifecycle, logging]),
        tests(
            "TransportTests",
            ["Certificates", "OrchestraCore", "SeededRandom", "Transport", lifecycle, logging, nio, nioPosix]),
        tests(
            "SiloTests",
            [
                "Avro", "EventLog", "HTTPClient", "LocalBroker", "LocalRegistry", "OrchestraCore", "Placement",
                "Records", "SeededRandom", "Silo", lifecycle, logging,
            ]),
        tests(
            "AgentsTests",
            [
                "Agents", "Avro", "EventLog", "HTTPClient", "LocalBroker", "LocalRegistry", "OrchestraCore", "Records",
                "SeededRandom", lifecycle, logging, nio, nioPosix,
            ]),
        tests(
            "GatewayTests",
            [
                "Avro", "EventLog", "Gateway", "HTTPClient", "LocalBroker", "LocalRegistry", "OrchestraCore", "Records",
                "SeededRandom", "Silo", "Transport", lifecycle, logging, nio, nioPosix,
            ]),
        tests(
            "OrchestraTests",
            [
                "HTTPClient", "Orchestra", "OrchestraCore", "Silo", "Transport", argumentParser, coreMetrics, lifecycle,
                logging,
            ]),
        tests("ClusterTests", ["HTTPClient", "OrchestraCommand"], exclude: ["ledger.py", "metrics.py", "poison.py"]),
    ],
    swiftLanguageModes: [.v6]
)
