package checkpoint

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/gramme-project/gramme/checkpoint/assembly"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// stored is the content of state.json: the state without its tensors.
type stored struct {
	Digest string          `json:"digest"` // of the whole state
	Meta   json.RawMessage `json:"replica"`
}

// stage writes all files of a checkpoint into a folder, durably, the manifest
// last, and returns it with its hash.
func (s *store) stage(dir string, state *replica.State, a assembly.Metadata) (Manifest, string, error) {
	head := s.log.Head()
	m := Manifest{
		Version: manifestVersion, Run: s.spec.Run, Step: state.Step, SpecHash: s.spec.Hash(), Digest: a.Digest,
		Numerics: a.Numerics, Software: s.software, Created: s.now().UTC(), Ledger: head.Tree(), Files: map[string]File{},
		Generation: a.Generation, Losses: s.losses(state), Dropout: number.Float(s.spec.Dropout), Precision: s.precision,
	}
	small, err := s.smallFiles(state, a.Digest)
	if err != nil {
		return m, "", err
	}
	small[headFile] = head.Note
	write := func(name string, content func(io.Writer) error) error {
		f, err := s.writeFile(filepath.Join(dir, name), content)
		m.Files[name] = f
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(small)) {
		if err := write(name, vfs.Bytes(small[name])); err != nil {
			return m, "", err
		}
	}
	if err := write(modelFile, func(w io.Writer) error {
		return writeTensors(w, s.layout, group{partOf[wire.PartWeights].prefix, state.Weights})
	}); err != nil {
		return m, "", err
	}
	if err := write(optimizerFile, func(w io.Writer) error {
		return writeTensors(w, s.layout, group{partOf[wire.PartMoment1].prefix, state.Moment1}, group{partOf[wire.PartMoment2].prefix, state.Moment2})
	}); err != nil {
		return m, "", err
	}
	b, err := m.encode()
	if err != nil {
		return m, "", err
	}
	if _, err := s.writeFile(filepath.Join(dir, manifestFile), vfs.Bytes(b)); err != nil {
		return m, "", err
	}
	return m, sha256Hex(b), vfs.SyncDir(s.disk, dir)
}

// smallFiles returns the files whose content is already in memory.
func (s *store) smallFiles(state *replica.State, digest string) (map[string][]byte, error) {
	files := maps.Clone(s.tokenizer)
	var err error
	if files[configFile], err = s.exportedConfig().HF(); err != nil {
		return nil, err
	}
	if files[specFile], err = s.spec.Encode(); err != nil {
		return nil, err
	}
	meta, err := state.EncodeMeta()
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(stored{digest, meta}, "", "  ")
	if err != nil {
		return nil, err
	}
	files[stateFile] = append(b, '\n')
	return files, nil
}

// exportedConfig is the model's configuration for users who continue with the weights in
// other software. Many runs train without dropout, because they see no sample twice; but
// fine-tuning on little text expects BERT's. The run's own dropout is in the manifest and
// in its spec.
func (s *store) exportedConfig() model.Config {
	c := s.spec.ModelConfig(s.spec.VocabSize)
	if c.HiddenDropout == 0 {
		c.HiddenDropout = model.UsualDropout
	}
	if c.AttentionDropout == 0 {
		c.AttentionDropout = model.UsualDropout
	}
	return c
}

// writeFile writes a file durably and returns its size and hash.
func (s *store) writeFile(path string, content func(io.Writer) error) (out File, err error) {
	h := sha256.New()
	n := counter(0)
	err = vfs.Stage(s.disk, path, 0o644, func(f io.Writer) error {
		w := bufio.NewWriterSize(io.MultiWriter(f, h, &n), 64<<10)
		if err := content(w); err != nil {
			return err
		}
		return w.Flush()
	})
	if err != nil {
		return out, fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return File{hex.EncodeToString(h.Sum(nil)), int64(n)}, nil
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// readState reads state.json of a checkpoint.
func readState(dir string) (stored, error) {
	var s stored
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return s, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read state of %s: %w", filepath.Base(dir), err)
	}
	return s, nil
}

// metaOf reads the small part of the state of a checkpoint.
func metaOf(dir string) (replica.Meta, error) {
	var m replica.Meta
	s, err := readState(dir)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(s.Meta, &m); err != nil {
		return m, fmt.Errorf("read state of %s: %w", filepath.Base(dir), err)
	}
	return m, nil
}
