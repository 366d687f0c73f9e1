// Package number writes measured numbers as JSON. A measurement may be not finite, above
// all a loss, and plain JSON has no text for that: encoding/json refuses the whole
// document for one such number.
//
// It guarantees that a Float and an Optional of any value are written and read back
// as they were, and that finite ones look as plain numbers do. The texts of the
// others, "NaN", "Infinity" and "-Infinity", are those of protobuf's JSON. It does
// not round and has no units.
package number

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Float is a measured number.
type Float float64

// Finite tells whether it is neither NaN nor an infinity.
func (f Float) Finite() bool { return !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) }

// MarshalJSON writes a number, or the name of a value that is not finite.
func (f Float) MarshalJSON() ([]byte, error) {
	switch v := float64(f); {
	case math.IsNaN(v):
		return []byte(`"NaN"`), nil
	case math.IsInf(v, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(v, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(v)
	}
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Float) UnmarshalJSON(b []byte) error {
	switch text := string(b); text {
	case "null":
	case `"NaN"`:
		*f = Float(math.NaN())
	case `"Infinity"`:
		*f = Float(math.Inf(1))
	case `"-Infinity"`:
		*f = Float(math.Inf(-1))
	default:
		var v float64
		if strings.HasPrefix(text, `"`) {
			return fmt.Errorf("%s is no number", text)
		}
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		*f = Float(v)
	}
	return nil
}

// Optional is a number that may be unknown, which its zero value is: null in JSON, or
// left out with omitzero.
type Optional struct {
	value Float
	known bool
}

// Known is a number that is known.
func Known(v float64) Optional { return Optional{Float(v), true} }

// Positive is a number that is known if it is above zero: where nothing was measured
// yet, sums and rates are 0. NaN is known, too.
func Positive(v float64) Optional {
	if v <= 0 {
		return Optional{}
	}
	return Known(v)
}

// Get returns the number and whether it is known.
func (o Optional) Get() (float64, bool) { return float64(o.value), o.known }

// Or returns the number, or another where it is unknown.
func (o Optional) Or(otherwise float64) float64 {
	if !o.known {
		return otherwise
	}
	return float64(o.value)
}

// MarshalJSON writes a number, or null.
func (o Optional) MarshalJSON() ([]byte, error) {
	if !o.known {
		return []byte("null"), nil
	}
	return o.value.MarshalJSON()
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (o *Optional) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*o = Optional{}
		return nil
	}
	var f Float
	if err := f.UnmarshalJSON(b); err != nil {
		return err
	}
	*o = Optional{f, true}
	return nil
}
