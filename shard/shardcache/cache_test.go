package shardcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/shard"
)

// store is a Source over files in memory. It counts the bytes it sent.
type store struct {
	mu    sync.Mutex
	files map[string][]byte // by SHA-256
	calls int
	sent  int64
	// spoil, if not nil, may change an answer; call counts from 1.
	spoil func(call int, sha string, offset int64, data []byte, total int64) ([]byte, int64, error)
}

func (s *store) source(ctx context.Context, name, sha string, offset int64, length int) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	content, ok := s.files[sha]
	if !ok {
		return nil, 0, fmt.Errorf("no shard %s", name)
	}
	if length > MaxRange {
		return nil, 0, errors.New("range too large")
	}
	data := bytes.Clone(content[offset:min(offset+int64(length), int64(len(content)))])
	total := int64(len(content))
	var err error
	if s.spoil != nil {
		data, total, err = s.spoil(s.calls, sha, offset, data, total)
	}
	s.sent += int64(len(data))
	return data, total, err
}

// add makes a file of n random bytes.
func (s *store) add(n int) shard.ShardInfo {
	if s.files == nil {
		s.files = map[string][]byte{}
	}
	r := rand.New(rand.NewPCG(uint64(len(s.files)), uint64(n)))
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	sum := sha256.Sum256(content)
	sha := hex.EncodeToString(sum[:])
	s.files[sha] = content
	return shard.ShardInfo{Name: fmt.Sprintf("train-%05d.shard", len(s.files)-1), SHA256: sha, Bytes: int64(n), Chunks: 1, Tokens: 1}
}

func newCache(t *testing.T, s *store, maxBytes int64) *Cache {
	t.Helper()
	c, err := New(Config{Dir: filepath.Join(t.TempDir(), "cache"), Source: s.source, MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fetch fetches and compares the whole file.
func fetch(t *testing.T, c *Cache, s *store, info shard.ShardInfo) {
	t.Helper()
	path, err := c.Fetch(t.Context(), info)
	if err != nil {
		t.Error(err)
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, s.files[info.SHA256]) {
		t.Errorf("%s: %d bytes that differ, %v", info.Name, len(got), err)
	}
}

// listing is the files of a cache, without their suffix, sorted.
func listing(t *testing.T, c *Cache) (names []string, size int64) {
	t.Helper()
	entries, err := os.ReadDir(c.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
		names = append(names, strings.TrimSuffix(e.Name(), suffix))
	}
	return names, size
}

func TestFetch(t *testing.T) {
	s := &store{}
	infos := []shard.ShardInfo{s.add(100), s.add(MaxRange), s.add(2*MaxRange + 77)}
	c := newCache(t, s, 0)
	for range 2 {
		for _, info := range infos {
			fetch(t, c, s, info)
		}
		if s.calls != 5 || s.sent != 3*MaxRange+177 {
			t.Errorf("%d ranges of %d bytes", s.calls, s.sent)
		}
	}
	// The next process finds them.
	again, err := New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, again, s, infos[2])
	if s.calls != 5 {
		t.Errorf("downloaded again: %d ranges", s.calls)
	}
}

// TestFetchResumes: bytes from before an interruption are not downloaded again.
func TestFetchResumes(t *testing.T) {
	s := &store{}
	info := s.add(5*MaxRange + 5)
	c := newCache(t, s, 0)
	ctx, cancel := context.WithCancel(t.Context())
	s.spoil = func(call int, _ string, _ int64, data []byte, total int64) ([]byte, int64, error) {
		if call == 3 {
			cancel()
			return nil, 0, ctx.Err()
		}
		return data, total, nil
	}
	if _, err := c.Fetch(ctx, info); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "fetch shard train-00000.shard: ") {
		t.Fatalf("interrupted: %v", err)
	}
	if names, size := listing(t, c); size != 2*MaxRange || len(names) != 1 || !strings.HasSuffix(names[0], partSuffix) {
		t.Errorf("the cache holds %v of %d bytes", names, size)
	}
	again, err := New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, again, s, info)
	if s.sent != info.Bytes {
		t.Errorf("%d bytes were sent of %d", s.sent, info.Bytes)
	}
}

