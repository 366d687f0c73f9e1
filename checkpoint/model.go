package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/checkpoint/safetensors"
	"github.com/gramme-project/gramme/internal/words"
	"github.com/gramme-project/gramme/replica/model"
)

// ReadModel reads the model of a checkpoint, or of another folder that
// transformers' BertForPreTraining wrote: its architecture, layout, and weights as
// one flat buffer. It takes F32, F16 and BF16, and the names that TensorFlow's
// checkpoints were converted to (gamma, beta).
func ReadModel(dir string) (c model.Config, l model.Layout, flat []float32, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read model %s: %w", dir, err)
		}
	}()
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return c, l, nil, err
	}
	if c, err = model.ParseHF(text); err != nil {
		return c, l, nil, err
	}
	l = model.NewLayout(c)
	f, err := openTensors(filepath.Join(dir, modelFile))
	if err != nil {
		return c, l, nil, err
	}
	defer f.Close()
	flat = make([]float32, l.Total)
	var missing []string
	for _, t := range l.Tensors {
		stored, ok := findTensor(f.header, t.Name)
		if !ok {
			missing = append(missing, t.Name)
			continue
		}
		if !sameShape(stored.Shape, t.Shape) {
			return c, l, nil, fmt.Errorf("tensor %s has shape %v, %s says %v", stored.Name, stored.Shape, configFile, t.Shape)
		}
		if err := safetensors.ReadFloats(f.file, stored, 0, flat[t.Offset:t.Offset+t.Len]); err != nil {
			return c, l, nil, err
		}
	}
	if len(missing) > 0 {
		return c, l, nil, fmt.Errorf("%s missing, as %s: is it a model with its pretraining heads?", words.Several(len(missing), "tensor"), missing[0])
	}
	return c, l, flat, nil
}

// findTensor finds a tensor under its name or the older spelling.
func findTensor(h safetensors.Header, name string) (safetensors.Tensor, bool) {
	if t, ok := h.Find(name); ok {
		return t, true
	}
	older := strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta").Replace(name)
	return h.Find(older)
}

func sameShape(a []int64, b []int) bool {
	return slices.EqualFunc(a, b, func(x int64, y int) bool { return x == int64(y) })
}
