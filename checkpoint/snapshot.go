package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// snapshot is the newest checkpoint, open for workers that fetch it. If it is removed from
// the folder meanwhile, it can still be read to its end.
type snapshot struct {
	layout model.Layout
	mu     sync.RWMutex
	info   wire.SnapshotInfo
	files  map[string]*tensorFile
}

func newSnapshot(l model.Layout) *snapshot {
	return &snapshot{layout: l, info: wire.SnapshotInfo{Elements: l.Total}, files: map[string]*tensorFile{}}
}

// open replaces the checkpoint that is served.
func (s *snapshot) open(c saved) (err error) {
	state, err := readState(c.dir)
	if err != nil {
		return err
	}
	files := map[string]*tensorFile{}
	for _, name := range []string{modelFile, optimizerFile} {
		if files[name], err = openTensors(filepath.Join(c.dir, name)); err != nil {
			return errors.Join(fmt.Errorf("open checkpoint: %w", err), closeAll(files))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.files
	s.files = files
	s.info = wire.SnapshotInfo{
		Found: true, Step: c.step, Elements: s.layout.Total, Meta: state.Meta, Digest: state.Digest, Numerics: c.numerics,
	}
	return closeAll(old)
}

func closeAll(files map[string]*tensorFile) error {
	var err error
	for _, f := range files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// Close closes the files. Nothing is served after that.
func (s *snapshot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := s.files
	s.files, s.info = nil, wire.SnapshotInfo{Elements: s.layout.Total}
	return closeAll(files)
}

// read returns a range of a part, in bytes, and the size of the part.
func (s *snapshot) read(r wire.Range) ([]byte, int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	total := 4 * int64(s.layout.Total)
	part, ok := partOf[r.Name]
	switch {
	case !ok:
		return nil, 0, fmt.Errorf("a snapshot has no part %q", r.Name)
	case !s.info.Found || r.Step != s.info.Step:
		return nil, 0, fmt.Errorf("the checkpoint of step %d is not the newest, which is of step %d", r.Step, s.info.Step)
	case r.Offset < 0 || r.Offset%4 != 0 || r.Offset > total || r.Length < 0 || r.Length%4 != 0 || r.Length > wire.MaxChunk:
		return nil, 0, fmt.Errorf("range %d+%d of %s: not within %d bytes, or too long", r.Offset, r.Length, r.Name, total)
	}
	n := min(int64(r.Length), total-r.Offset) / 4
	to := make([]float32, n)
	if err := s.files[part.file].read(s.layout, part.prefix, int(r.Offset/4), to); err != nil {
		return nil, 0, err
	}
	return replica.Bytes(to), total, nil
}

// answer serves workers that join.
func (s *Service) answer(ctx context.Context, asked <-chan *bus.Message) {
	for {
		var m *bus.Message
		select {
		case <-ctx.Done():
			return
		case m = <-asked:
		}
		if m.Subject == s.subjects.SnapshotInfo(wire.IDCheckpoint) {
			s.snapshot.mu.RLock()
			info := s.snapshot.info
			s.snapshot.mu.RUnlock()
			s.reply(m, info, nil)
			continue
		}
		if err := transfer.Serve(m, s.snapshot.read); err != nil {
			s.log.Debug("answer", zap.String("subject", m.Subject), zap.Error(err))
		}
	}
}
