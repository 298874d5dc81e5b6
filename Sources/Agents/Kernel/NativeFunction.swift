/// A parameter of a native function: its name, what it means, and its Swift type.
public struct FunctionParameter<Value: FunctionValue>: Sendable {
    public let name: String
    public let description: String
    public let defaultValue: Value?

    /// - Parameters:
    ///   - name: one or more of `A-Z a-z 0-9 _`; its case does not matter in calls.
    ///   - description: what it means, for people and models.
    ///   - type: the Swift type; an `Optional` makes the argument optional.
    ///   - defaultValue: used when the argument is missing; `nil`: it is required.
    public init(
        _ name: String, _ description: String = "", as type: Value.Type, default defaultValue: Value? = nil
    ) {
        self.name = name
        self.description = description
        self.defaultValue = defaultValue
    }

    func described() -> KernelFunction.ParameterDescription {
        KernelFunction.ParameterDescription(
            name: name, description: description, schema: Value.jsonSchema,
            isRequired: defaultValue == nil && (try? Value(functionValue: .null)) == nil,
            defaultValue: try? defaultValue?.functionValue())
    }

    func value(in context: FunctionContext) throws(KernelError) -> Value {
        let argument = context.arguments[name]
        if argument == nil || argument == .null, let defaultValue { return defaultValue }
        do {
            return try Value(functionValue: argument ?? .null)
        } catch {
            let function = "\(context.plugin).\(context.function)"
            guard argument != nil else {
                throw KernelError(.badArgument, "\(function) needs the argument \(name), which is missing")
            }
            throw KernelError(.badArgument, "the argument \(name) of \(function) does not fit: \(error)", cause: error)
        }
    }
}

extension FunctionParameter where Value == String {
    /// A parameter that takes text.
    ///
    /// - Parameters:
    ///   - name: one or more of `A-Z a-z 0-9 _`; its case does not matter in calls.
    ///   - description: what it means, for people and models.
    ///   - defaultValue: used when the argument is missing; `nil`: it is required.
    public init(_ name: String, _ description: String = "", default defaultValue: String? = nil) {
        self.init(name, description, as: String.self, default: defaultValue)
    }
}

extension KernelFunction {
    /// A function in Swift that reads its arguments from its context: for no parameters, for many, and for functions
    /// that call others through `context.kernel`.
    ///
    /// - Parameters:
    ///   - name: one or more of `A-Z a-z 0-9 _`.
    ///   - description: what it does, for people and models.
    ///   - parameters: what it takes, for people and models; nothing by default.
    ///   - contextualBody: the function. An error that it throws is reported as `functionFailed` and counts as
    ///     retriable; throw a ``KernelError`` to say otherwise.
    public init<Output: FunctionValue>(
        _ name: String, _ description: String, parameters: [ParameterDescription] = [],
        contextualBody: @escaping @Sendable (FunctionContext) async throws -> Output
    ) {
        self.init(
            name: name, description: description, parameters: parameters,
            implementation: .native { context in try await contextualBody(context).functionValue() })
    }

    /// A function in Swift with one typed parameter.
    ///
    /// ```swift
    /// let shout = KernelFunction("Shout", "Says it louder.", FunctionParameter("input", "What to say.")) { text in
    ///     text.uppercased()
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - name: one or more of `A-Z a-z 0-9 _`.
    ///   - description: what it does, for people and models.
    ///   - parameter: what it takes.
    ///   - body: the function. An error that it throws is reported as `functionFailed` and counts as retriable;
    ///     throw a ``KernelError`` to say otherwise.
    public init<A: FunctionValue, Output: FunctionValue>(
        _ name: String, _ description: String, _ parameter: FunctionParameter<A>,
        body: @escaping @Sendable (A) async throws -> Output
    ) {
        self.init(name, description, parameters: [parameter.described()]) { context in
            try await body(parameter.value(in: context))
        }
    }

    /// A function in Swift with two typed parameters, in the order of the body's.
    public init<A: FunctionValue, B: FunctionValue, Output: FunctionValue>(
        _ name: String, _ description: String, _ parameterA: FunctionParameter<A>, _ parameterB: FunctionParameter<B>,
        body: @escaping @Sendable (A, B) async throws -> Output
    ) {
        let parameters = [parameterA.described(), parameterB.described()]
        self.init(name, description, parameters: parameters) { context in
            try await body(parameterA.value(in: context), parameterB.value(in: context))
        }
    }

    /// A function in Swift with three typed parameters, in the order of the body's.
    public init<A: FunctionValue, B: FunctionValue, C: FunctionValue, Output: FunctionValue>(
        _ name: String, _ description: String,
        _ parameterA: FunctionParameter<A>, _ parameterB: FunctionParameter<B>,
        _ parameterC: FunctionParameter<C>,
        body: @escaping @Sendable (A, B, C) async throws -> Output
    ) {
        let parameters = [parameterA.described(), parameterB.described(), parameterC.described()]
        self.init(name, description, parameters: parameters) { context in
            try await body(
                parameterA.value(in: context), parameterB.value(in: context),
                parameterC.value(in: context))
        }
    }

    /// A function in Swift with four typed parameters, in the order of the body's.
    public init<A: FunctionValue, B: FunctionValue, C: FunctionValue, D: FunctionValue, Output: FunctionValue>(
        _ name: String, _ description: String,
        _ parameterA: FunctionParameter<A>, _ parameterB: FunctionParameter<B>,
        _ parameterC: FunctionParameter<C>, _ parameterD: FunctionParameter<D>,
        body: @escaping @Sendable (A, B, C, D) async throws -> Output
    ) {
        let parameters = [
            parameterA.described(), parameterB.described(),
            parameterC.described(), parameterD.described(),
        ]
        self.init(name, description, parameters: parameters) { context in
            try await body(
                parameterA.value(in: context), parameterB.value(in: context),
                parameterC.value(in: context), parameterD.value(in: context))
        }
    }
}
