package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/launch/machine"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard"
)

// checkpointEvery is the time between checkpoints where nothing else is said: an
// hour lost to a kill of everything would be an hour of trying.
const checkpointEvery = 2 * time.Second

// wanted describes an undisturbed run: what it was made with.
type wanted struct {
	Args   []string `json:"args"`
	Corpus string   `json:"corpus"` // digest of names, sizes and times
}

// describe returns the arguments of `gramme up` that train the undisturbed run,
// without the corpus. Threads are settled for as many workers as the disturbed
// run has, since they may determine the bits (pin_threads).
func describe(p Plan, environ []string) (wanted, error) {
	var file []runspec.Setting
	args := []string{}
	if p.Config != "" {
		var err error
		if file, err = runspec.File(p.Config); err != nil {
			return wanted{}, err
		}
		args = append(args, "--config", p.Config)
	}
	spec, origins, err := runspec.New(file, runspec.Environment(environ), p.Settings)
	if err != nil {
		return wanted{}, err
	}
	for _, s := range p.Settings {
		for _, text := range s.Texts {
			args = append(args, "--"+s.Key.Flag()+"="+text)
		}
	}
	if spec.Threads == 0 {
		args = append(args, "--threads", strconv.Itoa(max(1, machine.Cores()/p.Workers.Max)))
	}
	if !origins.Given("checkpoint.every") {
		args = append(args, "--checkpoint-every", checkpointEvery.String())
	}
	if spec.Steps == 0 {
		args = append(args, "--minutes", strconv.FormatFloat(p.Training().Minutes(), 'f', 3, 64))
	}
	return wanted{Args: append(args, "--workers", "1")}, nil
}

// undisturbed trains the run that the disturbed one is held against, or takes the
// one that is there and was made alike.
func (t *trial) undisturbed(ctx context.Context) error {
	want, err := describe(t.Plan, os.Environ())
	if err != nil {
		return exit.Wrap(exit.Usage, "`gramme config` lists the keys of a run", err)
	}
	made := filepath.Join(t.Dir, "undisturbed.json")
	var has wanted
	if b, err := os.ReadFile(made); err == nil {
		if err := json.Unmarshal(b, &has); err != nil {
			return fmt.Errorf("read %s: %w", made, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read what the undisturbed run is: %w", err)
	}
	if len(t.Corpus) > 0 {
		if want.Corpus, err = shard.InputsDigest(t.Corpus, t.Dir); err != nil {
			return exit.Wrap(exit.Data, "name text files or folders that are there", fmt.Errorf("read corpus: %w", err))
		}
	} else if want.Corpus = has.Corpus; has.Corpus == "" {
		return exit.Wrap(exit.Usage, "name text files or folders: gramme chaos text/", errors.New("the first trial needs a corpus"))
	}
	if slices.Equal(has.Args, want.Args) && has.Corpus == want.Corpus {
		t.Say("the undisturbed run is there: " + string(t.calm))
		return t.settle()
	}
	if len(t.Corpus) == 0 {
		return exit.Wrap(exit.Usage, "name it: gramme chaos text/", fmt.Errorf("the undisturbed run in %s is another one, and this one needs a corpus", t.Dir))
	}
	for _, path := range []string{made, string(t.calm)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("start the undisturbed run again: %w", err)
		}
	}
	t.Say("training undisturbed, with one worker: " + string(t.calm))
	if err := t.trainUndisturbed(ctx, want); err != nil {
		return err
	}
	b, err := json.MarshalIndent(want, "", "  ")
	if err == nil {
		err = os.WriteFile(made, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write what the undisturbed run is: %w", err)
	}
	return t.settle()
}

func (t *trial) trainUndisturbed(ctx context.Context, want wanted) (err error) {
	c := t.newCluster(t.calm, "undisturbed", append([]string{"up", "--run", string(t.calm)}, append(want.Args, t.Corpus...)...))
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.start(); err != nil {
		return err
	}
	if err := c.wait(ctx, 0); err != nil {
		return err
	}
	if err := c.failure(); err != nil {
		code := exit.Failure
		if e := c.proc.Ending(); e.Manner == exit.Reported {
			code = e.Report.Code
		}
		return exit.Wrap(code, "its whole log is "+c.log, fmt.Errorf("the undisturbed run: %w", err))
	}
	return nil
}

// settle takes what the undisturbed run settled, and verifies it: what everything
// else is held against must be what was trained.
func (t *trial) settle() (err error) {
	if t.spec, err = runspec.Read(t.calm.Spec()); err != nil {
		return fmt.Errorf("the undisturbed run: %w", err)
	}
	c, account := audit("the undisturbed run verifies", t.calm)
	t.check(c)
	if c.OK && account.Steps != t.spec.Steps {
		t.check(Check{"the undisturbed run is complete", fmt.Sprintf("%d of %s", account.Steps, words.Several(t.spec.Steps, "step")), false})
	}
	t.account = account
	return nil
}
