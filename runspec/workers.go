package runspec

import (
	"fmt"
	"strconv"
	"strings"
)

// Workers is how many workers a machine starts (Max) and with how few the run continues
// (Min). Its text is "N" or "min:max"; "auto", the zero value, is not settled yet.
type Workers struct{ Min, Max int }

// workersAuto is the text of a number that a measurement chooses when the run starts.
const workersAuto = "auto"

// ParseWorkers reads "N", "min:max" or "auto".
func ParseWorkers(text string) (Workers, error) {
	if strings.TrimSpace(text) == workersAuto {
		return Workers{}, nil
	}
	low, high, ranged := strings.Cut(strings.TrimSpace(text), ":")
	if !ranged {
		high = low
	}
	a, err := strconv.Atoi(low)
	b, err2 := strconv.Atoi(high)
	if err != nil || err2 != nil {
		return Workers{}, fmt.Errorf("%q is not a number of workers, nor min:max, nor auto", text)
	}
	w := Workers{Min: a, Max: b}
	return w, w.validate()
}

// Auto reports whether the number is not settled yet.
func (w Workers) Auto() bool { return w == Workers{} }

func (w Workers) validate() error {
	switch {
	case w.Min < 0 || w.Max < 0:
		return fmt.Errorf("%s is negative", w.numbers())
	case w.Min == 0 || w.Max == 0:
		return fmt.Errorf("%s: at least one worker is needed", w.numbers())
	case w.Min > w.Max:
		return fmt.Errorf("%s: the minimum is above the maximum", w.numbers())
	}
	return nil
}

func (w Workers) String() string {
	if w.Auto() {
		return workersAuto
	}
	return w.numbers()
}

func (w Workers) numbers() string {
	if w.Min == w.Max {
		return strconv.Itoa(w.Max)
	}
	return fmt.Sprintf("%d:%d", w.Min, w.Max)
}

// MarshalText makes the text form that of files and messages.
func (w Workers) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads the text of MarshalText.
func (w *Workers) UnmarshalText(b []byte) error {
	v, err := ParseWorkers(string(b))
	if err == nil {
		*w = v
	}
	return err
}
