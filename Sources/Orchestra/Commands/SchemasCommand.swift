import ArgumentParser
import Avro
import Foundation
import HTTPClient
import OrchestraCore
import Silo

/// `orchestra schemas`: Avro schemas, the Swift types made of them, and the registry.
struct SchemasCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schemas",
        abstract: "Generate Swift from Avro schemas, check that it is current, register schemas.",
        subcommands: [Generate.self, Check.self, Register.self])

    /// Where schemas and generated types are.
    struct Folders: ParsableArguments {
        @Option(help: ArgumentHelp("The folder with *.avsc files, searched with its subfolders.", valueName: "folder"))
        var schemas = "Schemas"

        @Option(help: ArgumentHelp("The folder with the generated Swift files.", valueName: "folder"))
        var output = "Sources/Records"
    }

    struct Generate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the Swift types of all schemas; remove those whose schema is gone.",
            discussion: "  orchestra schemas generate --schemas Schemas --output Sources/Records")

        @OptionGroup var folders: Folders

        func run() throws {
            let changed = try SchemaGenerator.generate(schemas: folders.schemas, into: folders.output)
            for name in changed.sorted() { Console.print("\(folders.output)/\(name)") }
            Console.printError(changed.isEmpty ? "all files are current" : "changed \(changed.count) files")
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fail if a generated file does not match its schema; for CI.",
            discussion: "  orchestra schemas check")

        @OptionGroup var folders: Folders

        func run() throws {
            let differences = try SchemaGenerator.check(schemas: folders.schemas, output: folders.output)
            guard !differences.isEmpty else { return Console.print("all files are current") }
            for difference in differences { Console.printError("\(folders.output): \(difference)") }
            Console.printError("  → run `\(programName) schemas generate` and commit what it writes")
            throw CommandFailure()
        }
    }

    struct Register: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Register schemas: those of this program, or one file under one subject.",
            discussion: """
                Silos register their schemas at every start; this does it before, for example from a deployment that must
                fail early. An incompatible change is refused with the registry's own words.

                  orchestra schemas register --registry http://registry:8081
                  orchestra schemas register --subject orders-value Schemas/Order.avsc
                """)

        @Argument(
            help: ArgumentHelp("One schema file; without it, all schemas that this program uses.", valueName: "file"))
        var file: String?

        @Option(help: ArgumentHelp("The subject for the file, such as TOPIC-value.", valueName: "subject"))
        var subject: String?

        @OptionGroup(title: "Connections") var connections: ConnectionOptions
        @OptionGroup(title: "Configuration") var options: ConfigurationOptions

        mutating func validate() throws {
            guard (file == nil) == (subject == nil) else {
                throw ValidationError("a file needs --subject SUBJECT, and --subject needs a file")
            }
        }

        func run() async throws {
            let configuration = try options.load(connections.flags)
            let http = HTTPClient()
            let url = registryURL(configuration)
            let registry = SchemaRegistryClient(configuration, http: http, url: url)
            do {
                if let file, let subject {
                    try await register(file, as: subject, at: registry)
                } else {
                    try await registerAll(at: registry)
                    Console.print("every schema of this program is registered at \(url)")
                }
                await http.close()
            } catch {
                await http.close()
                throw error
            }
        }

        /// The configured registry, else that of the cluster that runs on the data directory.
        private func registryURL(_ configuration: ResolvedConfiguration) -> String {
            let directory = DataDirectory(path: configuration[ConfigurationKeys.dataDirectory])
            return configuration.optional(ConfigurationKeys.registryURL)
                ?? (try? ClusterState.running(on: directory))?.registry ?? DefaultAddress.registry
        }

        private func register(_ file: String, as subject: String, at registry: SchemaRegistryClient) async throws {
            let text: String
            do {
                text = try String(contentsOfFile: file, encoding: .utf8)
            } catch {
                throw OrchestraError(.invalidArgument, "cannot read \(file): \(error.localizedDescription)")
            }
            let schema: AvroSchema
            do {
                schema = try AvroSchema(parsing: text)
            } catch {
                throw OrchestraError(.invalidArgument, "\(file): \(error.message)")
            }
            let id = try await registry.register(subject: subject, schema: schema)
            Console.print("\(subject) has id \(id)")
        }

        private func registerAll(at registry: SchemaRegistryClient) async throws {
            let application = ApplicationDefinition.current
            let codec = RecordCodec(registry: registry)
            let catalog = try GrainCatalog(
                [WorkflowGrain.self] + application.grains, codec: codec, limits: GrainLimits(),
                workflows: WorkflowCatalog(application.workflows, retention: .seconds(1)))
            try await Silo.registerSchemas(catalog, codec)
        }
    }
}
