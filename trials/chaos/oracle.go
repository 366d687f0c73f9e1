package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/trials/chaos/cluster"
)

// The files that hold the state of a run.
const (
	modelFile     = "model.safetensors"
	optimizerFile = "optimizer.safetensors"
)

// sum is the SHA-256 of a file of the newest checkpoint of a run, in hex.
func sum(run rundir.Dir, name string) (string, error) {
	f, err := checkpoint.HashFile(filepath.Join(run.Checkpoints(), "latest", name))
	if err != nil {
		return "", fmt.Errorf("hash of %s: %w", name, err)
	}
	return f.SHA256, nil
}

// sameBits compares a file of the newest checkpoints of two runs.
func sameBits(name string, undisturbed, disturbed rundir.Dir) (Check, string) {
	c := Check{Name: "same " + name}
	want, err := sum(undisturbed, name)
	got, err2 := sum(disturbed, name)
	switch {
	case err != nil:
		c.Found = "of the undisturbed run: " + err.Error()
	case err2 != nil:
		c.Found = err2.Error()
	case got != want:
		c.Found = fmt.Sprintf("SHA-256 %.16s…, undisturbed %.16s…", got, want)
	default:
		c.Found, c.OK = "SHA-256 "+got, true
	}
	return c, got
}

// audit verifies a run offline.
func audit(name string, run rundir.Dir) (Check, *ledger.Account) {
	report, err := checkpoint.Audit(string(run))
	if err != nil {
		return Check{Name: name, Found: strings.ReplaceAll(err.Error(), "\n", "; ")}, nil
	}
	c := Check{Name: name, Found: fmt.Sprintf("%s and %s verified", words.Several(report.Account.Entries, "entry"), words.Several(len(report.Checkpoints), "checkpoint")), OK: true}
	if len(report.SetAside) > 0 {
		c.OK, c.Found = false, "found damaged and set aside: "+strings.Join(report.SetAside, ", ")
	}
	return c, report.Account
}

// counted checks that a ledger tells of every step and sample once. lost are steps
// that were seen to be lost, in as many falls: only those may have been committed
// twice. Between two looks at the status some more may have passed.
func counted(a *ledger.Account, spec runspec.Spec, lost uint64, falls int) []Check {
	samples := spec.Steps * uint64(spec.Batch.Rows) * uint64(spec.Batch.MicroBatches)
	most := uint64(0)
	if falls > 0 {
		most = lost + spec.Steps/20*uint64(falls) + uint64(falls)
	}
	return []Check{
		{"every step in the ledger", fmt.Sprintf("%d of %d", a.Steps, spec.Steps), a.Steps == spec.Steps},
		{"every sample in the ledger, once", fmt.Sprintf("%d of %d", a.Samples, samples), a.Samples == samples},
		{"no step repeated but those that were lost", fmt.Sprintf("%d repeated; %d seen to be lost, %s", a.Repeated, lost, words.Several(falls, "time")), a.Repeated <= most},
	}
}

// outages checks that training does not depend on etcd, and that no worker that
// lives is let go while a service is away. In a ring through NATS a worker whose
// server died may be taken for dead before it is at another.
func outages(faults []Record, ring string, slowest time.Duration) []Check {
	still := Check{Name: "steps go on while etcd is away", OK: true}
	kept := Check{Name: "nobody is let go for a service that is away", OK: true}
	n, all := 0, 0
	for _, f := range faults {
		if f.Kind.serves() == "" {
			continue
		}
		all++
		if len(f.ThrownOut) > 0 && (ring != wire.RingBroker || f.Kind.serves() == cluster.Etcd) {
			kept.OK = false
			kept.Found += fmt.Sprintf("fault %d: %s; ", f.N, strings.Join(f.ThrownOut, ", "))
		}
		if f.Kind.serves() == cluster.Etcd {
			n++
			if time.Duration(f.HoldMS)*time.Millisecond > time.Second+2*slowest && f.Meanwhile == 0 {
				still.OK = false
				still.Found += fmt.Sprintf("fault %d: no step in %.0f ms; ", f.N, f.HoldMS)
			}
		}
	}
	if all == 0 {
		return nil
	}
	if still.OK {
		still.Found = "of " + words.Several(n, "time")
	}
	if kept.OK {
		kept.Found = "of " + words.Several(all, "time")
	}
	return []Check{still, kept}
}

// energyOf compares what two runs cost.
func energyOf(undisturbed, disturbed *ledger.Account) *Energy {
	const joule = 1e6
	e := &Energy{
		Undisturbed: float64(undisturbed.Total) / joule, Disturbed: float64(disturbed.Total) / joule,
		Wasted: float64(disturbed.Wasted) / joule, LostWork: float64(disturbed.LostWork) / joule, Guessed: float64(disturbed.Share),
		ByPhase: map[energy.Phase]float64{},
	}
	for phase, uj := range disturbed.ByPhase {
		e.ByPhase[phase] = float64(uj) / joule
	}
	return e
}

// nothingLeft checks that no process, socket, port or file of the cluster of a run
// is there any more.
func nothingLeft(run rundir.Dir, token string, hosts []string, within time.Duration) []Check {
	out := []Check{
		found("no process left", outlasting(token, within)),
		found("no port left", slices.DeleteFunc(slices.Clone(hosts), func(host string) bool {
			conn, err := net.DialTimeout("tcp", host, time.Second)
			return err != nil || conn.Close() != nil
		})),
	}
	return append(out, found("no socket or file of the cluster left", slices.DeleteFunc(append(run.SocketFolders(), run.Cluster()), func(path string) bool {
		_, err := os.Lstat(path)
		return errors.Is(err, fs.ErrNotExist)
	})))
}

func found[T any](name string, left []T) Check {
	if len(left) == 0 {
		return Check{name, "none", true}
	}
	return Check{name, fmt.Sprint(left), false}
}
