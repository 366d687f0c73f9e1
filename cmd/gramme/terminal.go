package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/words"
)

// live tells whether a line can be written over: w is a terminal.
func live(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is how many columns the terminal w has, 0 where that is unknown.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return columns
		}
	}
	return 0
}

// saying reports the waits of a command to its user.
func saying(c *cobra.Command) waiting.Say { return func(text string) { c.PrintErrln(text) } }

// printJSON prints what --json asks for.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// progressBar shows the progress of an operation: on a terminal one line that is
// overwritten, elsewhere a line at the start and every few seconds.
type progressBar struct {
	w           io.Writer
	what, unit  string
	live        bool
	shown       time.Time
	begun       time.Time
	done, total int64
}

func newProgressBar(w io.Writer, what, unit string) *progressBar {
	return &progressBar{w: w, what: what, unit: unit, live: live(w), begun: time.Now()}
}

// set updates the amount that is done; total 0 is unknown.
func (m *progressBar) set(done, total int64) {
	m.done, m.total = done, total
	every := 5 * time.Second
	if m.live {
		every = 100 * time.Millisecond
	}
	if time.Since(m.shown) < every {
		return
	}
	m.shown = time.Now()
	m.print()
}

func (m *progressBar) print() {
	text := fmt.Sprintf("%s: %s %s", m.what, count(m.done), m.unit)
	if m.total > 0 {
		text = fmt.Sprintf("%s: %3d%% (%s of %s %s)", m.what, 100*m.done/m.total, count(m.done), count(m.total), m.unit)
	}
	if m.live {
		fmt.Fprintf(m.w, "\r\x1b[K%s", text)
	} else {
		fmt.Fprintln(m.w, text)
	}
}

// end shows the last state.
func (m *progressBar) end() {
	if m.done == 0 {
		return
	}
	took := time.Since(m.begun).Round(100 * time.Millisecond)
	text := fmt.Sprintf("%s: %s %s in %s", m.what, count(m.done), m.unit, took)
	if m.live {
		fmt.Fprintf(m.w, "\r\x1b[K%s\n", text)
	} else {
		fmt.Fprintln(m.w, text)
	}
}

// counted writes a number and its noun, as count does.
func counted(n int64, what string) string { return count(n) + " " + words.Plural(n, what) }

// count writes a number for people.
func count(n int64) string {
	switch {
	case n >= 10_000_000:
		return fmt.Sprintf("%.0fM", float64(n)/1e6)
	case n >= 1_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	case n >= 10_000:
		return fmt.Sprintf("%.0fk", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}

// ago rounds a duration for people.
func ago(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}
