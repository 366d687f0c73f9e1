package runspec

import (
	"context"
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/vfs"
)

// Read returns the spec in a file that Write made. An absent file is
// fs.ErrNotExist.
func Read(path string) (Spec, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Spec{}, fmt.Errorf("read spec: %w", err)
	}
	return Decode(path, b)
}

// Decode reads the bytes of Encode; name is for errors.
func Decode(path string, b []byte) (Spec, error) {
	settings, err := ParseYAML(path, b)
	if err != nil {
		return Spec{}, err
	}
	given := map[string]bool{}
	for _, s := range settings {
		given[s.Key.Name] = true
	}
	var spec Spec
	var errs []error
	for _, k := range allKeys {
		switch {
		case given[k.Name] || !k.Identity:
		case k.absent != "":
			errs = append(errs, k.set(&spec, []string{k.absent}))
		default: // it would silently get today's default
			errs = append(errs, fmt.Errorf("read spec %s: key %s is missing", path, k.Name))
		}
	}
	errs = append(errs, apply(&spec, Origins{}, [][]Setting{settings}))
	if err := failures.Of(errs...); err != nil {
		return Spec{}, err
	}
	if err := spec.Validate(); err != nil {
		return Spec{}, fmt.Errorf("read spec %s: %w", path, err)
	}
	return spec, nil
}

// Stored returns the spec of the run in a store; membership.ErrNoRun where there is none.
func Stored(ctx context.Context, s membership.Store) (Spec, error) {
	b, err := s.Spec(ctx)
	if err != nil {
		return Spec{}, err
	}
	return Decode("of the cluster", b)
}

// Encode returns the spec as YAML.
func (s Spec) Encode() ([]byte, error) {
	b, err := yaml.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode spec: %w", err)
	}
	return b, nil
}

// Write stores the spec so that path holds either what it held or all of it,
// also after a loss of power.
func (s Spec) Write(path string) error {
	b, err := s.Encode()
	if err != nil {
		return err
	}
	if err := vfs.WriteFile(vfs.OS{}, path, b, 0o644); err != nil {
		return fmt.Errorf("store spec: %w", err)
	}
	return nil
}
