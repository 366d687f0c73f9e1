package embedded

import (
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quieter passes warnings and errors of etcd on, but for those that say nothing:
// what etcd says of any single member on a unix socket, and, once it is closed,
// of every listener, stream and context that ends with it.
type quieter struct {
	zapcore.Core
	closed *atomic.Bool
}

// usual are the warnings that come with every start.
var usual = []string{
	"Running http and grpc server on single port",
	"simple token is not cryptographically signed",
	"check file permission",
	// The storage version is written with the first election, looked for before.
	"Failed to detect schema version",
	"failed to update storage version",
}

func newQuieter(log *zap.Logger) *quieter {
	return &quieter{Core: log.Core(), closed: new(atomic.Bool)}
}

func (q *quieter) logger() *zap.Logger { return zap.New(q).Named("etcd") }
func (q *quieter) close()              { q.closed.Store(true) }

func (q *quieter) Enabled(l zapcore.Level) bool {
	return l >= zapcore.WarnLevel && !q.closed.Load() && q.Core.Enabled(l)
}

func (q *quieter) With(f []zapcore.Field) zapcore.Core {
	return &quieter{Core: q.Core.With(f), closed: q.closed}
}

func (q *quieter) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !q.Enabled(e.Level) || slices.ContainsFunc(usual, func(s string) bool { return strings.HasPrefix(e.Message, s) }) {
		return c
	}
	return c.AddCore(e, q)
}
