package runspec

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/gramme-project/gramme/internal/failures"
)

// NewRunID returns a random name for a run.
func NewRunID() string { return strings.ToLower(rand.Text()[:12]) }

// Hash returns the SHA-256 of the identity keys and their values, in hex. Two specs with the
// same hash train the same weights on the same corpus; where libtorch's own operations
// compute, with as many threads. The key threads counts if pin_threads is set, which all
// specs imply that are older than that key. A key that is newer than other specs counts only
// if its value is not the one that those have, so that runs keep their hash.
func (s Spec) Hash() string {
	var lines []string
	for _, k := range allKeys {
		if s.fixes(k) && (k.absent == "" || s.Text(k) != k.absent) {
			lines = append(lines, k.Name+"="+strconv.Quote(s.Text(k))+"\n")
		}
	}
	sort.Strings(lines) // the order of the struct may change
	h := sha256.Sum256([]byte("gramme spec 1\n" + strings.Join(lines, "")))
	return hex.EncodeToString(h[:])
}

// fixes reports whether a key of this spec keeps its value for the whole run.
func (s Spec) fixes(k Key) bool { return k.Identity || k.Name == "threads" && s.Pinned }

// Conflict is an identity key that was given another value than the run began
// with.
type Conflict struct {
	Key           string
	Stored, Given string
	Origin        string
}

func (c *Conflict) Error() string {
	return fmt.Sprintf("%s: this run began with %s, and %s says %s", c.Key, c.Stored, c.Origin, c.Given)
}

// Resume returns the spec with which a stored run resumes: the stored spec, with the
// operational keys that are given now. A given identity key must agree with the stored
// one; each that does not is a *Conflict.
func Resume(stored Spec, origin string, layers ...[]Setting) (Spec, Origins, error) {
	spec, origins := stored, Origins{}
	for _, k := range allKeys {
		origins[k.Name] = origin
	}
	if err := apply(&spec, origins, layers); err != nil {
		return Spec{}, nil, err
	}
	var errs []error
	for _, k := range allKeys {
		given, began := spec.Text(k), stored.Text(k)
		switch {
		case given == began:
			continue
		case k.Name == "model.name":
			if same, err := sameArchitecture(stored, given); err != nil {
				errs = append(errs, err)
			} else if !same {
				errs = append(errs, &Conflict{"model", began, given, origins[k.Name]})
			}
			spec.Model.Name, origins[k.Name] = stored.Model.Name, origin
		case k.Name == "run_id":
			errs = append(errs, &Conflict{k.Name, began, given, origins[k.Name]})
		case slices.Contains([]string{"precision", "threads", "steps", "workers"}, k.Name) && slices.Contains([]string{PrecisionAuto, "0"}, given):
			// Left to a measurement then, and measured since.
			if err := k.set(&spec, k.texts(&stored)); err != nil {
				errs = append(errs, err)
			}
			origins[k.Name] = origin
		case !stored.fixes(k):
			continue
		default:
			errs = append(errs, &Conflict{k.Name, began, given, origins[k.Name]})
		}
	}
	if err := failures.Of(errs...); err != nil {
		return Spec{}, nil, err
	}
	return spec, origins, spec.Validate()
}

// sameArchitecture reports whether a name or file means the stored model.
func sameArchitecture(stored Spec, name string) (bool, error) {
	c, err := architecture(name)
	if err != nil {
		return false, err
	}
	other := defaults(stored.Model.Name, c).Model
	other.InitStd, other.PositionInit, other.OutputInit = stored.Model.InitStd, stored.Model.PositionInit, stored.Model.OutputInit // a recipe's
	return other == stored.Model, nil
}
