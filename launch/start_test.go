package launch

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/endpoint"
)

// TestStopWhileServicesAreWaitedFor stops a run, and kills one, whose NATS takes
// connections and says nothing.
func TestStopWhileServicesAreWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(x *trial)
		want error
	}{
		"stop": {func(x *trial) { close(x.stop) }, ErrStopped},
		"kill": {func(x *trial) { close(x.kill) }, ErrKilled},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			came := make(chan struct{})
			go func() {
				for first := true; ; first = false {
					if _, err := l.Accept(); err != nil {
						return
					}
					if first {
						close(came)
					}
				}
			}()
			defer l.Close()
			x := newTrial(t)
			mute := l.Addr().String()
			x.options.Shared = &endpoint.Endpoint{Run: "r", Etcd: []string{"http://" + mute}, NATS: "nats://" + mute, Shared: true}
			go func() { x.ended <- Run(t.Context(), x.options) }()
			select {
			case <-came:
			case <-time.After(patience):
				t.Fatal("NATS is not looked for")
			}
			c.end(x)
			if err := x.end(); !errors.Is(err, c.want) {
				t.Errorf("it ends with %v", err)
			}
			if _, err := os.Stat(x.options.Dir.Cluster()); err == nil {
				t.Error("files of the cluster are left")
			}
		})
	}
}
