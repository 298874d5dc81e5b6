import Orchestra

/// The executable `orchestra`: the command line with the built-in grains, workflows and agents, and nothing added.
@main
struct OrchestraCommand: OrchestraApplication {}
