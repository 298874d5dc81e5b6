import ArgumentParser
import Foundation

/// `orchestra config`: what is in force and where it came from.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Print the configuration that is in force, and where each value came from.",
        discussion: """
            Secrets are covered. A key is written kafka.bootstrap.servers in flags (--set) and in orchestra.json
            (nested objects or dots), and ORCHESTRA_KAFKA_BOOTSTRAP_SERVERS in the environment.

              orchestra config
              orchestra config --describe
              orchestra config --json | jq '."silo.partitions"'
            """)

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    @Flag(help: "Print what each key means and allows.")
    var describe = false

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions
    @OptionGroup(title: "Connections") var connections: ConnectionOptions

    func run() throws {
        let configuration = try options.load(connections.flags)
        if json {
            try printJSON(configuration)
        } else if describe {
            printDescriptions()
        } else {
            printTable(configuration)
        }
    }

    private func printTable(_ configuration: ResolvedConfiguration) {
        let rows = configuration.settings.map { [$0.description.name, $0.displayText ?? "-", $0.source] }
        let table = [["KEY", "VALUE", "FROM"]] + rows
        let widths = (0..<2).map { column in table.map { $0[column].count }.max() ?? 0 }
        for row in table {
            let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
            Console.print(cells.joined(separator: "  ") + "  " + row[2])
        }
    }

    private func printJSON(_ configuration: ResolvedConfiguration) throws {
        struct Entry: Encodable {
            var value: String?
            var from: String
        }
        var object: [String: Entry] = [:]
        for setting in configuration.settings {
            object[setting.description.name] = Entry(value: setting.displayText, from: setting.source)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        Console.print(String(decoding: try encoder.encode(object), as: UTF8.self))
    }

    private func printDescriptions() {
        for key in ConfigurationKeys.all {
            Console.print(
                """
                \(key.name)
                    \(key.help)
                    allowed: \(key.allowed); default: \(key.defaultText ?? "none")
                    environment: \(key.environmentName); used by: \(key.usedBy.joined(separator: ", "))
                """)
        }
        Console.print(
            """
            \(ConfigurationKeys.kafkaPropertyPrefix)*
                Properties of librdkafka, for example kafka.properties.security.protocol=SASL_SSL.
                environment: ORCHESTRA_KAFKA_PROPERTIES_SECURITY_PROTOCOL; used by: up, silo, agent, gateway
            """)
    }
}
