// Package clusterflags are the flags that say where etcd and NATS of a run are,
// the same for every command that needs them.
//
// A value that is not given as a flag is taken from the environment: GRAMME_ETCD for
// --etcd, and so on. Passwords are taken from there only, as every user of a
// machine sees the flags of all processes.
package clusterflags

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/etcdstore"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/runspec"
)

// dialWithin bounds how long a command looks for services that do not answer.
const dialWithin = 20 * time.Second

// runID is the flag that names a run where no folder does.
const runID = "run-id"

// flags are the names, in the order in which Command prints them, with their
// help.
var flags = []struct{ name, help string }{
	{"etcd", "`URLs` of an etcd cluster, separated by commas"},
	{"nats", "`URLs` of a NATS cluster, separated by commas"},
	{"tls-ca", "PEM `file` with the certificate authority of etcd and NATS"},
	{"tls-cert", "PEM `file` with the certificate of this client"},
	{"tls-key", "PEM `file` with the key of that certificate"},
	{"nats-creds", "credentials `file` of a NATS user"},
}

// Flags are the cluster flags of one command.
type Flags struct {
	command *cobra.Command
	values  map[string]*string
	joins   bool // --run-id belongs to them
}

// Add adds the flags to a command that uses services which exist.
func Add(c *cobra.Command) *Flags {
	f := &Flags{command: c, values: map[string]*string{}}
	for _, d := range flags {
		f.values[d.name] = c.Flags().String(d.name, "", d.help)
	}
	return f
}

// AddJoin adds them, and --run-id, to a command that needs no folder of the run.
func AddJoin(c *cobra.Command) *Flags {
	f := Add(c)
	f.values[runID] = c.Flags().String(runID, "", "`name` of the run, if its folder is not on this machine")
	f.joins = true
	return f
}

func variable(flag string) string {
	return "GRAMME_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func (f *Flags) value(name string) string {
	if v := f.values[name]; v == nil {
		return ""
	} else if f.command.Flags().Changed(name) {
		return *v
	}
	return os.Getenv(variable(name))
}

// OnCommandLine reports whether a flag, and not only the environment, names
// services or a run of theirs.
func (f *Flags) OnCommandLine() bool {
	given := f.command.Flags()
	return given.Changed("etcd") || given.Changed("nats") || f.joins && given.Changed(runID)
}

// Given reports whether flags or environment name services.
func (f *Flags) Given() bool { return f.value("etcd") != "" || f.value("nats") != "" }

// Endpoint returns the endpoint of a run by the flags, without the run's secret.
func (f *Flags) Endpoint(run string) (endpoint.Endpoint, error) {
	usage := func(hint string, err error) (endpoint.Endpoint, error) {
		return endpoint.Endpoint{}, exit.Wrap(exit.Usage, hint, err)
	}
	for _, name := range []string{"etcd", "nats"} {
		if f.value(name) == "" {
			return usage("give both --etcd and --nats, or neither", fmt.Errorf("--%s is missing", name))
		}
		if f.command.Flags().Changed(name) && holdsPassword(*f.values[name]) {
			return usage("every user of this machine can see it there: set "+variable(name)+" in the environment",
				fmt.Errorf("--%s contains a password", name))
		}
	}
	e := endpoint.Endpoint{
		Run: run, Etcd: strings.Split(f.value("etcd"), ","), NATS: f.value("nats"), Shared: true,
	}
	for _, p := range []struct {
		flag string
		to   *string
	}{{"tls-ca", &e.TLS.CA}, {"tls-cert", &e.TLS.Cert}, {"tls-key", &e.TLS.Key}, {"nats-creds", &e.Credentials}} {
		text := f.value(p.flag)
		if text == "" {
			continue
		}
		path, err := filepath.Abs(text) // it is used from other folders
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return usage("name a file that this user can read", fmt.Errorf("--%s: %w", p.flag, err))
		}
		*p.to = path
	}
	if err := e.Validate(); err != nil {
		return usage("for example --etcd https://etcd1:2379,https://etcd2:2379 --nats tls://nats1:4222", err)
	}
	return e, nil
}

func holdsPassword(list string) bool {
	for text := range strings.SplitSeq(list, ",") {
		if u, err := url.Parse(text); err == nil && u.User != nil {
			return true
		}
	}
	return false
}

// Run returns the name of the run that flags, environment or a folder give.
func (f *Flags) Run(dir rundir.Dir) (string, error) {
	if name := f.value(runID); name != "" && f.joins {
		return name, nil
	}
	if dir != "" {
		spec, err := runspec.Read(dir.Spec())
		if err == nil {
			return spec.Run, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", exit.Wrap(exit.Usage, "give --run-id; `gramme up` prints it", errors.New("the name of the run is missing"))
}

// Find returns the endpoint, secret included, of the run that a process shall be
// a part of: by flags, by GRAMME_ENDPOINT, by the variables for the flags, or by
// the folder of a run that is up on this machine.
func (f *Flags) Find(ctx context.Context, say waiting.Say, dir rundir.Dir) (endpoint.Endpoint, error) {
	e, err := endpoint.FromEnviron(os.Environ())
	if !f.OnCommandLine() && !errors.Is(err, endpoint.ErrNotSet) {
		return e, exit.Wrap(exit.Usage, JoinHint, err)
	}
	if !f.Given() {
		if dir != "" {
			if e, err := endpoint.ReadFile(dir.Endpoint()); err == nil {
				return e, nil
			}
		}
		return e, exit.Wrap(exit.Usage, JoinHint, err)
	}
	run, err := f.Run(dir)
	if err != nil {
		return e, err
	}
	if e, err = f.Endpoint(run); err != nil {
		return e, err
	}
	err = waiting.For(ctx, say, "etcd to answer", dialWithin, func(ctx context.Context) error {
		e, err = etcdstore.WithSecret(ctx, e)
		return err
	})
	if errors.Is(err, membership.ErrNoRun) {
		return e, exit.Wrap(exit.Usage, "`gramme up` prints the command that joins a worker on another machine", err)
	}
	return e, exit.Wrap(exit.Resource, "check that etcd answers there, and that it accepts the certificates", err)
}

// JoinHint is the hint for a process that does not know its cluster.
const JoinHint = "`gramme up` starts this process itself; on another machine, give --etcd, --nats and --run-id as `gramme up` prints them, or GRAMME_ENDPOINT"

// Command is the command that joins a worker to a run from another machine, on which the
// program has the same name.
func Command(program string, e endpoint.Endpoint) string {
	command := []string{program, "worker", "--" + runID, e.Run}
	add := func(flag, value string) {
		if value != "" {
			command = append(command, "--"+flag, value)
		}
	}
	if !holdsPassword(strings.Join(e.Etcd, ",")) {
		add("etcd", strings.Join(e.Etcd, ","))
	}
	if !holdsPassword(e.NATS) {
		add("nats", e.NATS)
	}
	add("tls-ca", e.TLS.CA)
	add("tls-cert", e.TLS.Cert)
	add("tls-key", e.TLS.Key)
	add("nats-creds", e.Credentials)
	return words.Command(command...)
}
