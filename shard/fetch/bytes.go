package fetch

import (
	"context"
	"errors"
	"fmt"

	"github.com/gramme-project/gramme/internal/waiting"
)

// Bytes downloads something small, such as a shard.Bundle, into memory: name and
// sha256 are handed to the Source as they are, and the result is not verified
// (shard.DecodeBundle does that). More than limit bytes are refused. A failing
// Source is asked three times.
func Bytes(ctx context.Context, source Source, name, sha256 string, limit int64) ([]byte, error) {
	var out []byte
	failures := 0
	for {
		data, total, err := source(ctx, name, sha256, int64(len(out)), MaxRange)
		switch {
		case err == nil && total > limit:
			return nil, fmt.Errorf("fetch %s: %d bytes, at most %d are wanted", name, total, limit)
		case err == nil && (len(data) == 0 && total > 0 || int64(len(out)+len(data)) > total):
			return nil, fmt.Errorf("fetch %s: %w: %d bytes at offset %d of %d", name, ErrContent, len(data), len(out), total)
		case err == nil:
			if out = append(out, data...); int64(len(out)) == total {
				return out, nil
			}
			continue
		}
		failures++
		if ctx.Err() != nil || failures == attempts {
			return nil, fmt.Errorf("fetch %s: %w", name, errors.Join(ctx.Err(), err))
		}
		if err := waiting.Rest(ctx, pause<<(failures-1)); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", name, err)
		}
	}
}