// TestFetchRefuses: other bytes than the shard's are refused after three attempts, and a
// source that recovers in time is forgiven. Time is that of a bubble.
func TestFetchRefuses(t *testing.T) {
	broken := errors.New("connection lost")
	type answer = func(data []byte, total int64) ([]byte, int64, error)
	for _, c := range []struct {
		name   string
		answer answer
		want   string
		is     error
		pauses time.Duration
	}{
		{"flipped bit", func(d []byte, n int64) ([]byte, int64, error) { d[0] ^= 1; return d, n, nil },
			"fetch shard train-00000.shard: given up after 3 attempts: wrong content: SHA-256 ", ErrContent, 0},
		{"other size", func(d []byte, n int64) ([]byte, int64, error) { return d, n + 1, nil },
			"wrong content: the source has 1501 bytes, the manifest says 1500", ErrContent, 0},
		{"no bytes", func(d []byte, n int64) ([]byte, int64, error) { return nil, n, nil },
			"wrong content: the source sent 0 bytes of the 1500 asked for", ErrContent, 0},
		{"too many bytes", func(d []byte, n int64) ([]byte, int64, error) { return append(d, 0), n, nil },
			"wrong content: the source sent 1501 bytes of the 1500 asked for", ErrContent, 0},
		{"an error", func(d []byte, n int64) ([]byte, int64, error) { return nil, 0, broken },
			"given up after 3 attempts: connection lost", broken, backoff.After(1) + backoff.After(2)},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{}
			info := s.add(1500)
			bad := 3
			s.spoil = func(call int, _ string, _ int64, data []byte, total int64) ([]byte, int64, error) {
				if call <= bad {
					return c.answer(data, total)
				}
				return data, total, nil
			}
			cache := newCache(t, s, 0)
			start := time.Now()
			_, err := cache.Fetch(t.Context(), info)
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, c.is) || s.calls != 3 {
				t.Errorf("%s: %v after %d calls", c.name, err, s.calls)
			}
			if d := time.Since(start); d != c.pauses {
				t.Errorf("%s: paused for %v, want %v", c.name, d, c.pauses)
			}
			if names, _ := listing(t, cache); len(names) != 1 || !strings.HasSuffix(names[0], partSuffix) {
				t.Errorf("%s: the cache holds %v", c.name, names)
			}
			s.calls, bad = 0, 2
			fetch(t, cache, s, info)
		})
	}
}

// TestFetchDecayed: a file that changed after its download is replaced.
func TestFetchDecayed(t *testing.T) {
	s := &store{}
	info := s.add(3000)
	c := newCache(t, s, 0)
	for _, decay := range []func(b []byte) []byte{
		func(b []byte) []byte { b[1234] ^= 4; return b },
		func(b []byte) []byte { return b[:2999] },
		func(b []byte) []byte { return append(b, 0) },
		func(b []byte) []byte { return nil },
	} {
		fetch(t, c, s, info)
		path := filepath.Join(c.cfg.Dir, info.SHA256+suffix)
		if err := os.WriteFile(path, decay(bytes.Clone(s.files[info.SHA256])), 0o644); err != nil {
			t.Fatal(err)
		}
		fetch(t, c, s, info)
	}
	// A rotten beginning of a download costs one attempt.
	part := filepath.Join(c.cfg.Dir, info.SHA256+suffix+partSuffix)
	for _, rotten := range []int{1000, 3000, 9000} {
		if err := errors.Join(os.Remove(filepath.Join(c.cfg.Dir, info.SHA256+suffix)), os.WriteFile(part, make([]byte, rotten), 0o644)); err != nil {
			t.Fatal(err)
		}
		fetch(t, c, s, info)
	}
	if names, _ := listing(t, c); !slices.Equal(names, []string{info.SHA256}) {
		t.Errorf("the cache holds %v", names)
	}
}

// TestFetchShares: many callers, in several caches over one folder as processes
// have them, download a shard once.
func TestFetchShares(t *testing.T) {
	s := &store{}
	var infos []shard.ShardInfo
	for range 4 {
		infos = append(infos, s.add(MaxRange+1000))
	}
	first := newCache(t, s, 0)
	second, err := New(first.cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() { fetch(t, []*Cache{first, second}[i%2], s, infos[i/2%4]) })
	}
	wg.Wait()
	if want := 4 * int64(MaxRange+1000); s.sent != want {
		t.Errorf("%d bytes were sent of %d", s.sent, want)
	}
}

// TestFetchTakesOver: the end of the context of the call that downloads does not
// end those that wait for it.
func TestFetchTakesOver(t *testing.T) {
	s := &store{}
	info := s.add(2 * MaxRange)
	leading := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	s.spoil = func(call int, _ string, _ int64, data []byte, total int64) ([]byte, int64, error) {
		if call == 1 {
			close(leading)
			<-ctx.Done()
			return nil, 0, ctx.Err()
		}
		return data, total, nil
	}
	c := newCache(t, s, 0)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Fetch(ctx, info); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
	<-leading
	impatient, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.Fetch(impatient, info); !errors.Is(err, context.Canceled) {
		t.Errorf("waited although its context has ended: %v", err)
	}
	for range 3 {
		wg.Go(func() { fetch(t, c, s, info) })
	}
	cancel()
	wg.Wait()
}

