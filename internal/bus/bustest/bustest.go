// Package bustest is the conformance suite of bus.Conn: what every adapter must do, as
// cases that its tests run.
package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
)

// Client is a connection that a case owns.
type Client interface {
	bus.Conn
	Close()
}

// Connect returns a connection to the server that all of a case share, and what takes
// it away until restore is called. It is closed with the case.
type Connect func() (c Client, interrupt func() (restore func()))

// Cases are independent of each other. Each wants a server of its own.
func Cases() map[string]func(*testing.T, Connect) {
	return map[string]func(*testing.T, Connect){
		"order of publisher and subject":              order,
		"wildcards":                                   wildcards,
		"one of a group":                              groups,
		"handlers of a subscription take turns":       turns,
		"a request is answered":                       answered,
		"nobody answers":                              unanswered,
		"a request ends with its context":             abandoned,
		"what is sent may be changed afterwards":      copied,
		"a slow subscriber loses the newest messages": slow,
		"a subscription ends":                         ends,
		"an interrupted connection comes back":        interrupted,
		"a closed connection says so":                 closed,
		"a connection closes though nobody reads":     unread,
		"all answers of many":                         gathered,
	}
}

// within bounds what should happen at once.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hear subscribes, and returns when what is published from then on comes.
func hear(t *testing.T, c bus.Conn, subjects ...string) (<-chan *bus.Message, func()) {
	t.Helper()
	messages, stop, err := bus.Channel(c, 4096, "", subjects...)
	check(t, err)
	t.Cleanup(stop)
	check(t, c.Flush(within(t)))
	return messages, stop
}

// next waits for a message.
func next(t *testing.T, messages <-chan *bus.Message) *bus.Message {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-within(t).Done():
		t.Fatal("no message comes")
		return nil
	}
}

// expect waits for messages with some data, and no others.
func expect(t *testing.T, messages <-chan *bus.Message, want ...string) {
	t.Helper()
	for _, w := range want {
		if m := next(t, messages); string(m.Data) != w {
			t.Fatalf("%s brings %q, not %q", m.Subject, m.Data, w)
		}
	}
}

func publish(t *testing.T, c bus.Conn, subject, data string) {
	t.Helper()
	check(t, c.Publish(bus.Message{Subject: subject, Data: []byte(data)}))
}

// answer responds to requests with a text.
func answer(t *testing.T, c bus.Conn, subject, text string) (stop func()) {
	t.Helper()
	stop, err := c.Subscribe(bus.Subscription{Handlers: map[string]func(*bus.Message){
		subject: func(m *bus.Message) {
			if err := m.Respond(bus.Message{Data: []byte(text), Header: m.Header}); err != nil {
				t.Error(err)
			}
		},
	}})
	check(t, err)
	t.Cleanup(stop)
	check(t, c.Flush(within(t)))
	return stop
}

