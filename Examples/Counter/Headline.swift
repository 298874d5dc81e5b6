import Orchestra

/// A first agent: it asks the model for a summary and keeps the first line of it.
let headlineWriter = Agent("headline-writer", description: "Finds a headline for a text.") { context in
    let summary = try await context.invoke("Text", "Summarize")
    let headline = summary.split(whereSeparator: { ".!?\n".contains($0) }).first ?? "(nothing to say)"
    return headline.uppercased()
}

/// Its workflow: one step, which has a minute.
let headline = WorkflowDefinition(name: "headline", steps: [.init(agent: "headline-writer", deadline: .seconds(60))])
