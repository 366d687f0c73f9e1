package ledger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/words"
)

// smoothed is over how many steps, at least, an account takes the mean of losses:
// that of one step is mostly the noise of its batch. Where fewer are there, it is
// over all.
const smoothed = 50

// StepLoss is the sum of the MLM and the NSP loss of one step.
type StepLoss struct {
	Step uint64       `json:"step"`
	Loss number.Float `json:"loss"`
}

// MeanLoss is the mean over those of some steps whose loss was finite.
type MeanLoss struct {
	FirstStep uint64 `json:"first_step"`
	LastStep  uint64 `json:"last_step"`
	Losses
}

// Build says which steps a build computed. Software is empty where the log does not
// say: before it did, a run that went on did not name its build.
type Build struct {
	Software  string `json:"software,omitempty"`
	FirstStep uint64 `json:"first_step"`
	LastStep  uint64 `json:"last_step"`
}

// training is what the entries of steps say about losses and builds.
type training struct {
	software    string // of the process that writes
	first, last StepLoss
	begin       []MeanLoss // entries of the beginning, one after the other
	end         []MeanLoss // the newest entries
	builds      []Build
}

func (t *training) add(s *Steps) {
	t.last = StepLoss{s.LastStep, s.Loss}
	if t.first.Step == 0 {
		t.first = t.last
	}
	t.build(s)
	if s.Losses == nil {
		return
	}
	m := MeanLoss{s.FirstStep, s.LastStep, *s.Losses}
	if n := len(t.begin); n == 0 || n == len(t.end) && t.begin[n-1].LastStep+1 == m.FirstStep && steps(t.begin) < smoothed {
		t.begin = append(t.begin, m)
	}
	// Steps that are computed once more count as they were the last time.
	t.end = slices.DeleteFunc(t.end, func(o MeanLoss) bool { return o.LastStep >= m.FirstStep })
	t.end = append(t.end, m)
	for len(t.end) > 1 && steps(t.end[1:]) >= smoothed {
		t.end = t.end[1:]
	}
}

// build adds steps to those of the build that writes.
func (t *training) build(s *Steps) {
	if n := len(t.builds); n > 0 && t.builds[n-1].Software == t.software {
		b := &t.builds[n-1]
		b.FirstStep, b.LastStep = min(b.FirstStep, s.FirstStep), max(b.LastStep, s.LastStep)
		return
	}
	t.builds = append(t.builds, Build{t.software, s.FirstStep, s.LastStep})
}

func (t *training) finish(a *Account) {
	a.FirstLoss, a.LastLoss = t.first, t.last
	a.First, a.Last = mean(t.begin), mean(t.end)
	a.Builds = append([]Build{}, t.builds...)
}

func steps(all []MeanLoss) (n uint64) {
	for _, m := range all {
		n += m.Steps
	}
	return n
}

// mean is that of all steps, each counting the same.
func mean(all []MeanLoss) *MeanLoss {
	if len(all) == 0 {
		return nil
	}
	out := MeanLoss{FirstStep: all[0].FirstStep, LastStep: all[len(all)-1].LastStep}
	for _, m := range all {
		n := number.Float(m.Steps)
		out.Steps += m.Steps
		out.MLM += m.MLM * n
		out.NSP += m.NSP * n
	}
	out.MLM /= number.Float(out.Steps)
	out.NSP /= number.Float(out.Steps)
	return &out
}

func (m *MeanLoss) String() string {
	text := fmt.Sprintf("MLM %.4f and NSP %.4f in %s", float64(m.MLM), float64(m.NSP), between(m.FirstStep, m.LastStep))
	if all := m.LastStep - m.FirstStep + 1; m.Steps < all {
		text += fmt.Sprintf(" (mean of %d of them, whose loss was finite)", m.Steps)
	}
	return text
}

// writeLosses writes means where the log holds them, else which single losses it has.
func (a *Account) writeLosses(b *strings.Builder) {
	switch {
	case a.Last != nil && a.First != nil && *a.First == *a.Last:
		fmt.Fprintf(b, "\nmean losses: %s", a.Last)
	case a.Last != nil && a.First != nil:
		fmt.Fprintf(b, "\nmean losses: %s; %s", a.First, a.Last)
	case a.LastLoss.Step > 0 && a.FirstLoss.Step == a.LastLoss.Step:
		fmt.Fprintf(b, "\nloss (MLM + NSP) of step %d alone: %.4f", a.LastLoss.Step, float64(a.LastLoss.Loss))
	case a.LastLoss.Step > 0:
		fmt.Fprintf(b, "\nlosses (MLM + NSP) of single steps: %.4f of step %d, %.4f of step %d",
			float64(a.FirstLoss.Loss), a.FirstLoss.Step, float64(a.LastLoss.Loss), a.LastLoss.Step)
	}
	if a.Skipped > 0 {
		fmt.Fprintf(b, "\nskipped: %s, because gradients were not finite", words.Several(a.Skipped, "step"))
	}
}

func (a *Account) writeBuilds(b *strings.Builder) {
	for _, build := range a.Builds {
		software := build.Software
		if software == "" {
			software = "a build that the ledger does not name"
		}
		fmt.Fprintf(b, "build: %s, %s\n", software, between(build.FirstStep, build.LastStep))
	}
}

func between(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("step %d", first)
	}
	return fmt.Sprintf("steps %d to %d", first, last)
}
