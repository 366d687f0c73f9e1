package membus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
)

// Delivery is a message on its way to one subscriber. The names are those of Connect.
type Delivery struct {
	From, To string
	Message  *bus.Message
}

// Fate is what becomes of a delivery. The zero value delivers it at once.
type Fate struct {
	Drop   bool
	Delay  time.Duration
	Copies int // that come after it
}

// Server is what connections share.
type Server struct {
	mu      sync.Mutex
	targets []*target // in the order in which they subscribed
	fate    func(Delivery) Fate
	apart   map[string]bool // names on the other side of the partition
	calls   map[string]*call
	inboxes int
	turn    int // of the groups, whose subscribers take turns
}

// target is one subject of a subscription.
type target struct {
	conn    *Conn
	pattern string
	queue   string
	take    func(*bus.Message)
	late    map[*Conn][]delayed // by publisher, in its order
}

// delayed is a message that is held up.
type delayed struct {
	message *bus.Message
	due     time.Time
}

// call is a request that waits for its answer.
type call struct {
	*target
	none chan struct{} // closed: nobody subscribes to its subject
}

// New returns a server without connections.
func New() *Server {
	return &Server{fate: func(Delivery) Fate { return Fate{} }, calls: map[string]*call{}}
}

// Connect makes a connection. Several may have the same name.
func (s *Server) Connect(name string) *Conn {
	return &Conn{server: s, name: name, closed: make(chan struct{}), up: closed()}
}

// SetFate lets f decide on each delivery from now on. The server waits for it: it must
// not use the bus.
func (s *Server) SetFate(f func(Delivery) Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fate = f
}

// Partition separates the connections of some names from all others, until the next
// call: neither side sees subscriptions of the other. Without names there is no
// partition.
func (s *Server) Partition(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apart = map[string]bool{}
	for _, name := range names {
		s.apart[name] = true
	}
}

// route sends a message to those that subscribe to its subject. s.mu is held.
func (s *Server) route(from *Conn, m *bus.Message) {
	groups := map[string][]*target{}
	found := false
	for _, t := range s.targets {
		if t.conn.down || s.apart[from.name] != s.apart[t.conn.name] || !matches(t.pattern, m.Subject) {
			continue
		}
		found = true
		if t.queue != "" {
			groups[t.queue] = append(groups[t.queue], t)
			continue
		}
		s.send(from, t, m)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		s.turn++
		s.send(from, groups[name][s.turn%len(groups[name])], m)
	}
	if c := s.calls[m.Reply]; !found && c != nil {
		delete(s.calls, m.Reply)
		close(c.none)
	}
	if c := s.calls[m.Subject]; c != nil && !c.conn.down && s.apart[from.name] == s.apart[c.conn.name] {
		s.send(from, c.target, m)
	}
}

// send brings a message on its way to a subscriber. s.mu is held.
func (s *Server) send(from *Conn, t *target, m *bus.Message) {
	fate := s.fate(Delivery{From: from.name, To: t.conn.name, Message: m})
	if fate.Drop {
		return
	}
	waiting := t.late[from]
	for range 1 + fate.Copies {
		if fate.Delay <= 0 && len(waiting) == 0 {
			t.deliver(m)
			continue
		}
		due := time.Now().Add(fate.Delay)
		if n := len(waiting); n > 0 && waiting[n-1].due.After(due) {
			due = waiting[n-1].due
		}
		waiting = append(waiting, delayed{m, due})
		time.AfterFunc(time.Until(due), func() { s.release(from, t) })
	}
	if t.late == nil {
		t.late = map[*Conn][]delayed{}
	}
	t.late[from] = waiting
}

// release delivers what has been held up long enough.
func (s *Server) release(from *Conn, t *target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, now := t.late[from], time.Now()
	for len(waiting) > 0 && !waiting[0].due.After(now) {
		if !t.conn.down {
			t.deliver(waiting[0].message)
		}
		waiting = waiting[1:]
	}
	t.late[from] = waiting
}

// deliver hands a copy to the subscriber, as that of its connection.
func (t *target) deliver(m *bus.Message) {
	own := *m
	own.Via = t.conn
	t.take(&own)
}

// inbox returns a subject that nobody else uses. s.mu is held.
func (s *Server) inbox() string {
	s.inboxes++
	return fmt.Sprintf("_INBOX.%d", s.inboxes)
}

// matches says whether a subject is one that a pattern names.
func matches(pattern, subject string) bool {
	parts, want := strings.Split(subject, "."), strings.Split(pattern, ".")
	for i, w := range want {
		switch {
		case w == ">":
			return len(parts) > i
		case i >= len(parts), w != "*" && w != parts[i]:
			return false
		}
	}
	return len(parts) == len(want)
}

// closed returns a closed channel.
func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
