package model

import (
	"encoding/json"
	"fmt"
)

// hfConfig is Hugging Face's config.json as BertForPreTraining writes it.
type hfConfig struct {
	Architectures []string `json:"architectures"`
	ModelType     string   `json:"model_type"`
	Config
	PositionEmbeddingType string `json:"position_embedding_type"`
	TorchDtype            string `json:"torch_dtype"`
}

// HF returns the config.json that makes transformers load the checkpoint.
func (c Config) HF() ([]byte, error) {
	b, err := json.MarshalIndent(hfConfig{
		Architectures: []string{"BertForPreTraining"}, ModelType: "bert", Config: c,
		PositionEmbeddingType: "absolute", TorchDtype: "float32",
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write config.json: %w", err)
	}
	return append(b, '\n'), nil
}

// ParseHF reads a config.json of a BERT model. Keys that it does not know are
// ignored: transformers adds its own.
func ParseHF(b []byte) (Config, error) {
	h := hfConfig{Config: bert}
	if err := json.Unmarshal(b, &h); err != nil {
		return Config{}, fmt.Errorf("read config.json: %w", err)
	}
	if h.ModelType != "bert" {
		return Config{}, fmt.Errorf("read config.json: model_type %q is not bert", h.ModelType)
	}
	if h.PositionEmbeddingType != "" && h.PositionEmbeddingType != "absolute" {
		return Config{}, fmt.Errorf("read config.json: position_embedding_type %q is not supported", h.PositionEmbeddingType)
	}
	if err := h.Config.Validate(); err != nil {
		return Config{}, fmt.Errorf("read config.json: %w", err)
	}
	return h.Config, nil
}
