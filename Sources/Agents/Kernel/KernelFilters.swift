/// Code that runs around the kernel's steps: to log, to redact, to cache, to ask for approval, to refuse.
///
/// The first filter is the outermost. A filter that does not call `next` replaces the step.
public struct KernelFilters: Sendable {
    /// Runs around a function, whoever calls it.
    public typealias FunctionFilter =
        @Sendable (
            _ invocation: FunctionInvocation,
            _ next: @Sendable (FunctionInvocation) async throws -> FunctionResult
        ) async throws -> FunctionResult

    /// Runs around the rendering of a prompt.
    public typealias PromptFilter =
        @Sendable (
            _ rendering: PromptRendering,
            _ next: @Sendable (PromptRendering) async throws -> RenderedPrompt
        ) async throws -> RenderedPrompt

    public var functions: [FunctionFilter] = []
    public var prompts: [PromptFilter] = []

    public init() {}
}

/// A function that is about to be called.
public struct FunctionInvocation: Sendable {
    /// Who calls.
    public enum Origin: Sendable, Hashable {
        /// Swift code.
        case code
        /// A prompt's template.
        case template
        /// A model, in that round (from 1) of the tool loop.
        case model(callID: String, round: Int)
    }

    public let plugin: String
    public let function: String
    public let origin: Origin
    public var arguments: KernelArguments
}

/// A prompt that is about to be rendered.
public struct PromptRendering: Sendable {
    public let plugin: String
    public let function: String
    public var arguments: KernelArguments
}

/// A rendered prompt: markup in which `<message>` elements separate messages.
public struct RenderedPrompt: Sendable, Hashable {
    public var text: String {
        didSet { if text != oldValue { input = nil } }
    }
    /// The argument `input`, as long as the text is what the template made of it.
    private(set) var input: String?

    public init(_ text: String) { self.text = text }

    init(_ text: String, input: String?) {
        self.text = text
        self.input = input
    }
}
