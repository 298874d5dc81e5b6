import Logging

extension Kernel {
    /// Lets the model continue a conversation; calls the functions it asks for, as the settings allow.
    ///
    /// - Parameters:
    ///   - messages: the conversation so far.
    ///   - settings: how to answer, and which functions may be asked for.
    ///   - receive: gets the text piece by piece as it comes; `nil` by default.
    /// - Throws: ``KernelError``.
    public func chat(
        _ messages: [ChatMessage], settings: ExecutionSettings = ExecutionSettings(),
        receive: (@Sendable (String) async throws -> Void)? = nil
    ) async throws(KernelError) -> FunctionResult {
        try await chat(messages, settings: settings, input: nil, receive: receive)
    }

    func chat(
        _ messages: [ChatMessage], settings: ExecutionSettings, input: String?,
        receive: (@Sendable (String) async throws -> Void)?
    ) async throws(KernelError) -> FunctionResult {
        guard let chatCompletion else {
            throw KernelError(
                .noChatCompletion, "a prompt needs a model, and this kernel has none",
                nextStep: "set chatCompletion, for example to LocalModel()")
        }
        let catalog: ToolCatalog? =
            if let choice = settings.functionChoice {
                try ToolCatalog(plugins, allowed: choice.functions)
            } else { nil }
        var loop = ToolLoop(settings.functionChoice ?? FunctionChoice(.none))
        var conversation = messages
        var usage: TokenUsage?
        while true {
            try checkDeadline(before: "the model was asked")
            let request = ChatRequest(
                messages: conversation, settings: settings, tools: catalog?.definitions ?? [],
                toolChoice: loop.toolChoice, input: input,
                timeLeft: deadline.map { ContinuousClock.now.duration(to: $0) })
            let response = try await measured(request, chatCompletion, receive)
            usage = usage + response.usage
            conversation.append(response.message)
            switch try loop.next(response) {
            case .finish:
                return try Kernel.result(response, usage, conversation)
            case .run(let steps):
                for step in steps {
                    conversation.append(try await message(answering: step, catalog, round: loop.round))
                }
            }
        }
    }

    private static func result(
        _ response: ChatResponse, _ usage: TokenUsage?, _ conversation: [ChatMessage]
    ) throws(KernelError) -> FunctionResult {
        guard response.finishReason != .contentFilter else {
            throw KernelError(.contentFiltered, "the server of \(response.model) withheld the answer")
        }
        return FunctionResult(
            .string(response.message.content), model: response.model, usage: usage,
            finishReason: response.finishReason, messages: conversation)
    }

    /// Runs one step of the tool loop. A failure becomes a text that the model can react to; only the end of time
    /// and cancellation end the conversation.
    private func message(
        answering step: ToolLoop.Step, _ catalog: ToolCatalog?, round: Int
    ) async throws(KernelError) -> ChatMessage {
        switch step {
        case .refuse(let call, let reason):
            return ChatMessage(.tool, "Error: \(reason)", toolCallID: call.id)
        case .call(let call):
            do {
                let text = try await run(call, catalog, round: round)
                return ChatMessage(.tool, text, toolCallID: call.id)
            } catch  where error.code == .cancelled || error.code == .deadlineExceeded {
                throw error
            } catch {
                logger.debug("a function that a model asked for failed", metadata: ["function": "\(call.name)"])
                return ChatMessage(.tool, "Error: \(error.message)", toolCallID: call.id)
            }
        }
    }

    private func run(_ call: ToolCall, _ catalog: ToolCatalog?, round: Int) async throws(KernelError) -> String {
        guard let catalog, let (plugin, function) = catalog.function(named: call.name) else {
            let available = catalog?.summary ?? "there is none"
            throw KernelError(.functionNotFound, "there is no function \(call.name); \(available)")
        }
        let text = call.arguments.trimmingWhiteSpace()
        let arguments = try JSONValue(parsing: text.isEmpty ? "{}" : text)
        guard let members = arguments.objectValue else {
            throw KernelError(.badArgument, "the arguments must be one JSON object, got \(arguments.kind)")
        }
        let started = ContinuousClock.now
        defer { AgentTelemetry.recordTool("\(plugin)-\(function)", duration: started.duration(to: .now)) }
        return try await invoke(
            plugin, function, KernelArguments(members), origin: .model(callID: call.id, round: round)
        ).text
    }

    /// One request to the model, counted and logged.
    private func measured(
        _ request: ChatRequest, _ chatCompletion: any ChatCompletion,
        _ receive: (@Sendable (String) async throws -> Void)?
    ) async throws(KernelError) -> ChatResponse {
        let started = ContinuousClock.now
        let model = request.settings.model ?? chatCompletion.defaultModel
        let operation = AgentTelemetry.ChatOperation(provider: chatCompletion.providerName, requestModel: model)
        do {
            let response =
                if let receive {
                    try await chatCompletion.stream(request, receive: receive)
                } else {
                    try await chatCompletion.complete(request)
                }
            operation.record(response, duration: started.duration(to: .now))
            logger.debug("\(operation.spanName)", metadata: operation.metadata(response))
            return response
        } catch {
            operation.record(error, duration: started.duration(to: .now))
            logger.debug("\(operation.spanName)", metadata: [AgentTelemetry.Name.errorType: "\(error.code)"])
            throw error
        }
    }
}

extension TokenUsage? {
    fileprivate static func + (left: TokenUsage?, right: TokenUsage?) -> TokenUsage? {
        guard let left, let right else { return left ?? right }
        return TokenUsage(
            inputTokens: left.inputTokens.addingClamped(right.inputTokens),
            outputTokens: left.outputTokens.addingClamped(right.outputTokens))
    }
}

extension Int {
    fileprivate func addingClamped(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
