package shardcache

import (
	"context"
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
	err := waiting.Retry(ctx, backoff, func(ctx context.Context) (bool, error) {
		for {
			data, total, err := source(ctx, name, sha256, int64(len(out)), MaxRange)
			switch {
			case err != nil:
				failures++
				return failures == attempts, err
			case total > limit:
				return true, fmt.Errorf("%d bytes, at most %d are wanted", total, limit)
			case len(data) == 0 && total > 0 || int64(len(out)+len(data)) > total:
				return true, fmt.Errorf("%w: %d bytes at offset %d of %d", ErrContent, len(data), len(out), total)
			}
			if out = append(out, data...); int64(len(out)) == total {
				return true, nil
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", name, err)
	}
	return out, nil
}
