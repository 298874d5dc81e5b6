import Foundation

/// Finds out which commit the sources are at, without git.
enum CommitReader {
    static func head(above file: String) -> String? {
        var folder = URL(filePath: file).deletingLastPathComponent()
        while folder.path != "/" {
            let git = folder.appending(path: ".git")
            if FileManager.default.fileExists(atPath: git.path) { return head(of: git) }
            folder.deleteLastPathComponent()
        }
        return nil
    }

    private static func head(of git: URL) -> String? {
        var folder = git
        // In a worktree, `.git` is a file that names the folder.
        if let text = try? String(contentsOf: git, encoding: .utf8), text.hasPrefix("gitdir: ") {
            folder = URL(filePath: text.dropFirst(8).trimmingCharacters(in: .whitespacesAndNewlines))
        }
        guard let head = text(folder.appending(path: "HEAD")) else { return nil }
        guard head.hasPrefix("ref: ") else { return head }
        let reference = String(head.dropFirst(5))
        let common = text(folder.appending(path: "commondir")).map { folder.appending(path: $0) } ?? folder
        return text(folder.appending(path: reference)) ?? text(common.appending(path: reference)) ?? reference
    }

    private static func text(_ file: URL) -> String? {
        (try? String(contentsOf: file, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
