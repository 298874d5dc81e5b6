import Agents
import ArgumentParser
import Foundation
import HTTPClient
import OrchestraCore
import Transport

/// `orchestra agent`: a worker that runs agents.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Run one agent worker: it takes tasks from Kafka and runs agents.",
        discussion: """
            With OPENAI_API_KEY or OPENAI_BASE_URL in the environment, prompts go to that chat-completion server, else to the
            built-in local model.

              orchestra agent --kafka kafka:9092 --registry http://registry:8081 --concurrency 32 \\
                --seed silo-1:7600 --listen-node 0.0.0.0:0
            """)

    @Option(help: ArgumentHelp("How many tasks to run at the same time (agent.concurrency).", valueName: "count"))
    var concurrency: String?

    @Option(help: ArgumentHelp("A folder of prompt functions (agent.prompts).", valueName: "directory"))
    var prompts: String?

    @OptionGroup(title: "Node") var node: NodeOptions
    @OptionGroup(title: "Node") var client: ClientNodeOptions
    @OptionGroup(title: "Connections") var connections: ConnectionOptions
    @OptionGroup(title: "Configuration") var options: ConfigurationOptions
    @OptionGroup(visibility: .hidden) var supervision: SupervisionOptions

    func run() async throws {
        let flags =
            connections.flags + node.flags + client.flags + [
                .init(ConfigurationKeys.agentConcurrency, "--concurrency", concurrency),
                .init(ConfigurationKeys.agentPrompts, "--prompts", prompts),
            ]
        try await NodeProcess.run(
            role: "agent", supervision: supervision, load: { try options.load(flags) }, build: Self.build)
    }
}

extension AgentCommand {
    private static func build(_ context: NodeContext) async throws -> NodeServices {
        let http = HTTPClient()
        let kernel: Kernel
        do {
            kernel = try Kernel.standard(
                environment: ProcessInfo.processInfo.environment,
                model: context.configuration.optional(ConfigurationKeys.agentModel),
                promptFolder: context.configuration.optional(ConfigurationKeys.agentPrompts), http: http,
                logger: context.logger("kernel"))
        } catch {
            throw OrchestraError(.badConfiguration, error.message, nextStep: error.nextStep)
        }
        let worker = try AgentWorker(
            AgentWorkerConfiguration(
                nodeID: context.nodeID, kafka: context.kafka, kernel: kernel,
                concurrency: context.configuration[ConfigurationKeys.agentConcurrency]),
            agents: ApplicationDefinition.current.agents, codec: context.makeCodec(http: http),
            logger: context.logger("agent"))
        let membership = try context.makeMembership(
            role: .agent, generation: try context.nextGeneration(),
            listen: context.configuration[ConfigurationKeys.clusterListen], defaultSeeds: [DefaultAddress.silo])
        let admin = context.makeAdminServer(membership, isReady: { worker.isReady })
        return NodeServices(
            services: [membership.network, worker, admin, membership.service],
            ready: {
                while !worker.isReady { try await Task.sleep(for: .milliseconds(20)) }
                return ["admin": "http://\(try await admin.address())"]
            },
            close: { await http.close() })
    }
}