func order(t *testing.T, connect Connect) {
	const publishers, each = 3, 300
	hearer, _ := connect()
	first, _ := hear(t, hearer, "a", "b")
	second, _ := hear(t, hearer, "b")
	for p := range publishers {
		c, _ := connect()
		go func() {
			for i := range each {
				for _, subject := range []string{"a", "b"} {
					if err := c.Publish(bus.Message{Subject: subject, Data: fmt.Appendf(nil, "%d %d", p, i)}); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	for messages, n := range map[<-chan *bus.Message]int{first: 2 * publishers * each, second: publishers * each} {
		newest := map[string]int{}
		for range n {
			m := next(t, messages)
			var p, i int
			if _, err := fmt.Sscanf(string(m.Data), "%d %d", &p, &i); err != nil {
				t.Fatal(err)
			}
			line := fmt.Sprintf("%s of %d", m.Subject, p)
			if newest[line] != i {
				t.Fatalf("%s: message %d after %d", line, i, newest[line]-1)
			}
			newest[line]++
		}
	}
}

func wildcards(t *testing.T, connect Connect) {
	c, _ := connect()
	one, _ := hear(t, c, "x.*.z")
	rest, _ := hear(t, c, "x.>")
	for _, subject := range []string{"x", "x.y", "x.y.z", "y.y.z", "x.y.z.z", "x.y.y"} {
		publish(t, c, subject, subject)
	}
	publish(t, c, "x.end.z", "end")
	expect(t, one, "x.y.z", "end")
	expect(t, rest, "x.y", "x.y.z", "x.y.z.z", "x.y.y", "end")
}

func groups(t *testing.T, connect Connect) {
	const n = 60
	heard := make(chan string, 4*n)
	for _, queue := range []string{"g", "g", "h", ""} {
		c, _ := connect()
		stop, err := c.Subscribe(bus.Subscription{Queue: queue, Handlers: map[string]func(*bus.Message){
			"s": func(m *bus.Message) { heard <- queue + " " + string(m.Data) },
		}})
		check(t, err)
		t.Cleanup(stop)
		check(t, c.Flush(within(t)))
	}
	c, _ := connect()
	var want, got []string
	for i := range n {
		publish(t, c, "s", fmt.Sprint(i))
		for _, queue := range []string{"g", "h", ""} {
			want = append(want, fmt.Sprint(queue, " ", i))
		}
	}
	for range want {
		select {
		case text := <-heard:
			got = append(got, text)
		case <-within(t).Done():
			t.Fatalf("%d of %d come", len(got), len(want))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("came: %v", got)
	}
}

func turns(t *testing.T, connect Connect) {
	c, _ := connect()
	var got []string // no lock: the race detector sees handlers that run together
	done := make(chan struct{})
	handle := func(m *bus.Message) {
		if got = append(got, string(m.Data)); len(got) == 200 {
			close(done)
		}
	}
	stop, err := c.Subscribe(bus.Subscription{Handlers: map[string]func(*bus.Message){"a": handle, "b": handle}})
	check(t, err)
	t.Cleanup(stop)
	check(t, c.Flush(within(t)))
	for i := range 100 {
		publish(t, c, "a", fmt.Sprint(i))
		publish(t, c, "b", fmt.Sprint(i))
	}
	select {
	case <-done:
	case <-within(t).Done():
		t.Fatal("messages are missing")
	}
}

func answered(t *testing.T, connect Connect) {
	server, _ := connect()
	answer(t, server, "q", "yes")
	c, _ := connect()
	m, err := c.Request(within(t), bus.Message{Subject: "q", Header: map[string]string{"Some-KEY": "v: x"}, Data: []byte("?")})
	check(t, err)
	if string(m.Data) != "yes" || m.Header["Some-KEY"] != "v: x" || len(m.Header) != 1 {
		t.Errorf("the answer is %+v", m)
	}
	messages, _ := hear(t, server, "s")
	publish(t, c, "s", "")
	if err := next(t, messages).Respond(bus.Message{}); err == nil {
		t.Error("a message that wants no answer is answered")
	}
}

func unanswered(t *testing.T, connect Connect) {
	c, _ := connect()
	server, _ := connect()
	wantsNone := func(when string) {
		t.Helper()
		if m, err := c.Request(within(t), bus.Message{Subject: "q"}); !errors.Is(err, bus.ErrNoResponders) {
			t.Errorf("%s: %v %v", when, m, err)
		}
	}
	wantsNone("before anybody subscribes")
	stop := answer(t, server, "q", "yes")
	if _, err := c.Request(within(t), bus.Message{Subject: "q"}); err != nil {
		t.Error(err)
	}
	stop()
	check(t, server.Flush(within(t)))
	wantsNone("after its end")
	answer(t, server, "q", "yes")
	server.Close()
	eventually(t, "no responders once the connection is closed", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel() // the server may not know yet that it is closed
		_, err := c.Request(ctx, bus.Message{Subject: "q"})
		return errors.Is(err, bus.ErrNoResponders)
	})
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for ctx := within(t); !holds(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("not so: %s", what)
		}
	}
}

func abandoned(t *testing.T, connect Connect) {
	c, _ := connect()
	asked, _ := hear(t, c, "q")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Request(ctx, bus.Message{Subject: "q"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the request ends with %v", err)
	}
	if err := next(t, asked).Respond(bus.Message{}); err != nil { // nobody hears it
		t.Error(err)
	}
}

func copied(t *testing.T, connect Connect) {
	c, _ := connect()
	messages, _ := hear(t, c, "s")
	data := []byte("as it was")
	check(t, c.Publish(bus.Message{Subject: "s", Data: data}))
	copy(data, "otherwise")
	expect(t, messages, "as it was")
}

func slow(t *testing.T, connect Connect) {
	const room, sent = 10, 100
	c, _ := connect()
	begun, goOn := make(chan struct{}, sent), make(chan struct{})
	got := make(chan string, sent)
	stop, err := c.Subscribe(bus.Subscription{Pending: room, Handlers: map[string]func(*bus.Message){
		"s": func(m *bus.Message) {
			begun <- struct{}{}
			<-goOn
			got <- string(m.Data)
		},
	}})
	check(t, err)
	t.Cleanup(stop)
	mark, _ := hear(t, c, "mark")
	publish(t, c, "s", "0")
	<-begun // its handler is busy from here on
	other, _ := connect()
	for i := range sent {
		publish(t, other, "s", fmt.Sprint(i+1))
	}
	publish(t, other, "mark", "all are there")
	expect(t, mark, "all are there")
	close(goOn)
	for i := range room + 1 {
		if text := <-got; text != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, text)
		}
	}
	publish(t, other, "s", "later")
	if text := <-got; text != "later" {
		t.Errorf("of what had no room %s is heard", text)
	}
}

func ends(t *testing.T, connect Connect) {
	c, _ := connect()
	begun, goOn, over := make(chan struct{}), make(chan struct{}), false
	stop, err := c.Subscribe(bus.Subscription{Handlers: map[string]func(*bus.Message){
		"s": func(*bus.Message) {
			begun <- struct{}{}
			<-goOn
			over = true
		},
	}})
	check(t, err)
	check(t, c.Flush(within(t)))
	publish(t, c, "s", "1")
	publish(t, c, "s", "2")
	<-begun
	time.AfterFunc(10*time.Millisecond, func() { close(goOn) })
	go func() { // a second handler would wait for it
		select {
		case <-begun:
		case <-t.Context().Done():
		}
	}()
	if stop(); !over {
		t.Error("a handler runs after the end of its subscription")
	}
	publish(t, c, "s", "3")
	mark, _ := hear(t, c, "mark")
	publish(t, c, "mark", "x")
	expect(t, mark, "x")
}

func interrupted(t *testing.T, connect Connect) {
	c, interrupt := connect()
	other, _ := connect()
	heard, _ := hear(t, c, "to-it")
	others, _ := hear(t, other, "of-it")
	if !c.Connected() || c.Reconnects() != 0 {
		t.Error("it does not begin connected")
	}
	publish(t, other, "to-it", "before")
	expect(t, heard, "before")
	restore := interrupt()
	eventually(t, "it is interrupted", func() bool { return !c.Connected() })
	eventually(t, "its subscription is gone", func() bool { // "meanwhile" does not come
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel() // the server may not know yet
		_, err := other.Request(ctx, bus.Message{Subject: "to-it"})
		return errors.Is(err, bus.ErrNoResponders)
	})
	publish(t, other, "to-it", "meanwhile")
	check(t, other.Flush(within(t)))
	for i := range 50 {
		publish(t, c, "of-it", fmt.Sprint(i))
	}
	restore()
	eventually(t, "it is back", c.Connected)
	if c.Reconnects() == 0 {
		t.Error("its return is not counted")
	}
	check(t, c.Flush(within(t)))
	for i := range 50 {
		expect(t, others, fmt.Sprint(i))
	}
	publish(t, other, "to-it", "after")
	expect(t, heard, "after")
}

// unread closes a connection with a channel that is full, before its stop.
func unread(t *testing.T, connect Connect) {
	c, _ := connect()
	messages, stop, err := bus.Channel(c, 1, "", "s")
	check(t, err)
	for range 5 {
		publish(t, c, "s", "unread")
	}
	next(t, messages)
	ended := make(chan struct{})
	go func() { defer close(ended); c.Close() }()
	select {
	case <-ended:
	case <-within(t).Done():
		t.Fatal("Close does not return")
	}
	stop()
}

func closed(t *testing.T, connect Connect) {
	c, _ := connect()
	messages, stop := hear(t, c, "s")
	c.Close()
	c.Close()
	if err := c.Publish(bus.Message{Subject: "s"}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if _, err := c.Request(within(t), bus.Message{Subject: "s"}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("request: %v", err)
	}
	if _, err := c.Subscribe(bus.Subscription{Handlers: map[string]func(*bus.Message){"s": func(*bus.Message) {}}}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("subscribe: %v", err)
	}
	if err := c.Flush(within(t)); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("flush: %v", err)
	}
	if c.Connected() {
		t.Error("it calls itself connected")
	}
	stop()
	select {
	case m := <-messages:
		t.Errorf("%s comes", m.Subject)
	default:
	}
}

func gathered(t *testing.T, connect Connect) {
	want := []string{"0", "1", "2"}
	for _, text := range want {
		c, _ := connect()
		answer(t, c, "q", text)
	}
	c, _ := connect()
	answers, stop, err := bus.Gather(c, 10, "q", nil)
	check(t, err)
	defer stop()
	var got []string
	for range want {
		got = append(got, string(next(t, answers).Data))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("answers are %v", got)
	}
}
