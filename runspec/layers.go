package runspec

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/replica/model"
)

// Setting is a value that a user gave for a key, and where.
type Setting struct {
	Key    Key
	Texts  []string // one, or any number for a list
	Origin string   // for people: "run.yaml:3", "GRAMME_SEED", "--seed"
}

// Origins tells for each key where its value came from.
type Origins map[string]string

// Flag returns the setting of a flag.
func Flag(k Key, texts ...string) Setting {
	return Setting{Key: k, Texts: texts, Origin: "--" + k.Flag()}
}

// File reads the settings of a YAML file.
func File(path string) ([]Setting, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return ParseYAML(path, b)
}

// ParseYAML reads settings from YAML. Every unknown key, key given twice and
// value of a wrong shape is reported, with its line.
func ParseYAML(name string, data []byte) ([]Setting, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // an empty file sets nothing
	} else if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", name, err)
	}
	p := yamlReader{name: name, seen: map[string]bool{}}
	if root := doc.Content[0]; root.Kind == yaml.MappingNode {
		p.mapping("", root)
	} else if root.Tag != "!!null" {
		p.fail(root, "a configuration is a list of key: value")
	}
	return p.settings, failures.Of(p.errs...)
}

type yamlReader struct {
	name     string
	seen     map[string]bool
	settings []Setting
	errs     []error
}

func (p *yamlReader) fail(at *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s", p.name, at.Line, fmt.Sprintf(format, args...)))
}

func (p *yamlReader) mapping(prefix string, m *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		at, value := m.Content[i], m.Content[i+1]
		name := prefix + at.Value
		if value.Kind == yaml.MappingNode && isGroup(name) {
			p.mapping(name+".", value)
			continue
		}
		k, err := LookUp(name)
		switch {
		case err != nil:
			p.fail(at, "%v", err)
			continue
		case p.seen[k.Name]:
			p.fail(at, "key %q is given twice", k.Name)
			continue
		}
		p.seen[k.Name] = true
		s := Setting{Key: k, Origin: fmt.Sprintf("%s:%d", p.name, at.Line)}
		switch {
		case value.Kind == yaml.ScalarNode:
			s.Texts = []string{value.Value}
		case value.Kind == yaml.SequenceNode && !slices.ContainsFunc(value.Content, isNoScalar):
			for _, n := range value.Content {
				s.Texts = append(s.Texts, n.Value)
			}
		default:
			p.fail(at, "key %q holds one value", name)
			continue
		}
		p.settings = append(p.settings, s)
	}
}

func isNoScalar(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode }

func isGroup(name string) bool {
	return slices.ContainsFunc(allKeys, func(k Key) bool { return strings.HasPrefix(k.Name, name+".") })
}

// New returns the spec that layers of settings make, the later over the
// earlier. All problems are reported together. A layer that names a model replaces
// the whole model of an earlier layer that names one, as a run does whose settings
// another begins with: its sizes are those of its own model.
func New(layers ...[]Setting) (Spec, Origins, error) {
	layers = withoutReplaced(layers)
	name := DefaultModel
	for _, layer := range layers {
		for _, s := range layer {
			if s.Key.Name == "model.name" && len(s.Texts) == 1 {
				name = s.Texts[0]
			}
		}
	}
	c, err := architecture(name)
	if err != nil {
		return Spec{}, nil, err
	}
	spec, origins := defaults(name, c), Origins{}
	for _, k := range allKeys {
		origins[k.Name] = originDefault
		if isFile(name) && strings.HasPrefix(k.Name, "model.") {
			origins[k.Name] = name
		}
	}
	for _, key := range []string{"model.init_std", "model.position_init", "model.output_init"} { // no part of the shape
		origins[key] = originDefault
	}
	if err := apply(&spec, origins, layers); err != nil {
		return Spec{}, nil, err
	}
	spec.ChooseRecipe(origins)
	return spec, origins, spec.Validate()
}

// withoutReplaced leaves out the sizes of models whose name a later layer replaces.
// Sizes that were given without a name apply to any model.
func withoutReplaced(layers [][]Setting) [][]Setting {
	names := func(layer []Setting) bool {
		return slices.ContainsFunc(layer, func(s Setting) bool { return s.Key.Name == "model.name" })
	}
	out := slices.Clone(layers)
	for i, layer := range out {
		if names(layer) && slices.ContainsFunc(out[i+1:], names) {
			out[i] = slices.DeleteFunc(slices.Clone(layer), func(s Setting) bool {
				return strings.HasPrefix(s.Key.Name, "model.") && s.Key.Name != "model.name"
			})
		}
	}
	return out
}

func apply(spec *Spec, origins Origins, layers [][]Setting) error {
	var errs []error
	for _, layer := range layers {
		for _, s := range layer {
			if err := s.Key.set(spec, s.Texts); err != nil {
				errs = append(errs, fmt.Errorf("%s (%s): %w", s.Key.Name, s.Origin, err))
				continue
			}
			origins[s.Key.Name] = s.Origin
		}
	}
	return failures.Of(errs...)
}

// isFile reports whether the name of a model is the path of a config.json.
func isFile(name string) bool { return strings.ContainsAny(name, "/.") }

// architecture returns a preset or reads a config.json.
func architecture(name string) (model.Config, error) {
	if !isFile(name) {
		c, err := model.Preset(name)
		if err != nil {
			return c, fmt.Errorf("unknown %w, nor the path of a config.json", err)
		}
		return c, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return model.Config{}, fmt.Errorf("read model: %w", err)
	}
	c, err := model.ParseHF(b)
	if err != nil {
		return c, fmt.Errorf("model %s: %w", name, err)
	}
	return c, nil
}
