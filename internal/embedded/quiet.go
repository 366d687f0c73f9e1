package embedded

import (
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quieter passes warnings and errors of etcd on until it is closed. Etcd warns
// of every listener, stream and context that ends while it shuts down; nothing
// of that is news to whoever shut it down.
type quieter struct {
	zapcore.Core
	closed *atomic.Bool
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
	if !q.Enabled(e.Level) {
		return c
	}
	return c.AddCore(e, q)
}
