package shard

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/gramme-project/gramme/internal/vfs"
)

// shardName matches the names of the shards that a preparation writes.
var shardName = regexp.MustCompile(`^(train|validation|test)-\d{5,}\.shard$`)

// publish writes the remaining files and makes the corpus visible: the old manifest
// goes first, the new one comes last.
func (p *preparation) publish(tok textTokenizer) error {
	files, err := tok.Files(max(512, p.opts.MaxSeq))
	if err != nil {
		return fmt.Errorf("write tokenizer: %w", err)
	}
	p.manifest.Files = map[string]string{}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		p.manifest.Files[name] = sha256Hex(files[name])
		if err := p.write(name, files[name]); err != nil {
			return err
		}
	}
	p.manifest.TokenizerSHA256 = p.manifest.Files["vocab.txt"]
	if p.opts.Tokenizer != "" {
		p.prov.Options.Tokenizer = p.manifest.TokenizerSHA256
		p.prov.Options.VocabSize = p.manifest.VocabSize
	}
	p.manifest.Provenance = p.prov
	if err := p.manifest.Validate(); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	b, err := p.manifest.Encode()
	if err != nil {
		return err
	}
	if err := p.write(ManifestName, b); err != nil {
		return err
	}
	for _, i := range p.manifest.shards() {
		names = append(names, i.Name)
	}
	return p.moveIntoPlace(names)
}

// moveIntoPlace moves the files of the staging folder to their place.
func (p *preparation) moveIntoPlace(names []string) error {
	out := p.opts.OutDir
	if err := p.fsys.Remove(filepath.Join(out, ManifestName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := vfs.SyncDir(p.fsys, out); err != nil {
		return err
	}
	old, err := p.fsys.ReadDir(out)
	if err != nil {
		return err
	}
	for _, f := range old {
		if !shardName.MatchString(f.Name()) {
			continue
		}
		if err := p.fsys.Remove(filepath.Join(out, f.Name())); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := p.fsys.Rename(filepath.Join(p.staging, name), filepath.Join(out, name)); err != nil {
			return err
		}
	}
	if err := vfs.SyncDir(p.fsys, out); err != nil {
		return err
	}
	return vfs.Commit(p.fsys, filepath.Join(p.staging, ManifestName), filepath.Join(out, ManifestName))
}

// write writes a file that has reached the disk when it returns.
func (p *preparation) write(name string, content []byte) error {
	if err := vfs.Stage(p.fsys, filepath.Join(p.staging, name), 0o644, vfs.Bytes(content)); err != nil {
		return fmt.Errorf("write %s: %w", name, vfs.WithoutPath(err))
	}
	return nil
}
