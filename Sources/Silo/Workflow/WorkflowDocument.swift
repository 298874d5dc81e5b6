package import OrchestraCore

extension WorkflowSnapshot {
    /// What the API shows of a workflow.
    package var json: JSONOutput {
        var result: JSONOutput = .null
        if status == .completed {
            result = .object([
                ("output", .string(output ?? "")),
                ("functions", .array(functions.map(\.json))),
                ("model", .string(model)),
            ])
        }
        return .object([
            ("workflowId", .string(workflowId)),
            ("workflow", .string(workflow)),
            ("status", .string(status.rawValue)),
            ("result", result),
            ("error", .string(error)),
            (
                "times",
                .object([
                    ("acceptedAt", .time(acceptedAt)), ("startedAt", .time(startedAt)),
                    ("finishedAt", .time(finishedAt)),
                ])
            ),
        ])
    }
}

extension WorkflowSnapshot.Function {
    fileprivate var json: JSONOutput {
        .object([
            ("step", .integer(step)), ("plugin", .string(plugin)), ("function", .string(function)),
            ("output", .string(output)),
        ])
    }
}
