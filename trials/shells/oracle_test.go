package shells

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"go.uber.org/zap/zapcore"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
)

// computes sees that a micro-batch is computed, from the state of an undisturbed run.
func (c *cluster) computes(l *life, step uint64, index int, weights []float32) {
	l.mu.Lock()
	l.newest = max(l.newest, step)
	l.mu.Unlock()
	if step == 0 || step > c.spec.Steps {
		c.fail("%s computes micro-batch %d of step %d", l.name(), index, step)
		return
	}
	if !bytes.Equal(replica.Bytes(weights), replica.Bytes(c.states[step-1].Weights)) {
		c.fail("%s computes micro-batch %d of step %d from weights that are not those of an undisturbed run", l.name(), index, step)
	}
}

// logged sees what a process says.
func (c *cluster) logged(e zapcore.Entry) error {
	if e.Message == "" {
		c.fail("%s logs an empty message", e.LoggerName)
	}
	return nil
}

// left sees that the links before one were left: nothing of an older generation comes in.
func (l *life) left(newest *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.links {
		if k == newest || l.dead {
			return
		}
		select {
		case <-k.closed:
		default:
			l.p.c.fail("%s has not left the ring of an older generation", l.name())
		}
	}
}

// finished sees a worker that believes that all it did is stored.
func (c *cluster) finished(l *life) {
	l.mu.Lock()
	newest := l.newest
	l.mu.Unlock()
	steps, err := checkpoint.Steps(string(c.dir))
	if err != nil {
		c.fail("%v", err)
		return
	}
	if len(steps) == 0 || steps[len(steps)-1] < newest {
		c.fail("%s ends with step %d, and of %v the checkpoints are stored", l.name(), newest, steps)
	}
}

// committed sees that the checkpoint service announces a checkpoint, which no crash may
// take back.
func (c *cluster) committed(m *bus.Message) {
	var newest wire.Committed
	if err := wire.Decode(m.Data, &newest); err != nil {
		c.fail("%v", err)
	}
	c.mu.Lock()
	before := c.announced
	if newest.Time.After(before.Time) {
		c.announced = newest
	}
	c.mu.Unlock()
	if newest.Time.After(before.Time) && newest.Step < before.Step {
		c.fail("the newest checkpoint is of step %d, it was of step %d", newest.Step, before.Step)
	}
}

// audit holds the folder of a run that has ended against what it must be.
func (c *cluster) audit() {
	report, err := checkpoint.Audit(string(c.dir))
	if err != nil {
		c.fail("audit: %v", err)
		return
	}
	account := report.Account
	if len(report.SetAside) > 0 {
		c.fail("checkpoints were set aside: %v", report.SetAside)
	}
	for _, n := range account.Notes {
		if n.Kind == ledger.NoteDivergence || n.Kind == ledger.NoteQuarantine {
			c.fail("the ledger notes: %s: %s", n.Kind, n.Text)
		}
	}
	if uint64(account.Memberships) != account.Generation && !c.emptied {
		c.fail("the ledger holds %d memberships, and the newest generation is %d", account.Memberships, account.Generation)
	}
	last := c.states[c.spec.Steps]
	if account.Steps != last.Step || account.Samples != last.Samples || account.Tokens != last.Tokens {
		c.fail("the ledger counts %d steps, %d samples and %d tokens; an undisturbed run has %d, %d and %d",
			account.Steps, account.Samples, account.Tokens, last.Step, last.Samples, last.Tokens)
	}
	digest, err := replica.Digest(last, 1)
	if err != nil {
		c.fail("%v", err)
	}
	var newest checkpoint.Manifest
	latest := filepath.Join(c.dir.Checkpoints(), "latest")
	b, err := os.ReadFile(filepath.Join(latest, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(b, &newest)
	}
	if err != nil {
		c.fail("%v", err)
		return
	}
	if newest.Step != last.Step || newest.Digest != digest {
		c.fail("the run ends with step %d and digest %s; an undisturbed run with step %d and %s", newest.Step, newest.Digest, last.Step, digest)
	}
	_, layout, weights, err := checkpoint.ReadModel(latest)
	if err != nil {
		c.fail("%v", err)
		return
	}
	for _, t := range layout.Tensors {
		of := func(all []float32) []byte { return replica.Bytes(all[t.Offset : t.Offset+t.Len]) }
		if !bytes.Equal(of(weights), of(last.Weights)) {
			c.fail("tensor %s is not that of an undisturbed run", t.Name)
		}
	}
}
