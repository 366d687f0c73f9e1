package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/rundir"
)

// TestWhatIsDoneToAFolder changes the folder of a run with checkpoints of steps 10, 20
// and 30. The audit names each change; a service that is started then goes on from the
// newest checkpoint that verifies, and says in the ledger why, or, where the ledger
// lost entries, refuses and leaves everything as it is.
func TestWhatIsDoneToAFolder(t *testing.T) {
	whole := newServing(t)
	whole.up()
	earlier := t.TempDir()
	for _, step := range []uint64{10, 20, 30} {
		whole.store(step, 1)
		copyAll(t, whole.dir.Ledger(), filepath.Join(earlier, folderOf(step)))
	}
	if err := whole.down(); err != nil {
		t.Fatal(err)
	}
	whole.audit()

	const newest, middle, oldest = "step-0000000030", "step-0000000020", "step-0000000010"
	putBack := func(d rundir.Dir, when string) error {
		return errors.Join(os.RemoveAll(d.Ledger()), os.CopyFS(d.Ledger(), os.DirFS(filepath.Join(earlier, when))))
	}
	for _, c := range []struct {
		name   string
		change func(d rundir.Dir) error
		audit  string // what it says; "" where all verifies
		from   uint64 // step that a service goes on from; 0 without a note: it refuses
		note   string // what the ledger then says; "" nothing
		stays  bool   // the audit says the same afterwards
	}{
		{
			name:   "the ledger is put back to what it was",
			change: func(d rundir.Dir) error { return putBack(d, oldest) },
			audit:  newest + "/ledger-head: it covers",
		},
		{
			name:   "the ledger is put back to right before the newest checkpoint",
			change: func(d rundir.Dir) error { return putBack(d, middle) },
			audit:  newest + "/manifest.json: the ledger does not hold it",
		},
		{
			name: "the ledger is put back, and what would show it was set aside",
			change: func(d rundir.Dir) error {
				at := filepath.Join(d.Checkpoints(), newest)
				return errors.Join(putBack(d, oldest), os.Rename(at, filepath.Join(d.Checkpoints(), setAsidePrefix+newest)),
					os.RemoveAll(filepath.Join(d.Checkpoints(), middle)), relink(d, oldest))
			},
			audit: setAsidePrefix + newest + "/ledger-head: it covers",
		},
		{
			name:   "the ledger is gone",
			change: func(d rundir.Dir) error { return os.RemoveAll(d.Ledger()) },
			audit:  "no ledger",
		},
		{
			name: "the ledger and its keys are gone",
			change: func(d rundir.Dir) error {
				return errors.Join(os.RemoveAll(d.Ledger()), os.RemoveAll(d.Keys()))
			},
			audit: "no ledger",
		},
		{
			name:   "the newest checkpoint is gone",
			change: func(d rundir.Dir) error { return os.RemoveAll(filepath.Join(d.Checkpoints(), newest)) },
			audit:  newest + ": it is missing",
			from:   20,
			note:   newest + ": it is missing",
		},
		{
			name: "the newest checkpoint is gone, and latest names the one before",
			change: func(d rundir.Dir) error {
				return errors.Join(os.RemoveAll(filepath.Join(d.Checkpoints(), newest)), relink(d, middle))
			},
			audit: newest + ": it is missing",
			from:  20,
			note:  newest + ": it is missing",
		},
		{
			name:   "all checkpoints are gone",
			change: func(d rundir.Dir) error { return os.RemoveAll(d.Checkpoints()) },
			audit:  newest + ": it is missing",
			note:   newest + ": it is missing",
		},
		{
			name: "the newest checkpoint is a link to another folder",
			change: func(d rundir.Dir) error {
				path := filepath.Join(d.Checkpoints(), newest)
				return errors.Join(os.Rename(path, string(d)+"/elsewhere"), os.Symlink("../elsewhere", path))
			},
			audit: newest + ": it is no folder",
			from:  20,
			note:  newest + ": it is no folder",
		},
		{
			name: "the newest checkpoint is a file",
			change: func(d rundir.Dir) error {
				path := filepath.Join(d.Checkpoints(), newest)
				return errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600))
			},
			audit: newest + ": it is no folder",
			from:  20,
			note:  newest + ": it is no folder",
		},
		{
			name: "a file of it is a folder",
			change: func(d rundir.Dir) error {
				path := filepath.Join(d.Checkpoints(), newest, configFile)
				return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
			},
			audit: newest + "/config.json: it is no file",
			from:  20,
			note:  newest + "/config.json: it is no file",
		},
		{
			name: "it has one file more",
			change: func(d rundir.Dir) error {
				return os.WriteFile(filepath.Join(d.Checkpoints(), newest, "pytorch_model.bin"), nil, 0o600)
			},
			audit: newest + "/pytorch_model.bin: the manifest does not name it",
			from:  30, // a service reads what is named
			stays: true,
		},
		{
			name:   "latest names the oldest",
			change: func(d rundir.Dir) error { return relink(d, oldest) },
			audit:  "latest: it names " + oldest + ", and the newest is " + newest,
			from:   30,
		},
		{
			name:   "a service was killed before latest named the newest",
			change: func(d rundir.Dir) error { return relink(d, middle) },
			from:   30,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *whole
			s.t, s.dir = t, rundir.Dir(t.TempDir())
			copyAll(t, string(whole.dir), string(s.dir))
			if err := c.change(s.dir); err != nil {
				t.Fatal(err)
			}
			_, err := Audit(string(s.dir))
			if c.audit == "" && err != nil || c.audit != "" && (err == nil || !strings.Contains(err.Error(), c.audit)) {
				t.Errorf("the audit says %v, not %q", err, c.audit)
			}
			refused := c.from == 0 && c.note == ""
			before := s.list()
			service, err := Open(s.config())
			if refused {
				if fault := (*ledger.Fault)(nil); !errors.As(err, &fault) {
					t.Fatalf("a service opens it: %v", err)
				}
				if after := s.list(); after != before {
					t.Errorf("it left\n%s\nof\n%s", after, before)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			from := service.step()
			if err := service.Close(); err != nil {
				t.Error(err)
			}
			if from != c.from {
				t.Errorf("it goes on from step %d", from)
			}
			if c.stays {
				if _, err := Audit(string(s.dir)); err == nil || !strings.Contains(err.Error(), c.audit) {
					t.Errorf("afterwards the audit says %v", err)
				}
				return
			}
			notes := s.audit().Account.Notes
			if c.note == "" && len(notes) > 0 || c.note != "" && (len(notes) != 1 || !strings.Contains(notes[0].Text, c.note)) {
				t.Errorf("notes %+v", notes)
			}
		})
	}
}

func relink(d rundir.Dir, to string) error {
	path := filepath.Join(d.Checkpoints(), latestLink)
	return errors.Join(os.Remove(path), os.Symlink(to, path))
}

func copyAll(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// list names all files of the run with their sizes.
func (s *serving) list() string {
	s.t.Helper()
	var b strings.Builder
	for _, dir := range []string{s.dir.Ledger(), s.dir.Checkpoints()} {
		err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
			if err == nil {
				b.WriteString(path + " " + info.Mode().String() + "\n")
			}
			return nil
		})
		if err != nil {
			s.t.Error(err)
		}
	}
	return b.String()
}
