package corpus

import (
	"fmt"
	"strings"

	"github.com/gramme-project/gramme/internal/words"
)

// Document is a piece of text that belongs together.
type Document struct {
	// Source is where it came from: the input's name, with a line or record
	// where there are several.
	Source string
	// Paragraphs are clean text: valid UTF-8, single spaces, no line breaks,
	// never empty.
	Paragraphs []string
}

// Report lists the sources that were read, and the records that were not.
type Report struct {
	// Sources are the files that were read, at most 10000 of them; the next three
	// fields cover all.
	Sources []Source `json:"sources"`
	Files   int64    `json:"files"`
	// InputBytes is their size as they lie on the disk, InputsSHA256 the hash of
	// their names and hashes.
	InputBytes   int64  `json:"input_bytes"`
	InputsSHA256 string `json:"inputs_sha256"`
	// Documents and Bytes count what was emitted, before de-duplication.
	Documents int64 `json:"documents"`
	Bytes     int64 `json:"bytes"`
	// Quarantined counts the records that could not be used; Quarantine holds
	// the first MaxQuarantine of them.
	Quarantined int64    `json:"quarantined"`
	Quarantine  []Reject `json:"quarantine,omitempty"`
	// Skipped counts the files of a folder that are no text by their name.
	Skipped int64 `json:"skipped"`
}

// Source is one input file.
type Source struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	// Bytes and SHA256 are those of the file as it lies on the disk.
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"`
	Documents int64  `json:"documents"`
}

// Reject is something that was set aside, with its place and the reason.
type Reject struct {
	Place  string `json:"place"`
	Reason string `json:"reason"`
}

// MaxQuarantine bounds the list of rejects in a report.
const MaxQuarantine = 1000

func (r *Report) reject(place, format string, args ...any) {
	r.Quarantined++
	if len(r.Quarantine) < MaxQuarantine {
		r.Quarantine = append(r.Quarantine, Reject{Place: place, Reason: fmt.Sprintf(format, args...)})
	}
}

// InputError says that an input cannot be used as a corpus. The user must correct it:
// the program maps it to the exit code for bad input data.
type InputError struct {
	Input  string
	Reason string
	Err    error
}

func (e *InputError) Error() string {
	s := "corpus " + e.Input + " " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *InputError) Unwrap() error { return e.Err }

// empty is the error for inputs that gave no text. It names the inputs.
func (r *Report) empty(inputs []string) error {
	e := &InputError{Input: strings.Join(inputs, ", "), Reason: "holds no text"}
	var seen []string
	if r.Files > 0 {
		seen = append(seen, fmt.Sprintf("%s read, %s", words.Several(r.Files, "file"), words.Several(r.InputBytes, "byte")))
	} else {
		seen = append(seen, "no file of text")
	}
	if r.Skipped > 0 {
		seen = append(seen, words.Several(r.Skipped, "file")+" skipped by name")
	}
	if r.Quarantined > 0 {
		s := words.Several(r.Quarantined, "record") + " unusable"
		if len(r.Quarantine) > 0 {
			s += ", the first: " + r.Quarantine[0].Place + ": " + r.Quarantine[0].Reason
		}
		seen = append(seen, s)
	}
	e.Reason += " (" + strings.Join(seen, "; ") + ")"
	return e
}
