package ledger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/words"
)

// lossWindow is the least number of steps over which an account takes the mean loss, all
// steps if there are fewer: the loss of one step is mostly the noise of its batch.
const lossWindow = 50

// StepLoss is the sum of the MLM and the NSP loss of one step.
type StepLoss struct {
	Step uint64       `json:"step"`
	Loss number.Float `json:"loss"`
}

// MeanLoss is the mean over the steps of a range whose loss was finite.
type MeanLoss struct {
	FirstStep uint64 `json:"first_step"`
	LastStep  uint64 `json:"last_step"`
	Losses
}

// Build says which steps a build computed. Software is empty in logs of older builds,
// which did not record it when a run went on.
type Build struct {
	Software  string `json:"software,omitempty"`
	FirstStep uint64 `json:"first_step"`
	LastStep  uint64 `json:"last_step"`
}

// training collects losses and builds from the entries of steps.
type training struct {
	software     string // of the writing process
	first, last  StepLoss
	firstEntries []MeanLoss // consecutive entries from the beginning
	lastEntries  []MeanLoss // the newest entries
	builds       []Build
}

func (t *training) add(s *Steps) {
	t.last = StepLoss{s.LastStep, s.Loss}
	if t.first.Step == 0 {
		t.first = t.last
	}
	t.addToBuild(s)
	if s.Losses == nil {
		return
	}
	m := MeanLoss{s.FirstStep, s.LastStep, *s.Losses}
	if n := len(t.firstEntries); n == 0 || n == len(t.lastEntries) && t.firstEntries[n-1].LastStep+1 == m.FirstStep && steps(t.firstEntries) < lossWindow {
		t.firstEntries = append(t.firstEntries, m)
	}
	// Recomputed steps count as they were the last time.
	t.lastEntries = slices.DeleteFunc(t.lastEntries, func(o MeanLoss) bool { return o.LastStep >= m.FirstStep })
	t.lastEntries = append(t.lastEntries, m)
	for len(t.lastEntries) > 1 && steps(t.lastEntries[1:]) >= lossWindow {
		t.lastEntries = t.lastEntries[1:]
	}
}

// addToBuild adds steps to those of the writing build.
func (t *training) addToBuild(s *Steps) {
	if n := len(t.builds); n > 0 && t.builds[n-1].Software == t.software {
		b := &t.builds[n-1]
		b.FirstStep, b.LastStep = min(b.FirstStep, s.FirstStep), max(b.LastStep, s.LastStep)
		return
	}
	t.builds = append(t.builds, Build{t.software, s.FirstStep, s.LastStep})
}

func (t *training) finish(a *Account) {
	a.FirstLoss, a.LastLoss = t.first, t.last
	a.First, a.Last = mean(t.firstEntries), mean(t.lastEntries)
	a.Builds = append([]Build{}, t.builds...)
}

func steps(all []MeanLoss) (n uint64) {
	for _, m := range all {
		n += m.Steps
	}
	return n
}

// mean returns the mean over all steps, each with the same weight.
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
	text := fmt.Sprintf("MLM %.4f and NSP %.4f in %s", float64(m.MLM), float64(m.NSP), stepsText(m.FirstStep, m.LastStep))
	if all := m.LastStep - m.FirstStep + 1; m.Steps < all {
		text += fmt.Sprintf(" (mean of %d of them, whose loss was finite)", m.Steps)
	}
	return text
}

// writeLosses writes means if the log has them, else the losses of single steps.
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
		fmt.Fprintf(b, "build: %s, %s\n", software, stepsText(build.FirstStep, build.LastStep))
	}
}

func stepsText(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("step %d", first)
	}
	return fmt.Sprintf("steps %d to %d", first, last)
}
