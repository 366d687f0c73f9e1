package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/runspec"
)

// manifestVersion is the version that this package writes and reads.
const manifestVersion = 1

// Manifest describes a checkpoint and its files.
type Manifest struct {
	Version  int           `json:"version"`
	Run      string        `json:"run"`
	Step     uint64        `json:"step"`
	SpecHash string        `json:"spec_hash"`
	Digest   string        `json:"digest"`            // of the replicas' state
	Numerics wire.Numerics `json:"numerics,omitzero"` // by whose arithmetic it was computed
	Software string        `json:"software,omitempty"`
	Created  time.Time     `json:"created"`
	Ledger   ledger.Tree   `json:"ledger"` // when the checkpoint was written

	// More about the run; absent in checkpoints of older builds.
	Generation uint64                   `json:"generation,omitempty"`
	Losses     *ledger.MeanLoss         `json:"losses,omitempty"` // since the checkpoint before
	Dropout    number.Float             `json:"dropout"`          // of the run; config.json holds what its users expect
	Precision  *runspec.PrecisionChoice `json:"precision,omitempty"`

	Files map[string]File `json:"files"` // all but the manifest
}

// File is the expected size and hash of one file.
type File struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

func (m Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(b, '\n'), nil
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// DamageError says which file of a checkpoint differs from the manifest.
type DamageError struct {
	Folder string // its name
	File   string // empty: the folder as a whole
	Reason string
}

func (d *DamageError) Error() string {
	return "checkpoint " + filepath.Join(d.Folder, d.File) + ": " + d.Reason
}

// damaged returns the *DamageError of a file of a folder.
func damaged(dir, file, format string, args ...any) error {
	return &DamageError{filepath.Base(dir), file, fmt.Sprintf(format, args...)}
}

// readManifest reads the manifest of a folder and returns its hash. If the manifest is
// damaged, the error is a *DamageError.
func readManifest(dir string) (m Manifest, hash string, err error) {
	damage := func(format string, args ...any) error { return damaged(dir, manifestFile, format, args...) }
	// The target of a link may change, and is not verified.
	if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
		return m, "", &DamageError{filepath.Base(dir), "", "it is no folder"}
	}
	path := filepath.Join(dir, manifestFile)
	if err := regular(path); err != nil {
		return m, "", damage("%v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return m, "", fmt.Errorf("read checkpoint: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, "", damage("not JSON of a manifest: %v", err)
	}
	if m.Version != manifestVersion {
		return m, "", damage("version %d is unknown; this is version %d", m.Version, manifestVersion)
	}
	for name := range m.Files {
		if filepath.Base(name) != name || name == manifestFile || !filepath.IsLocal(name) {
			return m, "", damage("%q is no name of a file in it", name)
		}
	}
	return m, sha256Hex(b), nil
}

// verifyFiles compares the files with the manifest. If one differs, the error is a
// *DamageError.
func verifyFiles(dir string, m Manifest, depth Depth) error {
	if len(m.Files) == 0 {
		return &DamageError{filepath.Base(dir), manifestFile, "it names no file"}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		damage := func(format string, args ...any) error { return damaged(dir, name, format, args...) }
		path := filepath.Join(dir, name)
		if err := regular(path); err != nil {
			return damage("%v", err)
		}
		want := m.Files[name]
		var got File
		var err error
		if depth == Sizes || depth == Weights && name == optimizerFile {
			got, err = sizeOf(path, want)
		} else {
			got, err = HashFile(path)
		}
		switch {
		case errors.Is(err, syscall.EIO):
			return damage("%v", err)
		case err != nil:
			return fmt.Errorf("verify checkpoint: %w", err)
		case got.Bytes != want.Bytes:
			return damage("%d bytes, the manifest says %d", got.Bytes, want.Bytes)
		case got.SHA256 != want.SHA256:
			return damage("its SHA-256 is not that of the manifest")
		}
	}
	return nil
}

// strangers looks for files that the manifest does not name: software that loads the folder
// may take them for a part of the model. If there is one, the error is a *DamageError.
func strangers(dir string, m Manifest) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("verify checkpoint: %w", err)
	}
	for _, e := range entries {
		if _, named := m.Files[e.Name()]; !named && e.Name() != manifestFile {
			return &DamageError{filepath.Base(dir), e.Name(), "the manifest does not name it"}
		}
	}
	return nil
}

// regular returns an error if path is no regular file. If that cannot be found out, opening
// the file will fail with the reason.
func regular(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it is missing")
	}
	if err == nil && !info.Mode().IsRegular() {
		return errors.New("it is no file")
	}
	return nil
}

// sizeOf returns the length of a file as a File, with the expected hash.
func sizeOf(path string, want File) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	return File{want.SHA256, info.Size()}, nil
}

// HashFile reads a file and says what it is.
func HashFile(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return File{}, err
	}
	return File{hex.EncodeToString(h.Sum(nil)), n}, nil
}
