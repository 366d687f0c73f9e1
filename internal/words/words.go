// Package words writes texts that programs often get wrong: numbers with their nouns,
// and commands that can be pasted into a shell.
//
// It guarantees that a POSIX shell takes a quoted word as it was, whatever it holds but
// a zero byte, which no argument can hold.
package words

import (
	"fmt"
	"regexp"
	"strings"
)

// Several writes how many there are of something: "1 step", "2 steps", "0 entries".
// The argument what is the singular; its last word becomes a plural.
func Several[N int | int64 | uint64 | int32 | uint32](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %s", n, plural(what))
}

// Plural is the word for any number but one, after a number that was written in another
// way: Plural(n, "document").
func Plural[N int | int64 | uint64 | int32 | uint32](n N, what string) string {
	if n == 1 {
		return what
	}
	return plural(what)
}

// plural follows the rules of the words that Gramme uses.
func plural(what string) string {
	switch {
	case strings.HasSuffix(what, "ch"), strings.HasSuffix(what, "s"), strings.HasSuffix(what, "x"):
		return what + "es"
	case strings.HasSuffix(what, "ry"), strings.HasSuffix(what, "py"):
		return strings.TrimSuffix(what, "y") + "ies"
	}
	return what + "s"
}

// Quote is a word as a shell takes it.
func Quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/:.,_-+@%=", r)
	}
	if strings.TrimFunc(s, plain) == "" && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Command is a command line that can be pasted. Each word is quoted where it has to be.
func Command(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}

// program is the name of the program at the beginning of a command in a text.
var program = regexp.MustCompile("`gramme ")

// WithProgramName writes the commands of a text, which stand in backquotes and begin with
// "gramme", with the name of the program where the text is shown.
func WithProgramName(text, name string) string {
	if name == "gramme" {
		return text
	}
	return program.ReplaceAllLiteralString(text, "`"+Quote(name)+" ")
}
