package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gramme-project/gramme/checkpoint/safetensors"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// partOf says where each part of a state is stored: the file, and the prefix of the tensor's
// name in it. Adam's moments have the names that PyTorch gives them.
var partOf = map[string]struct{ file, prefix string }{
	wire.PartWeights: {modelFile, ""},
	wire.PartMoment1: {optimizerFile, "exp_avg."},
	wire.PartMoment2: {optimizerFile, "exp_avg_sq."},
}

// group is a flat buffer under a prefix of names.
type group struct {
	prefix string
	flat   []float32
}

// writeTensors writes flat buffers of a layout, without the gaps between tensors.
// Equal buffers give equal bytes.
func writeTensors(w io.Writer, l model.Layout, groups ...group) error {
	var tensors []safetensors.Tensor
	for _, g := range groups {
		for _, t := range l.Tensors {
			shape := make([]int64, len(t.Shape))
			for i, d := range t.Shape {
				shape[i] = int64(d)
			}
			tensors = append(tensors, safetensors.Tensor{Name: g.prefix + t.Name, Type: safetensors.F32, Shape: shape})
		}
	}
	// transformers refuses a file that does not say whose tensors these are.
	_, text, err := safetensors.New(tensors, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	for _, g := range groups {
		for _, t := range l.Tensors {
			if _, err := w.Write(replica.Bytes(g.flat[t.Offset : t.Offset+t.Len])); err != nil {
				return err
			}
		}
	}
	return nil
}

// tensorFile is an open file of tensors that are read as if they were a flat
// buffer.
type tensorFile struct {
	file   *os.File
	header safetensors.Header
}

func openTensors(path string) (*tensorFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var h safetensors.Header
		if h, err = safetensors.Read(f, info.Size()); err == nil {
			return &tensorFile{f, h}, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, errors.Join(err, f.Close()))
}

// read fills to with the elements from first on of the flat buffer whose tensors
// have this prefix. The gaps between tensors are zero.
func (f *tensorFile) read(l model.Layout, prefix string, first int, to []float32) error {
	clear(to)
	end := first + len(to)
	for _, t := range l.Tensors {
		from, until := max(t.Offset, first), min(t.Offset+t.Len, end)
		if from >= until {
			continue
		}
		stored, ok := f.header.Find(prefix + t.Name)
		if !ok {
			return fmt.Errorf("%s has no tensor %s", f.file.Name(), prefix+t.Name)
		}
		if stored.Elements() != int64(t.Len) {
			return fmt.Errorf("%s: tensor %s has shape %v, the model %v", f.file.Name(), stored.Name, stored.Shape, t.Shape)
		}
		if err := safetensors.ReadFloats(f.file, stored, int64(from-t.Offset), to[from-first:until-first]); err != nil {
			return fmt.Errorf("%s: %w", f.file.Name(), err)
		}
	}
	return nil
}

func (f *tensorFile) Close() error { return f.file.Close() }
