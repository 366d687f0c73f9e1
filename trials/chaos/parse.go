package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/suggest"
	"github.com/gramme-project/gramme/runspec"
)

// ReadPlan reads a plan from a YAML file. Keys that it does not hold are as in Default.
func ReadPlan(path string) (Plan, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	return ParsePlan(path, b)
}

// ParsePlan reads a plan. Everything that is wrong with it is reported, with its
// line; name is for errors.
func ParsePlan(name string, text []byte) (Plan, error) {
	p := Default()
	r := planReader{name: name}
	var doc yaml.Node
	switch err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); {
	case errors.Is(err, io.EOF): // an empty plan
		return p, nil
	case err != nil:
		return p, fmt.Errorf("read plan %s: %w", name, err)
	}
	given := r.mapping("key", "", "a plan is a list of key: value", doc.Content[0], r.fields(&p))
	if given["duration"] && given["faults"] {
		r.errs = append(r.errs, fmt.Errorf("%s: faults and duration are two ways to say how much: give one", name))
	} else if given["duration"] {
		p.Faults = 0
	}
	if err := failures.Of(r.errs...); err != nil {
		return p, err
	}
	return p, p.Validate()
}

// fields are the places of the keys of a plan.
func (r *planReader) fields(p *Plan) map[string]any {
	return map[string]any{
		"seed": &p.Seed, "faults": &p.Faults, "duration": &p.Duration, "workers": &p.Workers, "gap": &p.Gap, "whole": &p.Whole,
		"patience": &p.Patience, "services": &p.Services, "config": &p.Config,
		"kinds": func(value *yaml.Node) { p.Weights = r.weights(value) },
		"run":   func(value *yaml.Node) { p.Settings = r.settings(value) },
	}
}

type planReader struct {
	name string
	errs []error
}

func (r *planReader) fail(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.name, at.Line, fmt.Sprintf(format, args...)))
}

// mapping decodes the value of each key into its field, which is a pointer or a function
// that takes the value. It returns the keys that were given. noun, prefix and shape
// are for errors: yaml.Decoder with KnownFields names no key, and no key that is near.
func (r *planReader) mapping(noun, prefix, shape string, m *yaml.Node, fields map[string]any) map[string]bool {
	given := map[string]bool{}
	if m.Kind != yaml.MappingNode {
		if m.Tag != "!!null" || prefix != "" {
			r.fail(m, "%s", shape)
		}
		return given
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		at, value := m.Content[i], m.Content[i+1]
		key := at.Value
		switch field := fields[key].(type) {
		case nil:
			r.fail(at, "unknown %s %q%s", noun, key, hint(key, slices.Sorted(maps.Keys(fields))))
		case func(*yaml.Node):
			field(value)
		default:
			if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
				r.fail(at, "key %q holds one value", prefix+key)
			} else if err := value.Decode(field); err != nil {
				r.fail(at, "%s%s: %s", prefix, key, plain(value, field, err))
			}
		}
		if given[key] {
			r.fail(at, "key %q is given twice", prefix+key)
		}
		given[key] = true
	}
	return given
}

// plain says what is wrong with a value, in words that do not name types of Go.
func plain(value *yaml.Node, field any, err error) string {
	switch field.(type) {
	case *int, *uint64:
		return fmt.Sprintf("%q is no whole number", value.Value)
	case *bool:
		return fmt.Sprintf("%q is neither true nor false", value.Value)
	case *time.Duration:
		return fmt.Sprintf("%q is no time, such as 90s", value.Value)
	}
	return err.Error()
}

// weights reads kinds: those that it does not name do not happen.
func (r *planReader) weights(m *yaml.Node) map[Kind]int {
	all, _ := Kinds()
	fields, weights := map[string]any{}, map[Kind]int{}
	for _, k := range all {
		fields[string(k)] = new(int)
	}
	for name := range r.mapping("kind", "kinds.", "kinds is a list of kind: weight", m, fields) {
		if weight, ok := fields[name].(*int); ok {
			weights[Kind(name)] = *weight
		}
	}
	return weights
}

// settings reads run: configuration keys as `gramme up` takes them.
func (r *planReader) settings(m *yaml.Node) []runspec.Setting {
	b, err := yaml.Marshal(m)
	if err != nil {
		r.errs = append(r.errs, err)
		return nil
	}
	// As many empty lines that errors name the lines of the plan.
	settings, err := runspec.ParseYAML(r.name, append(bytes.Repeat([]byte("\n"), max(0, m.Line-1)), b...))
	if err != nil {
		r.errs = append(r.errs, err)
	}
	return settings
}

// UnmarshalText reads "1s" or "500ms:2s".
func (r *Range) UnmarshalText(text []byte) (err error) {
	low, high, ranged := strings.Cut(string(text), ":")
	if !ranged {
		high = low
	}
	if r.Min, err = time.ParseDuration(low); err == nil {
		r.Max, err = time.ParseDuration(high)
	}
	if err != nil {
		return fmt.Errorf("%q is no time, nor min:max, such as 500ms:2s", text)
	}
	return nil
}

// hint names the nearest of some names, if one is near, or all.
func hint(name string, names []string) string {
	i := suggest.Nearest(name, names)
	if i < 0 {
		return ": there are " + strings.Join(names, ", ")
	}
	return fmt.Sprintf(": did you mean %q?", names[i])
}
