package chaos

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gramme-project/gramme/internal/suggest"
	"github.com/gramme-project/gramme/runspec"
)

// ReadPlan reads a plan from a YAML file; what it does not say is as Default has
// it.
func ReadPlan(path string) (Plan, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	return ParsePlan(path, b)
}

// setters take the value of each key of a plan. Those of groups are apart.
var setters = map[string]func(p *Plan, text string) error{
	"seed": func(p *Plan, text string) (err error) {
		p.Seed, err = strconv.ParseUint(text, 10, 64)
		return err
	},
	"faults": func(p *Plan, text string) (err error) {
		p.Faults, err = strconv.Atoi(text)
		return err
	},
	"duration": func(p *Plan, text string) (err error) {
		p.Duration, err = time.ParseDuration(text)
		return err
	},
	"workers": func(p *Plan, text string) (err error) {
		p.Workers, err = runspec.ParseWorkers(text)
		return err
	},
	"gap": func(p *Plan, text string) (err error) {
		p.Gap, err = parseRange(text)
		return err
	},
	"whole": func(p *Plan, text string) (err error) {
		p.Whole, err = strconv.ParseBool(text)
		return err
	},
	"patience": func(p *Plan, text string) (err error) {
		p.Patience, err = time.ParseDuration(text)
		return err
	},
	"services": func(p *Plan, text string) error {
		p.Services = text
		return nil
	},
	"config": func(p *Plan, text string) error {
		p.Config = text
		return nil
	},
}

// parseRange reads "1s" or "500ms:2s".
func parseRange(text string) (r Range, err error) {
	low, high, ranged := strings.Cut(text, ":")
	if !ranged {
		high = low
	}
	if r.Min, err = time.ParseDuration(low); err == nil {
		r.Max, err = time.ParseDuration(high)
	}
	if err != nil {
		return r, fmt.Errorf("%q is no time, nor min:max, such as 500ms:2s", text)
	}
	return r, nil
}

// ParsePlan reads a plan. Everything that is wrong with it is reported, with its
// line; name is for errors.
func ParsePlan(name string, text []byte) (Plan, error) {
	r := planReader{name: name, plan: Default(), seen: map[string]bool{}}
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return r.plan, fmt.Errorf("read plan %s: %w", name, err)
	} else if err == nil {
		switch root := doc.Content[0]; {
		case root.Kind == yaml.MappingNode:
			r.keys(root)
		case root.Tag != "!!null":
			r.fail(root, "a plan is a list of key: value")
		}
	}
	if r.seen["duration"] && !r.seen["faults"] {
		r.plan.Faults = 0
	}
	if err := errors.Join(r.errs...); err != nil {
		return r.plan, err
	}
	if r.seen["duration"] && r.seen["faults"] {
		return r.plan, fmt.Errorf("%s: faults and duration are two ways to say how much: give one", name)
	}
	return r.plan, r.plan.Validate()
}

type planReader struct {
	name string
	plan Plan
	seen map[string]bool
	errs []error
}

func (r *planReader) fail(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.name, at.Line, fmt.Sprintf(format, args...)))
}

func (r *planReader) keys(m *yaml.Node) {
	names := append(slices.Sorted(maps.Keys(setters)), "kinds", "run")
	for i := 0; i+1 < len(m.Content); i += 2 {
		at, value := m.Content[i], m.Content[i+1]
		key := at.Value
		switch set := setters[key]; {
		case r.seen[key]:
			r.fail(at, "key %q is given twice", key)
		case key == "kinds":
			r.weights(value)
		case key == "run":
			r.settings(value)
		case set == nil:
			r.fail(at, "unknown key %q%s", key, hint(key, names))
		case value.Kind != yaml.ScalarNode:
			r.fail(at, "key %q holds one value", key)
		default:
			if err := set(&r.plan, value.Value); err != nil {
				r.fail(at, "%s: %v", key, plain(err))
			}
		}
		r.seen[key] = true
	}
}

// plain takes the name of the function out of an error of package strconv.
func plain(err error) error {
	if e := (*strconv.NumError)(nil); errors.As(err, &e) {
		return fmt.Errorf("%q: %w", e.Num, e.Err)
	}
	return err
}

// weights reads kinds: those that it does not name do not happen.
func (r *planReader) weights(m *yaml.Node) {
	if m.Kind != yaml.MappingNode {
		r.fail(m, "kinds is a list of kind: weight")
		return
	}
	all, _ := Kinds()
	var names []string
	for _, k := range all {
		names = append(names, string(k))
	}
	r.plan.Weights = map[Kind]int{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		at, value := m.Content[i], m.Content[i+1]
		if !slices.Contains(names, at.Value) {
			r.fail(at, "unknown kind %q%s", at.Value, hint(at.Value, names))
			continue
		}
		weight, err := strconv.Atoi(value.Value)
		if err != nil {
			r.fail(at, "kinds.%s: %q is no whole number", at.Value, value.Value)
		}
		r.plan.Weights[Kind(at.Value)] = weight
	}
}

// settings reads run: configuration keys as `gramme up` takes them.
func (r *planReader) settings(m *yaml.Node) {
	b, err := yaml.Marshal(m)
	if err == nil {
		// As many empty lines that errors name the lines of the plan.
		b = append([]byte(strings.Repeat("\n", max(0, m.Line-1))), b...)
		r.plan.Settings, err = runspec.ParseYAML(r.name, b)
	}
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// hint names the nearest of some names, if one is near, or all.
func hint(name string, names []string) string {
	i := suggest.Nearest(name, names)
	if i < 0 {
		return ": there are " + strings.Join(names, ", ")
	}
	return fmt.Sprintf(": did you mean %q?", names[i])
}
