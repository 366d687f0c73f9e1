//go:build cgo

package clustertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
)

// TestOtherSettings goes on with a run under settings that it did not begin with.
func TestOtherSettings(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := copyOf(t, c)
	again := s.up(text(c.steps), "1")
	before := contents(t, string(s.run))
	for key, args := range map[string][]string{
		"seed":       {"--seed", "2"},
		"model":      {"--model", "mini"},
		"steps":      {"--steps", "7"},
		"vocab_size": {"--vocab-size", "100"},
		"batch.rows": {"--batch-rows", "3"},
		"run_id":     {"--run-id", "another"},
	} {
		s.want(s.gramme(append(again, args...)...), 2, "error: "+key+": this run began with ", "hint: to start another run, give --run another folder")
	}
	for path, was := range contents(t, string(s.run)) {
		if before[path] != was {
			t.Errorf("%s was changed by a command that was refused", path)
		}
	}
	s.want(s.gramme(append(again, "--checkpoint-keep", "1", "--log-level", "warn")...), 0)
	if spec, err := runspec.Read(s.run.Spec()); err != nil || spec.Checkpoint.Keep != 1 || spec.Log.Level != "warn" {
		t.Errorf("the spec holds keep %d, level %s, %v", spec.Checkpoint.Keep, spec.Log.Level, err)
	}
	// Neither the corpus nor the configuration has to be named again.
	s.want(s.gramme("up", "--run", "run"), 0, "are done")
	s.same(c)
}

// TestSecondUp starts the same run while it is up. It waits two seconds for the first,
// so the run is a long one.
func TestSecondUp(t *testing.T) {
	t.Parallel()
	c := long(t)
	s := newSite(t)
	up := s.up(text(c.steps), "1")
	r := s.start(s.command(up...))
	r.reaches(1)
	s.want(s.gramme(up...), 5, "in use by another process", "hint: ", "gramme status --run run` shows it")
	s.want(r.wait(), 0)
	if a := s.same(c); a.Account.Generation != 1 {
		t.Errorf("the first was disturbed: generation %d", a.Account.Generation)
	}
}

