//go:build cgo

package clustertest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gramme-project/gramme/internal/endpoint"
)

var buildTrial = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-o", filepath.Join(root, "trialcluster"), "../../cmd/internal/trialcluster")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build trialcluster: %w\n%s", err, out)
	}
	return nil
})

// member is how the cluster tells of each process.
var member = regexp.MustCompile(`(?m)^(\w+-\d): .*process (\d+)$`)

// shared is a cluster of etcd and NATS that is not the run's own.
type shared struct {
	*site
	environ []string       // what names it to a command
	pids    map[string]int // by the name of the member
}

// newShared starts one. It ends before the site does.
func newShared(s *site) *shared {
	s.Helper()
	if err := buildTrial(); err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root, "trialcluster"))
	cmd.Env = append(os.Environ(), "TMPDIR="+s.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	var told buffer
	cmd.Stderr = &told
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			s.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			s.Errorf("the cluster ended with %v\n%s", err, told.String())
		}
	})
	flags, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Fatalf("no cluster: %v\n%s", err, told.String())
	}
	c := &shared{site: s, pids: map[string]int{}}
	words := strings.Fields(flags)
	for i := 0; i+1 < len(words); i += 2 {
		name := strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(words[i], "--"), "-", "_"))
		c.environ = append(c.environ, "GRAMME_"+name+"="+words[i+1])
	}
	s.until("all members are told", patience, func() bool { // on another pipe
		for _, m := range member.FindAllStringSubmatch(told.String(), -1) {
			if c.pids[m[1]], err = strconv.Atoi(m[2]); err != nil {
				s.Fatal(err)
			}
		}
		return len(c.pids) == 6
	})
	return c
}

// on starts a command that uses the cluster.
func (c *shared) on(args ...string) *running {
	c.Helper()
	cmd := c.command(args...)
	cmd.Env = append(cmd.Env, c.environ...)
	return c.start(cmd)
}

func (c *shared) value(name string) string {
	for _, pair := range c.environ {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			return v
		}
	}
	return ""
}

// keys are those in etcd, of all runs.
func (c *shared) keys() (all []string) {
	c.Helper()
	e := endpoint.Endpoint{
		Run: "none", Etcd: strings.Split(c.value("GRAMME_ETCD"), ","), NATS: c.value("GRAMME_NATS"), Shared: true,
		TLS: endpoint.Files{CA: c.value("GRAMME_TLS_CA"), Cert: c.value("GRAMME_TLS_CERT"), Key: c.value("GRAMME_TLS_KEY")},
	}
	client, err := e.DialEtcd(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	defer client.Close()
	r, err := client.Get(c.Context(), "", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		c.Fatal(err)
	}
	for _, kv := range r.Kvs {
		all = append(all, string(kv.Key))
	}
	return all
}
