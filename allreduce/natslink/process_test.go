package natslink

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/allreduce"
)

// roleVariable makes this binary a rank of a ring instead of a test.
const roleVariable = "GRAMME_NATSLINK_RANK"

// bootVariable is the boot ID that a rank believes in: with the same, ranks share memory.
const bootVariable = "GRAMME_NATSLINK_BOOT"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// order is what the parent tells a child, once it knows the child's URL.
type order struct {
	Session Session
	Broker  string // URL; "" is by mailbox
	Words   int
	Sum     allreduce.Sum
	Window  int
	Chunk   int
}

// child is one rank in its own process: it says its URL, takes an order, and
// reduces once for every line that comes, until the input ends.
func child() error {
	m, err := Open(Options{Secret: secret, Boot: os.Getenv(bootVariable)})
	if err != nil {
		return err
	}
	defer m.Close()
	fmt.Println(m.URL())
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	var o order
	if err := json.Unmarshal(in.Bytes(), &o); err != nil {
		return err
	}
	link, err := o.connect(m)
	if err != nil {
		return err
	}
	defer link.Close()
	ring, err := o.ring(link)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	own, result := make([]int32, o.Words), make([]int32, o.Words)
	for i := range own {
		own[i] = int32(i) // pages of its own, as a gradient has
	}
	for step := uint64(1); in.Scan(); step++ {
		if err := ring.AllReduce(context.Background(), step, own, result); err != nil {
			return err
		}
	}
	return in.Err()
}

func (o order) connect(m *Mailbox) (allreduce.Link, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if o.Broker == "" {
		return m.Connect(ctx, o.Session)
	}
	conn, err := nats.Connect(o.Broker)
	if err != nil {
		return nil, err
	}
	return ConnectThroughBroker(ctx, conn, o.Session)
}

func (o order) ring(link allreduce.Link) (*allreduce.Ring, error) {
	return allreduce.New(allreduce.Config{
		Run: o.Session.Run, Generation: o.Session.Generation, Rank: o.Session.Rank, World: o.Session.World,
		Sum: o.Sum, ChunkWords: o.Chunk, Window: o.Window,
	}, link)
}

// process is a child as the parent sees it.
type process struct {
	*exec.Cmd
	url string
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t testing.TB, boot string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0])}
	p.Env = append(os.Environ(), roleVariable+"=1", bootVariable+"="+boot)
	var stderr bytes.Buffer
	p.Stderr = &stderr
	var err1, err2 error
	p.in, err1 = p.StdinPipe()
	out, err2 := p.StdoutPipe()
	if err := errors.Join(err1, err2, p.Start()); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	t.Cleanup(func() {
		p.in.Close()
		_ = p.Process.Signal(syscall.SIGCONT)
		_ = p.Process.Kill()
		_ = p.Wait()
		if t.Failed() {
			t.Logf("child: %s", stderr.String())
		}
	})
	p.url = p.line(t)
	return p
}

func (p *process) line(t testing.TB) string {
	t.Helper()
	s, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatal("child said nothing: ", err)
	}
	return s[:len(s)-1]
}

func (p *process) tell(t testing.TB, v any) {
	t.Helper()
	if err := json.NewEncoder(p.in).Encode(v); err != nil {
		t.Fatal(err)
	}
}

// bothWays runs a test over NATS, and through memory.
func bothWays(t *testing.T, test func(t *testing.T, boot string)) {
	t.Run("NATS", func(t *testing.T) { test(t, "") })
	t.Run("memory", func(t *testing.T) { test(t, boot) })
}

// TestProcessKilled kills the process of rank 1 with SIGKILL in the middle of a
// reduction: both neighbours must see it.
func TestProcessKilled(t *testing.T) { bothWays(t, processKilled) }