// TestFetchBounded: the least recently used shards go, and the bound holds after
// every call.
func TestFetchBounded(t *testing.T) {
	s := &store{}
	var infos []shard.ShardInfo
	for range 6 {
		infos = append(infos, s.add(1000))
	}
	c := newCache(t, s, 3500)
	var used []string // the oracle: the last used last
	r := rand.New(rand.NewPCG(4, 2))
	for range 300 {
		info := infos[r.IntN(len(infos))]
		fetch(t, c, s, info)
		used = append(slices.DeleteFunc(used, func(sha string) bool { return sha == info.SHA256 }), info.SHA256)
		used = used[max(0, len(used)-3):]
		names, size := listing(t, c)
		if want := slices.Sorted(slices.Values(used)); !slices.Equal(names, want) || size > 3500 {
			t.Fatalf("the cache holds %v of %d bytes, want %v", names, size, want)
		}
	}

	// Unfinished downloads count and go like the others, unless they are held.
	held := s.add(800)
	old := time.Now().Add(-time.Hour)
	var parts []string
	for _, info := range []shard.ShardInfo{held, s.add(700)} {
		part := filepath.Join(c.cfg.Dir, info.SHA256+suffix+partSuffix)
		if err := errors.Join(os.WriteFile(part, make([]byte, 600), 0o644), os.Chtimes(part, old, old)); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	f, err := os.Open(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fetch(t, c, s, s.add(1000))
	for i, there := range []bool{true, false} {
		if _, err := os.Stat(parts[i]); (err == nil) != there {
			t.Errorf("part %d: %v", i, err)
		}
	}

	if _, err := c.Fetch(t.Context(), s.add(4000)); err == nil || !strings.Contains(err.Error(), "4000 bytes do not fit into a cache of 3500") {
		t.Errorf("a shard larger than the cache: %v", err)
	}
}

// TestLoaderOverSmallCache: two loaders that push each other's shards out of a
// cache still get them all.
func TestLoaderOverSmallCache(t *testing.T) {
	s := &store{files: map[string][]byte{}}
	var split shard.Split
	for i := range 6 {
		b := shard.NewBuilder(64, 1000)
		for d := range 20 {
			if err := b.Add(uint64(d), []int32{int32(i), int32(d), 7}, nil); err != nil {
				t.Fatal(err)
			}
		}
		content := b.Encode()
		sum := sha256.Sum256(content)
		sha := hex.EncodeToString(sum[:])
		s.files[sha] = content
		split.Shards = append(split.Shards, shard.ShardInfo{Name: fmt.Sprintf("train-%05d.shard", i), SHA256: sha, Bytes: int64(len(content)), Chunks: 20, Tokens: 60})
	}
	c := newCache(t, s, 2*split.Shards[0].Bytes)
	load := shard.Loader(t.Context(), c, split)
	var wg sync.WaitGroup
	for worker := range 2 {
		wg.Go(func() {
			for n := range 40 {
				i := (n*(worker+1) + worker) % 6
				sh, err := load(i)
				if err != nil {
					t.Error(err)
				} else if got := sh.AppendTokens(nil, 3, 0, 3); !slices.Equal(got, []int32{int32(i), 3, 7}) {
					t.Errorf("shard %d: %v", i, got)
				}
			}
		})
	}
	wg.Wait()
}

func TestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		small, large, empty := s.add(10), s.add(2*MaxRange+3), s.add(0)
		broken := errors.New("connection lost")
		fails := 2
		s.spoil = func(_ int, _ string, _ int64, data []byte, total int64) ([]byte, int64, error) {
			if fails > 0 {
				fails--
				return nil, 0, broken
			}
			return data, total, nil
		}
		for _, info := range []shard.ShardInfo{small, large, empty} {
			got, err := Bytes(t.Context(), s.source, info.Name, info.SHA256, 4*MaxRange)
			if err != nil || !bytes.Equal(got, s.files[info.SHA256]) {
				t.Errorf("%d bytes: %v", info.Bytes, err)
			}
		}
		fails = 3
		if _, err := Bytes(t.Context(), s.source, "bundle", small.SHA256, 100); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "fetch bundle: ") {
			t.Errorf("broken: %v", err)
		}
		if _, err := Bytes(t.Context(), s.source, "bundle", large.SHA256, 100); err == nil || !strings.Contains(err.Error(), "at most 100 are wanted") {
			t.Errorf("too large: %v", err)
		}
		s.spoil = func(_ int, _ string, _ int64, data []byte, total int64) ([]byte, int64, error) {
			return nil, total, nil
		}
		if _, err := Bytes(t.Context(), s.source, "bundle", small.SHA256, 100); !errors.Is(err, ErrContent) {
			t.Errorf("no bytes: %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{Dir: file}, {Dir: t.TempDir(), MaxBytes: -1}} {
		if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), "shard cache "+cfg.Dir) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
