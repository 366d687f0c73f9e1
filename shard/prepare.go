package shard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/gramme-project/gramme/internal/vfs"
)

// stagingName is the folder within OutDir in which a preparation works; files there
// belong to an interrupted one.
const stagingName = ".prepare"

// Prepare reads a corpus, trains a vocabulary, and writes shards and manifest to
// OutDir. It passes over the text three times: reading, which cleans and
// de-duplicates it into a temporary file; the vocabulary; the tokens. Memory is
// bounded by about 256 MB and the vocabulary's training, whatever the corpus.
//
// An error leaves OutDir as it was: no file of the new corpus becomes visible
// before all of them have reached the disk. An *corpus.InputError in the chain
// means that the input is at fault; a full disk is syscall.ENOSPC.
func Prepare(ctx context.Context, opts PrepareOptions) (Manifest, error) {
	return (&preparation{opts: opts, fsys: vfs.OS{}, makeTokenizer: makeWordPiece}).prepare(ctx)
}

func (p *preparation) prepare(ctx context.Context) (Manifest, error) {
	if err := p.opts.Validate(); err != nil {
		return Manifest{}, err
	}
	if p.opts.Progress == nil {
		p.opts.Progress = func(string, int64, int64) {}
	}
	if err := p.inStaging(ctx); err != nil {
		return Manifest{}, fmt.Errorf("prepare %s: %w", p.opts.OutDir, err)
	}
	return p.manifest, nil
}

// inStaging runs the preparation in the staging folder, and leaves nothing behind when it
// fails.
func (p *preparation) inStaging(ctx context.Context) error {
	if p.opts.Tokenizer != "" {
		// Found out before the corpus is read, which may take long.
		if _, err := os.Stat(filepath.Join(p.opts.Tokenizer, "vocab.txt")); err != nil {
			return fmt.Errorf("open tokenizer %s: vocab.txt: %w", p.opts.Tokenizer, vfs.WithoutPath(err))
		}
	}
	out := p.opts.OutDir
	if _, err := p.fsys.Stat(out); errors.Is(err, fs.ErrNotExist) {
		// A folder made for nothing goes again; with files in it, it stays.
		defer func() { _ = p.fsys.Remove(out) }()
	}
	if err := vfs.MkdirAll(p.fsys, out, 0o755); err != nil {
		return vfs.WithoutPath(err)
	}
	lock, err := vfs.Lock(p.fsys, out, 0)
	if errors.Is(err, vfs.ErrLocked) {
		err = errors.New("another process is preparing this folder")
	}
	if err != nil {
		return vfs.WithoutPath(err)
	}
	defer lock.Close()
	p.staging = filepath.Join(out, stagingName)
	if err := vfs.RemoveAll(p.fsys, p.staging); err != nil {
		return err
	}
	if err := p.fsys.Mkdir(p.staging, 0o755); err != nil {
		return vfs.WithoutPath(err)
	}
	defer func() { _ = vfs.RemoveAll(p.fsys, p.staging) }()
	return p.run(ctx)
}

func (p *preparation) run(ctx context.Context) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	tok, err := p.makeTokenizer(ctx, p.opts, p.trainText(vocabularyBytes))
	if err != nil {
		return err
	}
	if err := p.tokenize(ctx, tok); err != nil {
		return err
	}
	return p.publish(tok)
}

// preparation is one call of Prepare.
type preparation struct {
	opts     PrepareOptions
	fsys     vfs.FS
	staging  string
	spool    *spool
	splitter splitter
	prov     Provenance
	manifest Manifest
	// makeTokenizer trains on the text, or loads what the options name.
	makeTokenizer func(ctx context.Context, opts PrepareOptions, text iter.Seq2[string, error]) (textTokenizer, error)
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
