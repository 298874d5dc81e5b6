/// Decides how a conversation in which the model may ask for functions goes on: the rules, without any I/O.
///
/// Each answer of the model goes to ``next(_:)``, which says whether it is the last one or which calls to run. Once
/// a limit is reached the loop is *closed*: the model may no longer ask (`tool_choice` `none`) and must answer with
/// what it has; if it asks all the same, the loop ends with an error.
struct ToolLoop {
    enum Directive: Equatable {
        /// The answer is final.
        case finish
        /// Each of these calls gets one result message, in this order; then ask again.
        case run([Step])
    }

    enum Step: Equatable {
        case call(ToolCall)
        /// Do not call; tell the model why.
        case refuse(ToolCall, reason: String)
    }

    /// How often in a row the same call with the same arguments ends the loop.
    static let maximumRepetitions = 3

    private let choice: FunctionChoice
    private(set) var round = 0
    private var calls = 0
    private var tokens = 0
    private var lastCall: (name: String, arguments: JSONValue)?
    private var repetitions = 0
    private var closedBecause: String?

    init(_ choice: FunctionChoice) {
        self.choice = choice
        if choice.choice == .none { closedBecause = "the functions are not to be called" }
    }

    /// What the next request says about tools.
    var toolChoice: ToolChoice {
        guard closedBecause == nil else { return .none }
        return round == 0 ? choice.choice : .auto
    }

    /// Takes the model's answer.
    ///
    /// - Throws: ``KernelError`` with `toolLoopStopped` if the model asks although the loop is closed, or if the
    ///   tokens are used up.
    mutating func next(_ response: ChatResponse) throws(KernelError) -> Directive {
        tokens += min(response.usage?.totalTokens ?? 0, Int.max / 2 - tokens)
        let wanted = response.message.toolCalls
        guard !wanted.isEmpty else { return .finish }
        if let closedBecause {
            throw KernelError(.toolLoopStopped, "the model asks for \(wanted[0].name), but \(closedBecause)")
        }
        if let limit = choice.maximumTokens, tokens >= limit {
            throw KernelError(
                .toolLoopStopped, "the conversation has used \(tokens) tokens, allowed are \(limit)",
                nextStep: "raise maximum_tokens or give the model fewer functions")
        }
        round += 1
        if round >= choice.maximumRounds {
            closedBecause = "it has asked \(round) times, which is the limit (maximum_rounds)"
        }
        return .run(wanted.map { step(for: $0) })
    }

    private mutating func step(for call: ToolCall) -> Step {
        let arguments = (try? JSONValue(parsing: call.arguments)) ?? .string(call.arguments)
        let isRepeated = lastCall.map { $0.name == call.name && $0.arguments == arguments } ?? false
        repetitions = isRepeated ? repetitions + 1 : 1
        lastCall = (call.name, arguments)
        if repetitions >= ToolLoop.maximumRepetitions {
            return refuse(call, "the same call with the same arguments came \(repetitions) times in a row")
        }
        guard calls < choice.maximumCalls else {
            return refuse(call, "\(calls) functions have been called, which is the limit (maximum_calls)")
        }
        calls += 1
        return .call(call)
    }

    private mutating func refuse(_ call: ToolCall, _ reason: String) -> Step {
        closedBecause = closedBecause ?? reason
        return .refuse(call, reason: "not called: \(reason); answer with what you know")
    }
}
