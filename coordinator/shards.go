package coordinator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/shard"
)

// shardQueue is the queue group of which one coordinator answers.
const shardQueue = "shards"

// shardServer gives workers the parts of the corpus that they lack. Workers verify what
// they receive.
type shardServer struct {
	dir    string
	shards map[string]shard.ShardInfo // by SHA-256
	bundle []byte
	log    *zap.Logger
}

func newShardServer(dir string, m shard.Manifest, log *zap.Logger) (*shardServer, error) {
	bundle, err := shard.EncodeBundle(dir)
	if err != nil {
		return nil, err
	}
	s := &shardServer{dir: dir, shards: map[string]shard.ShardInfo{}, bundle: bundle, log: log}
	for _, split := range []shard.Split{m.Splits.Train, m.Splits.Validation, m.Splits.Test} {
		for _, i := range split.Shards {
			s.shards[i.SHA256] = i
		}
	}
	return s, nil
}

// run answers requests until ctx ends.
func (s *shardServer) run(ctx context.Context, requests <-chan *bus.Message) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-requests:
			if err := transfer.Serve(m, s.read); err != nil {
				s.log.Debug("serve shards", zap.Error(err)) // the worker will ask again
			}
		}
	}
}

// read returns a range of a shard, or of the bundle, and the size of the whole.
func (s *shardServer) read(r wire.Range) ([]byte, int64, error) {
	if r.Name == shard.BundleName {
		return transfer.Piece(s.bundle, r)
	}
	info, ok := s.shards[r.Name]
	if !ok {
		return nil, 0, fmt.Errorf("shard %.80q is not one of this corpus", r.Name)
	}
	if r.Offset < 0 || r.Offset > info.Bytes || r.Length < 0 || r.Length > wire.MaxChunk {
		return nil, 0, fmt.Errorf("range %d+%d of shard %s: it has %d bytes, and a message carries %d", r.Offset, r.Length, info.Name, info.Bytes, wire.MaxChunk)
	}
	f, err := os.Open(filepath.Join(s.dir, filepath.Base(info.Name)))
	if err != nil {
		return nil, 0, fmt.Errorf("open shard %s: %w", info.Name, vfs.WithoutPath(err))
	}
	defer f.Close() // nothing was written
	data := make([]byte, min(int64(r.Length), info.Bytes-r.Offset))
	if _, err := f.ReadAt(data, r.Offset); err != nil {
		return nil, 0, fmt.Errorf("read shard %s at %d: %w", info.Name, r.Offset, vfs.WithoutPath(err))
	}
	return data, info.Bytes, nil
}
