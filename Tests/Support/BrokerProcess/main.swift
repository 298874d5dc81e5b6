import Foundation
import LocalBroker
import Logging
import ServiceLifecycle
import UnixSignals

// A broker as a process of its own, for tests that kill it:
//
//     BrokerProcess DATA-DIR PORT [fsync] [maintenance=MILLISECONDS] [log=LEVEL]
let arguments = CommandLine.arguments
guard arguments.count >= 3, let port = Int(arguments[2]) else {
    print("usage: BrokerProcess DATA-DIR PORT [fsync] [maintenance=MILLISECONDS] [log=LEVEL]")
    exit(64)
}
var configuration = LocalBrokerConfiguration(dataDirectory: arguments[1], port: port)
var level = Logger.Level.info
for option in arguments.dropFirst(3) {
    let parts = option.split(separator: "=").map(String.init)
    switch (parts.first, parts.last) {
    case ("fsync", _): configuration.syncsToDisk = true
    case ("maintenance", let value?): configuration.maintenanceInterval = .milliseconds(Int64(value) ?? 1000)
    case ("log", let value?): level = Logger.Level(rawValue: value) ?? .info
    default: break
    }
}
let chosenLevel = level
LoggingSystem.bootstrap { label in
    var handler = StreamLogHandler.standardError(label: label)
    handler.logLevel = chosenLevel
    return handler
}
let broker = try LocalBroker(configuration, logger: Logger(label: "broker"))
let group = ServiceGroup(
    configuration: .init(
        services: [.init(service: broker, successTerminationBehavior: .gracefullyShutdownGroup)],
        gracefulShutdownSignals: [.sigint, .sigterm], logger: Logger(label: "lifecycle")))
async let run: Void = group.run()
print("ready \(try await broker.boundPort())")
fflush(nil)
try await run
