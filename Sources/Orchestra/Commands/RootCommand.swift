import ArgumentParser
import Foundation
import OrchestraCore

/// The command line of an application: `orchestra`, or the application's own executable.
struct RootCommand: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: ApplicationDefinition.current.commandName,
            abstract: "Durable applications of collaborating agents: grains on silos, agent workers, gateways, Kafka.",
            discussion: """
                Start everything on this machine, then trigger a workflow:

                  orchestra up
                  orchestra run --file README.md

                Configuration: flags, then ORCHESTRA_* variables, then orchestra.json; see `orchestra config`.
                Exit status: 0 success, 1 failure, 2 bad configuration, 64 wrong usage.
                """,
            version: "orchestra \(orchestraVersion)",
            subcommands: [MemberCommand.self],
            groupedSubcommands: [
                CommandGroup(name: "Use", subcommands: [UpCommand.self, RunCommand.self, CallCommand.self]),
                CommandGroup(
                    name: "Single nodes",
                    subcommands: [BrokerCommand.self, SiloCommand.self, AgentCommand.self, GatewayCommand.self]),
                CommandGroup(
                    name: "Tools", subcommands: [ClusterCommand.self, SchemasCommand.self, ConfigCommand.self]),
            ])
    }

    /// Parses, runs, and prints an error if there is one.
    ///
    /// - Returns: the exit status.
    static func run(arguments: [String]) async -> Int32 {
        do {
            var command = try parseAsRoot(arguments)
            if var asyncCommand = command as? any AsyncParsableCommand {
                try await asyncCommand.run()
            } else {
                try command.run()
            }
            return 0
        } catch {
            return report(error)
        }
    }

    /// Says what went wrong.
    ///
    /// - Returns: the exit status that belongs to it.
    private static func report(_ error: any Error) -> Int32 {
        switch error {
        case let failure as CommandFailure:
            return failure.status
        case let error as OrchestraError:
            Console.printError("error: \(describe(error))")
            return error.code == .badConfiguration ? ExitStatus.badConfiguration : ExitStatus.failure
        case is ConfigurationProblems:
            Console.printError("error: \(describe(error))")
            return ExitStatus.badConfiguration
        default:
            let status = exitCode(for: error)
            // The argument parser knows its own errors (wrong usage), and requests for help or the version.
            guard status == .success || status == .validationFailure else {
                Console.printError("error: \(describe(error))")
                return ExitStatus.failure
            }
            let text = fullMessage(for: error)
            if status.isSuccess { Console.print(text) } else { Console.printError(text) }
            return status.rawValue
        }
    }

    /// What a person reads of an error.
    static func describe(_ error: any Error) -> String {
        (error as? OrchestraError)?.textForPeople ?? "\(error)"
    }
}
