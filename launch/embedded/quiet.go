package embedded

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quieter passes warnings and errors of etcd on, but for those that say nothing:
// what etcd says of any single member on a unix socket, and, once it is closed,
// of every listener, stream and context that ends with it.
//
// What etcd cannot go on after, such as a full disk, it reports to its log as
// fatal, which would end this process there and then. Here it closes fatal, and
// the goroutine that reports it stands still: it counts on not going on.
type quieter struct {
	zapcore.Core
	closed *atomic.Bool
	*last
}

// last is the failure that etcd does not go on after.
type last struct {
	once    sync.Once
	fatal   chan struct{}
	failure error // once fatal is closed
}

// OnWrite makes it the end of a log of fatal errors.
func (l *last) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	l.once.Do(func() {
		l.failure = errors.New(e.Message)
		for _, f := range fields {
			if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
				l.failure = fmt.Errorf("%s: %w", e.Message, err)
			}
		}
		close(l.fatal)
	})
	select {}
}

// usual are the warnings that come with every start.
var usual = []string{
	"Running http and grpc server on single port",
	"simple token is not cryptographically signed",
	"check file permission",
	// The storage version is written with the first election, looked for before.
	"Failed to detect schema version",
	"failed to update storage version",
	// Of a member that was slow to apply its own entry: it stands again.
	"cannot campaign at term",
}

func newQuieter(log *zap.Logger) *quieter {
	return &quieter{Core: log.Core(), closed: new(atomic.Bool), last: &last{fatal: make(chan struct{})}}
}

func (q *quieter) logger() *zap.Logger {
	return zap.New(q, zap.WithFatalHook(q.last), zap.WithPanicHook(q.last)).Named("etcd")
}
func (q *quieter) close() { q.closed.Store(true) }

func (q *quieter) Enabled(l zapcore.Level) bool {
	return l >= zapcore.WarnLevel && !q.closed.Load() && q.Core.Enabled(l)
}

func (q *quieter) With(f []zapcore.Field) zapcore.Core {
	return &quieter{Core: q.Core.With(f), closed: q.closed, last: q.last}
}

func (q *quieter) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !q.Enabled(e.Level) || slices.ContainsFunc(usual, func(s string) bool { return strings.Contains(e.Message, s) }) {
		return c
	}
	return c.AddCore(e, q)
}
