package process

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"strings"
)

// The output of a crash is long: registers, and the stacks of all goroutines. One line
// of it says what happened.

// naming are the beginnings of such lines, in the order in which they are believed: a
// C++ exception ends in an abort, which the Go runtime reports after it.
var naming = []*regexp.Regexp{
	regexp.MustCompile(`^terminate called `),
	regexp.MustCompile(`^\*\*\* .* \*\*\*`), // of glibc: stack smashing detected
	regexp.MustCompile(`^(malloc|free|realloc|munmap_chunk|corrupted|double free)\b.*`),
	regexp.MustCompile(`: Assertion .* failed\.?$`),
	regexp.MustCompile(`^libgomp: `),
	regexp.MustCompile(`^(runtime/cgo|runtime): .*(failed|could not|cannot|out of)`),
	regexp.MustCompile(`^(panic|fatal error): `),
	regexp.MustCompile(`^SIG[A-Z0-9]+: `),
	regexp.MustCompile(`error while loading shared libraries: `),
}

// mostRead bounds how much of a log is searched: the stacks of many goroutines follow on
// the line that counts.
const mostRead = 4 << 20

// CrashLine finds the line that names a crash in a program's output, or "".
func CrashLine(output string) string {
	lines := strings.Split(output, "\n")
	for _, name := range naming {
		for i, line := range lines {
			line = strings.TrimSpace(line)
			if !name.MatchString(line) {
				continue
			}
			if i+1 < len(lines) { // the message of an exception
				if next := strings.TrimSpace(lines[i+1]); strings.HasPrefix(next, "what():") {
					line += " " + next
				}
			}
			return strings.TrimSuffix(line, " [recovered]")
		}
	}
	return ""
}

// told returns the lines of the last error that a program has reported, with its hint.
func told(lines []string) []string {
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i], "error: ") {
			return lines[i:]
		}
	}
	return nil
}

// plain leaves out log lines in JSON, and other lines that are not for people.
func plain(lines []string) []string {
	var out []string
	for _, line := range lines {
		if line = strings.TrimRight(line, " \t\r"); line != "" && !strings.HasPrefix(line, "{") {
			out = append(out, line)
		}
	}
	return out
}

// lastWords returns the last lines that a program printed, at most so many.
func lastWords(output string, most int) string {
	if line := CrashLine(output); line != "" {
		return line
	}
	all := strings.Split(strings.TrimSpace(output), "\n")
	words := told(all)
	if words == nil {
		words = plain(all)
	}
	if words == nil {
		words = all
	}
	return strings.Join(words[max(0, len(words)-most):], "\n")
}

// readFrom reads a log from an offset on, at most its last part.
func readFrom(log string, from int64) string {
	f, err := os.Open(log)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-mostRead)
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(f, mostRead))
	if err != nil {
		return ""
	}
	return string(bytes.ToValidUTF8(b, []byte("?")))
}

// LastWords says in at most so many lines how the program that wrote a log file ended:
// by the line that names its crash, by the last error that it reported, or by the last
// lines that it printed.
func LastWords(log string, most int) string { return lastWords(readFrom(log, 0), most) }
