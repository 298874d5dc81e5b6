import Logging
import Metrics

/// The names under which agents and models are measured: OpenTelemetry's conventions for generative AI (their
/// status is "development", so they all stand here) and Orchestra's own.
///
/// What OpenTelemetry calls spans (`chat {model}`, `execute_tool {tool}`, `invoke_agent {name}`) are debug log lines
/// with the attributes as metadata. The text of prompts and answers is never recorded.
enum AgentTelemetry {
    enum Name {
        static let operation = "gen_ai.operation.name"
        static let provider = "gen_ai.provider.name"
        static let requestModel = "gen_ai.request.model"
        static let responseModel = "gen_ai.response.model"
        static let finishReasons = "gen_ai.response.finish_reasons"
        static let inputTokens = "gen_ai.usage.input_tokens"
        static let outputTokens = "gen_ai.usage.output_tokens"
        static let tokenType = "gen_ai.token.type"
        static let toolName = "gen_ai.tool.name"
        static let agentName = "gen_ai.agent.name"
        static let errorType = "error.type"

        static let operationDuration = "gen_ai.client.operation.duration"
        static let tokenUsage = "gen_ai.client.token.usage"
        static let tasks = "orchestra.agent.tasks"
        static let outcome = "orchestra.outcome"
    }

    /// One request to a model.
    struct ChatOperation {
        var provider: String
        var requestModel: String

        var spanName: String { "chat \(requestModel)" }

        private var dimensions: [(String, String)] {
            [(Name.operation, "chat"), (Name.provider, provider), (Name.requestModel, requestModel)]
        }

        func record(_ response: ChatResponse, duration: Duration) {
            Timer(label: Name.operationDuration, dimensions: dimensions + [(Name.responseModel, response.model)])
                .record(duration: duration)
            guard let usage = response.usage else { return }
            for (type, count) in [("input", usage.inputTokens), ("output", usage.outputTokens)] {
                Recorder(label: Name.tokenUsage, dimensions: dimensions + [(Name.tokenType, type)]).record(count)
            }
        }

        func record(_ error: KernelError, duration: Duration) {
            Timer(label: Name.operationDuration, dimensions: dimensions + [(Name.errorType, error.code.rawValue)])
                .record(duration: duration)
        }

        func metadata(_ response: ChatResponse) -> Logger.Metadata {
            var metadata: Logger.Metadata = [
                Name.provider: "\(provider)", Name.responseModel: "\(response.model)",
                Name.finishReasons: "\(response.finishReason.rawValue)",
            ]
            if let usage = response.usage {
                metadata[Name.inputTokens] = "\(usage.inputTokens)"
                metadata[Name.outputTokens] = "\(usage.outputTokens)"
            }
            return metadata
        }
    }

    static func recordTool(_ tool: String, duration: Duration) {
        Timer(label: Name.operationDuration, dimensions: [(Name.operation, "execute_tool"), (Name.toolName, tool)])
            .record(duration: duration)
    }

    static func recordAgent(_ agent: String, outcome: String, duration: Duration) {
        Timer(label: Name.operationDuration, dimensions: [(Name.operation, "invoke_agent"), (Name.agentName, agent)])
            .record(duration: duration)
        Counter(label: Name.tasks, dimensions: [(Name.agentName, agent), (Name.outcome, outcome)]).increment()
    }
}

extension Timer {
    fileprivate func record(duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        recordNanoseconds(overflow ? .max : product &+ attoseconds / 1_000_000_000)
    }
}
