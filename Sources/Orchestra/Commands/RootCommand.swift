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
            groupedSubcommands: [
                CommandGroup(name: "Use", subcommands: [UpCommand.self, RunCommand.self, CallCommand.self]),
                CommandGroup(
                    name: "Single nodes",
                    subcommands: [BrokerCommand.self, SiloCommand.self, AgentCommand.self, GatewayCommand.self]),
                CommandGroup(name: "Tools", subcommands: [SchemasCommand.self, ConfigCommand.self]),
            ])
    }

    /// Parses, runs, prints an error if there is one, and ends the process with the right status.
    static func runProcess(arguments: [String]) async -> Never {
        do {
            var command = try parseAsRoot(arguments)
            if var asyncCommand = command as? any AsyncParsableCommand {
                try await asyncCommand.run()
            } else {
                try command.run()
            }
            Foundation.exit(0)
        } catch let failure as CommandFailure {
            Foundation.exit(failure.status)
        } catch let problems as ConfigurationProblems {
            Console.printError("error: \(problems)")
            Foundation.exit(ExitStatus.badConfiguration)
        } catch let error as OrchestraError {
            Console.printError("error: \(error.textForPeople)")
            Foundation.exit(error.code == .badConfiguration ? ExitStatus.badConfiguration : ExitStatus.failure)
        } catch {
            exit(withError: error)
        }
    }
}
