package natslink

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/allreduce"
)

const (
	// maxPayload is the most that NATS recommends, far above a frame.
	maxPayload = 8 << 20
	// maxPending is how much the server holds for a client before it disconnects it:
	// far above any window.
	maxPending = 512 << 20
	// writeDeadline is long: a worker whose cores are busy is slow, not lost.
	writeDeadline = time.Minute
	startTimeout  = 10 * time.Second
)

// Options of a mailbox.
type Options struct {
	Host   string // address to listen on, as the other workers reach it; "" is 127.0.0.1
	Secret string // required of every client; the same in the whole run
	TLS    bool   // encrypt, and let neighbours verify this mailbox by its certificate
	Dial   Dial   // how neighbours are reached; nil is net.Dialer
	// Boot is the boot ID of this machine. Frames between workers of one machine and one
	// user go through memory that both map, if that is possible. "": none do.
	Boot string
	// Silence is how long a neighbour may be silent before it counts as lost
	// (allreduce.ErrSilent): while it connects, and later when nothing moves on the
	// connection. 0 is ten seconds.
	Silence time.Duration
}

// Dial connects as net.Dialer does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Mailbox is this worker's own NATS server: everything that its neighbours send to it,
// in any generation, comes here.
type Mailbox struct {
	secret  string
	dial    Dial
	boot    string
	silence time.Duration
	url     string
	server  *server.Server
}

// Open starts a mailbox on a free port. It writes nothing to disk and nothing
// to the standard streams.
func Open(o Options) (*Mailbox, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Secret == "" {
		return nil, errors.New("open mailbox: no secret")
	}
	// The server would only log why it cannot listen: try that first.
	probe, err := net.Listen("tcp", net.JoinHostPort(o.Host, "0"))
	if err != nil {
		return nil, fmt.Errorf("open mailbox: %w", err)
	}
	if err := probe.Close(); err != nil {
		return nil, fmt.Errorf("open mailbox: %w", err)
	}
	options := &server.Options{
		Host: o.Host, Port: server.RANDOM_PORT, Authorization: o.Secret,
		NoLog: true, NoSigs: true, NoSystemAccount: true,
		MaxPayload: maxPayload, MaxPending: maxPending, WriteDeadline: writeDeadline,
	}
	scheme, fragment := "nats://", ""
	if o.TLS {
		pair, pin, err := certificate()
		if err != nil {
			return nil, fmt.Errorf("open mailbox: %w", err)
		}
		options.TLS, options.TLSTimeout = true, startTimeout.Seconds()
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
		scheme, fragment = "tls://", "#"+pin
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("open mailbox: %w", err)
	}
	go s.Start() // returns once it listens; Close joins what it started
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, fmt.Errorf("open mailbox on %s: not ready after %v", o.Host, startTimeout)
	}
	port := s.Addr().(*net.TCPAddr).Port
	return &Mailbox{
		secret: o.Secret, dial: o.Dial, boot: o.Boot, silence: cmp.Or(o.Silence, startTimeout), server: s,
		url: scheme + net.JoinHostPort(o.Host, strconv.Itoa(port)) + fragment,
	}, nil
}

// URL returns the address for neighbours. It does not hold the secret.
func (m *Mailbox) URL() string { return m.url }

// Dial returns how this worker reaches others; nil is net.Dialer.
func (m *Mailbox) Dial() Dial { return m.dial }

// Close ends the mailbox; neighbours see this worker as lost. Its links should be
// closed before.
func (m *Mailbox) Close() {
	m.server.Shutdown()
	m.server.WaitForShutdown()
}

// Connect joins the ring of one generation and returns once both neighbours are
// present, or with an error when ctx ends or a neighbour is gone: then a
// *allreduce.PeerError names it.
func (m *Mailbox) Connect(ctx context.Context, s Session) (allreduce.Link, error) {
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("connect ring: %w", err)
	}
	l := newLink(s)
	if err := l.connect(ctx, m); err != nil {
		l.Abort(err)
		return nil, fmt.Errorf("connect ring of generation %d: %w", s.Generation, err)
	}
	return l, nil
}

func (l *link) connect(ctx context.Context, m *Mailbox) error {
	own, err := nats.Connect("", nats.InProcessServer(m.server), nats.Token(m.secret),
		nats.Name(l.session.name("own")), nats.NoReconnect(), nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { l.loseOwnConnection("to the own mailbox") }))
	if err != nil {
		return fmt.Errorf("own mailbox: %w", err)
	}
	l.own, l.release = own, own.Close
	if m.boot != "" {
		l.listenForMemory(m.boot)
	}
	if err := l.subscribe(); err != nil {
		return err
	}
	errs := make(chan error, len(l.sides))
	for i := range l.sides {
		go func() { errs <- l.sides[i].dial(ctx, l, m) }()
	}
	for range l.sides {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return err
	}
	if err := l.waitForNeighbours(ctx); err != nil {
		return err
	}
	if m.boot == "" {
		return nil
	}
	return l.openMemory(ctx, m.boot)
}
