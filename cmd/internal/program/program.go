// Package program knows the name under which the user started gramme, for the commands
// that it prints: they can be pasted at the same prompt.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/process"
	"github.com/gramme-project/gramme/internal/words"
)

// Name is the name, or the path, under which this process was started: the name alone
// where the shell finds the same program by it.
func Name() string { return nameOf(os.Args[0]) }

func nameOf(called string) string {
	if !strings.Contains(called, "/") { // the shell found it
		return called
	}
	name := filepath.Base(called)
	found, err := exec.LookPath(name)
	if err != nil {
		return called
	}
	there, err := os.Stat(found)
	if err != nil {
		return called
	}
	if here, err := os.Stat(called); err == nil && os.SameFile(there, here) {
		return name
	}
	return called
}

// Command is a command of this program that can be pasted.
func Command(args ...string) string {
	return words.Command(append([]string{Name()}, args...)...)
}

// Spoken is a text whose commands, `gramme …` in backquotes, can be pasted.
func Spoken(text string) string { return words.WithProgramName(text, Name()) }

// End prints the error of this process and its hint, as spoken has them, reports it to the
// parent, and returns the exit code.
func End(err error, parent *process.Reporter, spoken func(string) string) (code int) {
	if err == nil {
		return exit.OK
	}
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, "error: ") && !strings.HasPrefix(line, "hint: ") { // as a child has printed it
			line = "error: " + line
		}
		fmt.Fprintln(os.Stderr, spoken(line))
	}
	if hint := exit.Hint(err); hint != "" {
		fmt.Fprintln(os.Stderr, "hint: "+spoken(hint))
	}
	if err := parent.Send(exit.ReportOf(err)); err != nil {
		fmt.Fprintln(os.Stderr, "warning: "+err.Error())
	}
	return exit.Code(err)
}