// TestRefused gives what cannot be trained on, or with. A folder that was not
// there is not there afterwards.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, dir := range []string{"empty", "pictures"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	noise := make([]byte, 100_000)
	for i, r := 0, rand.New(rand.NewPCG(1, 1)); i < len(noise); i++ {
		noise[i] = byte(r.Uint32())
	}
	s.write("nothing.txt", "")
	s.write("noise.txt", string(noise))
	s.write("pictures/a.png", string(noise))
	s.write("one.txt", "One short line.\n")
	s.write("other.yaml", "no_such_key: 1\n")
	for _, c := range []struct {
		name string
		code int
		args []string
		says string
	}{
		{"a corpus that is not there", 3, []string{"absent.txt"}, "absent.txt"},
		{"an empty file", 3, []string{"nothing.txt"}, "holds no text"},
		{"an empty folder", 3, []string{"empty"}, "holds no text"},
		{"a folder without text", 3, []string{"pictures"}, "1 file skipped by name"},
		{"random bytes", 3, []string{"noise.txt"}, "noise.txt"},
		{"too little text", 3, []string{"one.txt"}, "one.txt"},
		{"no corpus", 2, nil, "a new run needs a corpus"},
		{"an unknown key", 2, []string{"--config", "other.yaml", corpus}, `unknown key "no_such_key"`},
		{"a negative number of workers", 2, []string{"--workers", "-1", corpus}, "-1 is negative"},
		{"an unknown model", 2, []string{"--model", "enormous", corpus}, `unknown model "enormous"`},
		{"a country without a grid", 2, []string{"--energy-country", "ATL", corpus}, `"ATL"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := *s
			at.T = t
			at.want(at.gramme(append([]string{"up", "--config", "config.yaml", "--steps", "2", "--run", "run"}, c.args...)...), c.code, "hint: ", c.says)
			if _, err := os.Stat(string(at.run)); err == nil {
				t.Errorf("%s is left", at.run)
				os.RemoveAll(string(at.run))
			}
		})
	}
	// Known before the corpus is read.
	s.want(s.gramme("up", "--config", "config.yaml", "--steps", "2", "--device", "cuda", "--run", "run", corpus), 5, "device cuda", "hint: ")
	// Root may write everywhere but where the kernel lets nobody.
	s.want(s.gramme("up", "--config", "config.yaml", "--steps", "2", "--run", "/sys/gramme", corpus), 5, "/sys/gramme", "hint: ")
	s.want(s.gramme("up", "--config", "config.yaml", "--steps", "2", "--run", "one.txt/run", corpus), 2, "one.txt", "hint: ")
}

// TestCorruptShard damages the corpus of a run, and mends it.
func TestCorruptShard(t *testing.T) {
	t.Parallel()
	c := calm(t)
	s := newSite(t)
	s.must("prepare", "--out", "prepared", "--vocab-size", "256", "--max-seq", "32", corpus)
	path := filepath.Join(s.dir, "prepared", "train-00000.shard")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)/2] ^= 4
	s.write("prepared/train-00000.shard", string(bad))
	up := s.up(text(c.steps), "2")
	up[len(up)-1] = "prepared"
	for range 2 { // as a new run, and as one that goes on
		s.want(s.gramme(up...), 3, "train-00000.shard", "hint: ")
	}
	s.write("prepared/train-00000.shard", string(good))
	s.must(up...)
	s.same(c)
	// What a prepared corpus is not cannot be asked of it.
	s.run = rundir.Dir(filepath.Join(s.dir, "other"))
	s.want(s.gramme("up", "--config", "config.yaml", "--max-seq", "16", "--run", "other", "prepared"), 2,
		"max_seq: the corpus was prepared with 32, but --max-seq says 16")
}

// smallDisk returns the command before a script that may mount a disk in memory in
// a name space of its own: as root, or as root of a name space of users, where the
// system lets anybody make one.
func smallDisk(dir string) ([]string, error) {
	tried := [][]string{{"unshare", "--mount"}, {"unshare", "--user", "--map-root-user", "--mount"}}
	var errs []error
	for _, command := range tried {
		probe := exec.Command(command[0], append(command[1:], "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir)...)
		out, err := probe.CombinedOutput()
		if err == nil {
			return command, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(out))))
	}
	return nil, errors.Join(errs...)
}

// without says what is not tried here and why: in the log of the test and, as that
// is hidden when all is well, in the file that scripts/test shows at its end.
func without(t *testing.T, what string, why error) {
	t.Helper()
	if path := os.Getenv("GRAMME_TEST_NOTES"); path != "" {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = fmt.Fprintf(f, "not tried: %s: %v\n", what, why)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
	t.Skipf("%s: %v", what, why)
}

// TestFullDisk fills the disk of a run that is up, and makes room again. The disk
// is a small one in memory; what is on it is copied out in the end. Where nobody
// may mount one, a full disk is left to the tests of checkpoint, ledger, meter and
// shard, which fill one in the place of the file system.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute: every process tries for a while to get rid of its readings")
	}
	apart, err := smallDisk(t.TempDir())
	if err != nil {
		without(t, "the full disk of a run", err)
	}
	c := calm(t)
	s := newSite(t)
	const script = `set -e
mkdir run
mount -t tmpfs -o size=256m tmpfs run
"$@" & up=$!
until ls run/checkpoints/latest/manifest.json; do kill -0 $up; sleep 0.02; done >&2
head -c 1G /dev/zero >run/filler || true
code=0; wait $up || code=$?
echo "full: exit code $code"
"$1" audit run
"$1" status --run run
rm run/filler
"$@"
cp -a run kept
umount run`
	up := append([]string{binary}, s.up(text(c.steps), "1", "--checkpoint-every", "100ms")...)
	cmd := exec.Command(apart[0], append(append(apart[1:], "bash", "-c", script, "disk"), up...)...)
	like := s.command()
	cmd.Dir, cmd.Env = like.Dir, like.Env
	s.want(s.start(cmd).wait(), 0, "full: exit code 5", "no space left on device", "hint: free some disk space", fmt.Sprintf("done: %d steps", c.steps))
	s.run = rundir.Dir(filepath.Join(s.dir, "kept"))
}
