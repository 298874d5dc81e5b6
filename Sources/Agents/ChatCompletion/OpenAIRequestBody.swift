/// The body of a chat-completions request.
enum OpenAIRequestBody {
    static func bytes(_ request: ChatRequest, model: String, isStreaming: Bool) -> [UInt8] {
        let settings = request.settings
        var body = settings.other
        body["model"] = .string(model)
        body["messages"] = .array(request.messages.map(message))
        body["temperature"] = settings.temperature.map(JSONValue.number) ?? body["temperature"]
        body["top_p"] = settings.topP.map(JSONValue.number) ?? body["top_p"]
        body["max_tokens"] = settings.maximumTokens.map { .integer(Int64($0)) } ?? body["max_tokens"]
        body["seed"] = settings.seed.map(JSONValue.integer) ?? body["seed"]
        if !settings.stopSequences.isEmpty { body["stop"] = .array(settings.stopSequences.map(JSONValue.string)) }
        if let format = settings.responseFormat {
            body["response_format"] = format.stringValue.map { ["type": .string($0)] } ?? format
        }
        if !request.tools.isEmpty {
            body["tools"] = .array(request.tools.map(tool))
            body["tool_choice"] = .string(request.toolChoice.rawValue)
        }
        if isStreaming {
            body["stream"] = true
            body["stream_options"] = ["include_usage": true]
        }
        return JSONValue.object(body).jsonBytes
    }

    private static func tool(_ tool: ToolDefinition) -> JSONValue {
        [
            "type": "function",
            "function": [
                "name": .string(tool.name), "description": .string(tool.description), "parameters": tool.parameters,
            ],
        ]
    }

    private static func message(_ message: ChatMessage) -> JSONValue {
        var members: [String: JSONValue] = ["role": .string(message.role.rawValue)]
        // An assistant that only asks for functions has no content: some servers refuse an empty string there.
        let hasNoContent = message.content.isEmpty && !message.toolCalls.isEmpty
        members["content"] = hasNoContent ? .null : .string(message.content)
        if let name = message.name { members["name"] = .string(name) }
        if let id = message.toolCallID { members["tool_call_id"] = .string(id) }
        if !message.toolCalls.isEmpty {
            members["tool_calls"] = .array(
                message.toolCalls.map { call in
                    [
                        "id": .string(call.id), "type": "function",
                        "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
                    ]
                })
        }
        return .object(members)
    }
}
