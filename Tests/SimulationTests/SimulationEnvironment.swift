#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What the runs of simulations are told from outside.
enum SimulationEnvironment {
    static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    /// Of the working copy, from `.git` or the environment of a CI.
    static var commit: String {
        if let commit = getenv("GITHUB_SHA") ?? getenv("CI_COMMIT_SHA") { return String(cString: commit) }
        return CommitReader.head(above: #filePath) ?? "unknown"
    }
}
