import Foundation

/// What commands say on standard output and error. Nothing is buffered: a reader on a pipe sees each line at once.
enum Console {
    static func print(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }

    static func printError(_ text: String) { write(text + "\n", to: STDERR_FILENO) }

    /// Writes everything, or gives up quietly: there is nobody left to tell.
    static func write(_ text: String, to file: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let start = rest.baseAddress, !rest.isEmpty {
                let count = Glibc.write(file, start, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            }
        }
    }
}

/// The program as the user called it, for lines that can be pasted.
var programName: String { CommandLine.arguments.first ?? "orchestra" }

extension Duration {
    /// `0.42 s`, `12.3 s`.
    var secondsText: String {
        let seconds = Double(components.seconds) + Double(components.attoseconds) / 1e18
        return String(format: seconds < 10 ? "%.2f s" : "%.1f s", seconds)
    }
}

extension String {
    /// Quoted for a POSIX shell, if it needs to be.
    var shellQuoted: String {
        let plain = allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./:=,@%+".contains($0)) }
        return plain && !isEmpty ? self : "'" + replacing("'", with: "'\\''") + "'"
    }
}
