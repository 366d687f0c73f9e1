// Package transcript plays scripts against a machine in tests, and compares what the
// machine does with what stands in the script.
//
// A transcript is a text file. A line is a command in words, a comment that begins with
// "# ", or empty; a line that begins with white space is what the machine did after the
// command above it. The flag -update rewrites the files.
package transcript

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// Test plays each file of testdata/*.txt. play returns a script with what the machine
// did.
func Test(t *testing.T, play func(script string) (string, error)) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(b))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := strings.Split(string(b), "\n")
			for i, line := range strings.Split(got, "\n") {
				if i >= len(want) || line != want[i] {
					t.Fatalf("line %d: %q\nwhole:\n%s", i+1, line, got)
				}
			}
			if got != string(b) {
				t.Errorf("it ends early:\n%s", got)
			}
		})
	}
}

// Play calls do for each command of a script, and returns the script with the lines that
// do returned below their commands, each as it is.
func Play(script string, do func(words []string) (did []string, err error)) (string, error) {
	var out strings.Builder
	for n, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		if strings.HasPrefix(line, " ") {
			continue
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		did, err := do(words)
		if err != nil {
			return "", fmt.Errorf("line %d: %s: %w\n%s%s", n+1, line, err, &out, strings.Join(did, "\n"))
		}
		for _, d := range did {
			fmt.Fprintln(&out, d)
		}
	}
	return out.String(), nil
}

// PlayMachine is Play for a machine that the first command, config, makes: start gets its
// settings, do each later command. What do returns is indented by two spaces.
func PlayMachine(script string, start func(settings []string) error, do func(words []string) (did []string, err error)) (string, error) {
	return Play(script, func(words []string) ([]string, error) {
		if words[0] == "config" {
			return nil, start(words[1:])
		}
		did, err := do(words)
		for i := range did {
			did[i] = "  " + did[i]
		}
		return did, err
	})
}