func processKilled(t *testing.T, boot string) {
	victim, boxes := start(t, boot), openOn(t, 2, boot)
	urls := []string{boxes[0].URL(), victim.url, boxes[1].URL()}
	o := order{Words: 1 << 20, Chunk: 1 << 10, Window: 8}
	session := func(rank int) Session {
		return Session{Run: "test", Generation: 1, Rank: rank, World: 3, Previous: urls[(rank+2)%3], Next: urls[(rank+1)%3]}
	}
	o.Session = session(1)
	victim.tell(t, o)
	ranks := []int{0, 2}
	links := join(t, 2, func(ctx context.Context, i int) (allreduce.Link, error) {
		return boxes[i].Connect(ctx, session(ranks[i]))
	})
	if s := victim.line(t); s != "ready" {
		t.Fatal(s)
	}
	victim.tell(t, "reduce")
	errs, reduced := make(chan error, 2), make(chan struct{}, 2)
	for i, rank := range ranks {
		defer links[i].Close()
		o.Session = session(rank)
		ring, err := o.ring(links[i])
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			own, result := make([]int32, o.Words), make([]int32, o.Words)
			var err error
			for step := uint64(1); err == nil && step < 1000; step++ {
				err = ring.AllReduce(t.Context(), step, own, result) // step 2 waits for a child that does not come
				if step == 1 {
					reduced <- struct{}{}
				}
			}
			errs <- err
		}()
	}
	for range ranks {
		<-reduced
	}
	killed := time.Now()
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		select {
		case <-l.Lost():
			t.Logf("seen after %v: %v", time.Since(killed), l.Err())
		case <-time.After(5 * time.Minute):
			t.Fatal("a killed neighbour is not seen")
		}
		var peer *allreduce.PeerError
		if err := l.Err(); !errors.Is(err, allreduce.ErrLost) || !errors.As(err, &peer) || peer.Rank != 1 {
			t.Errorf("not the loss of rank 1: %v", err)
		}
	}
	for range ranks {
		if err := <-errs; !errors.Is(err, allreduce.ErrLost) {
			t.Errorf("the reduction does not say that a rank is lost: %v", err)
		}
	}
}

// TestProcessFrozen stops the process of the other rank: nothing is lost, so the
// context must end a send that the full socket, or the full memory, holds up, and the
// link must still close.
func TestProcessFrozen(t *testing.T) { bothWays(t, processFrozen) }

func processFrozen(t *testing.T, boot string) {
	frozen, boxes := start(t, boot), openOn(t, 1, boot)
	o := order{Words: 32 << 20, Window: allreduce.MaxWindow}
	o.Session = Session{Run: "test", Generation: 1, Rank: 1, World: 2, Previous: boxes[0].URL(), Next: boxes[0].URL()}
	frozen.tell(t, o)
	o.Session = Session{Run: "test", Generation: 1, Rank: 0, World: 2, Previous: frozen.url, Next: frozen.url}
	link, err := o.connect(boxes[0])
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	ring, err := o.ring(link)
	if err != nil {
		t.Fatal(err)
	}
	if s := frozen.line(t); s != "ready" {
		t.Fatal(s)
	}
	if err := frozen.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- ring.AllReduce(ctx, 1, make([]int32, o.Words), make([]int32, o.Words)) }()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not the deadline: %v", err)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("a frozen neighbour holds up the reduction")
	}
}

// TestNeighbourAbsent connects to neighbours that are not there.
func TestNeighbourAbsent(t *testing.T) {
	boxes := openMailboxes(t, 3).(mailboxes)
	gone := boxes[1].URL()
	boxes.Kill(1)
	for _, c := range []struct {
		name     string
		previous string
		next     string
		lost     bool
	}{
		{"not in this generation", boxes[2].URL(), boxes[2].URL(), false},
		{"next is gone", boxes[2].URL(), gone, true},
		{"previous is gone", gone, boxes[2].URL(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			within := 100 * time.Millisecond
			if c.lost {
				within = 5 * time.Minute
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			_, err := boxes[0].Connect(ctx, Session{Run: "test", Generation: 1, Rank: 0, World: 3, Previous: c.previous, Next: c.next})
			if want := context.DeadlineExceeded; !c.lost && !errors.Is(err, want) {
				t.Errorf("%v, not %v", err, want)
			}
			var peer *allreduce.PeerError
			if c.lost && (!errors.Is(err, allreduce.ErrLost) || !errors.As(err, &peer) || ctx.Err() != nil) {
				t.Errorf("not at once the loss of a rank: %v", err)
			}
		})
	}
	if _, err := boxes[0].Connect(t.Context(), Session{Run: "a.b", World: 2}); err == nil {
		t.Error("a run that is no token of a subject is accepted")
	}
}

func TestSecretIsAsked(t *testing.T) {
	box := openMailboxes(t, 1).(mailboxes)[0]
	for _, options := range [][]nats.Option{nil, {nats.Token("guess")}} {
		if conn, err := nats.Connect(box.URL(), options...); err == nil {
			conn.Close()
			t.Error("a stranger gets in")
		}
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("a mailbox without a secret opens")
	}
	if _, err := Open(Options{Secret: secret, Host: "192.0.2.1"}); err == nil {
		t.Error("a mailbox opens on an address that this machine does not have")
	}
}
