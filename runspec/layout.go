package runspec

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/words"
)

// Layout is how the workers of a run share the cores of a machine.
type Layout struct {
	Workers int `json:"workers"`
	Threads int `json:"threads"` // of each
}

func (l Layout) String() string {
	return fmt.Sprintf("%s × %s", words.Several(l.Workers, "worker"), words.Several(l.Threads, "thread"))
}

// manyCores is from how many cores on a layout between the two ends is worth a measurement.
const manyCores = 8

// Layouts returns the layouts to measure on a machine with some cores, for steps of some
// micro-batches and memory for some workers: one worker on all cores, a worker for each
// core, and one between them where there are many. A worker without a micro-batch would
// have nothing to compute.
func Layouts(cores, microBatches, mostWorkers int) []Layout {
	most := max(1, min(cores, microBatches, mostWorkers))
	counts := []int{1}
	if cores >= manyCores {
		middle := 1
		for middle*middle*4 <= cores { // the power of 2 next to the root
			middle *= 2
		}
		counts = append(counts, middle)
	}
	var all []Layout
	for _, n := range append(counts, most) {
		if l := (Layout{n, max(1, cores/n)}); n <= most && !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// LayoutTiming is what was measured of a layout, with all its workers at once.
type LayoutTiming struct {
	Layout
	MicroBatch number.Float `json:"micro_batch_seconds"` // of one worker
	Update     number.Float `json:"update_seconds"`      // of a step, which each worker makes
	Step       number.Float `json:"step_seconds"`        // by the other two, and an estimate of the exchange
}

// exchangeRate is how many bytes a second a worker exchanges with others on its machine:
// an estimate, since it is not measured before a run. It is less than any machine was seen
// to reach, as an exchange also makes workers wait for each other.
const exchangeRate = 0.5e9

// NewLayoutTiming estimates a step of some micro-batches and a gradient of some elements.
// The slowest worker has the largest share of the micro-batches; in a ring of n, each
// sends its neighbour 2 (n - 1) / n of the gradient's bytes.
func NewLayoutTiming(l Layout, microBatch, update time.Duration, microBatches int, elements int64) LayoutTiming {
	share := (microBatches + l.Workers - 1) / l.Workers
	exchange := 2 * float64(l.Workers-1) / float64(l.Workers) * 4 * float64(elements) / exchangeRate
	return LayoutTiming{
		l, number.Float(microBatch.Seconds()), number.Float(update.Seconds()),
		number.Float(float64(share)*microBatch.Seconds() + update.Seconds() + exchange),
	}
}

// LayoutChoice is the layout that was chosen, with its reason.
type LayoutChoice struct {
	Layout
	Cores    int            `json:"cores"`
	Free     bool           `json:"any_threads"`        // the number of threads does not change the bits
	Measured []LayoutTiming `json:"measured,omitempty"` // in the order of Layouts
}

// layoutGain is how much faster more workers must be before they are chosen: each takes
// memory of its own, and their exchange is only estimated.
const layoutGain = 1.05

// ChooseLayout takes the layout with the fastest step. Of layouts that are about as fast
// it takes the one with fewer workers. The list is in the order of Layouts, and not empty;
// free says that the number of threads does not change the bits.
func ChooseLayout(cores int, free bool, measured []LayoutTiming) LayoutChoice {
	best := measured[0]
	for _, t := range measured[1:] {
		if float64(t.Step)*layoutGain < float64(best.Step) {
			best = t
		}
	}
	return LayoutChoice{best.Layout, cores, free, measured}
}

// String describes the choice and its reason.
func (c LayoutChoice) String() string {
	if len(c.Measured) < 2 {
		return fmt.Sprintf("%s, for %s", c.Layout, words.Several(c.Cores, "core"))
	}
	var each []string
	for _, t := range c.Measured {
		each = append(each, fmt.Sprintf("%d × %d %s", t.Workers, t.Threads, milliseconds(float64(t.Step))))
	}
	return fmt.Sprintf("%s, for %s: a step takes about %s", c.Layout, words.Several(c.Cores, "core"), strings.Join(each, ", "))
}

// milliseconds writes seconds with two digits or more.
func milliseconds(seconds float64) string {
	if ms := 1000 * seconds; ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", math.Round(1000*seconds))
}

// ReadLayoutChoice reads the file of WriteLayoutChoice; nil if there is none.
func ReadLayoutChoice(path string) (*LayoutChoice, error) {
	c, err := readChoice[LayoutChoice](path)
	if err == nil && c != nil && (c.Workers < 1 || c.Threads < 1) {
		return nil, fmt.Errorf("read choice %s: %s are none", path, c.Layout)
	}
	return c, err
}

// WriteLayoutChoice keeps a choice in a file.
func WriteLayoutChoice(path string, c LayoutChoice) error { return writeChoice(path, c) }
