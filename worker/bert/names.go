//go:build cgo

package bert

import "github.com/gramme-project/gramme/worker/torch"

// Names of the tensors that the blocks take, by their places, as the layout has them
// after a prefix.
var (
	embedNames = [len(torch.EmbedWeights{})]string{
		torch.EmbedWords:     "word_embeddings.weight",
		torch.EmbedPositions: "position_embeddings.weight",
		torch.EmbedTypes:     "token_type_embeddings.weight",
		torch.EmbedNorm:      "LayerNorm.weight",
		torch.EmbedNormBias:  "LayerNorm.bias",
	}
	layerNames = [len(torch.LayerWeights{})]string{
		torch.LayerQuery:             "attention.self.query.weight",
		torch.LayerQueryBias:         "attention.self.query.bias",
		torch.LayerKey:               "attention.self.key.weight",
		torch.LayerKeyBias:           "attention.self.key.bias",
		torch.LayerValue:             "attention.self.value.weight",
		torch.LayerValueBias:         "attention.self.value.bias",
		torch.LayerAttention:         "attention.output.dense.weight",
		torch.LayerAttentionBias:     "attention.output.dense.bias",
		torch.LayerAttentionNorm:     "attention.output.LayerNorm.weight",
		torch.LayerAttentionNormBias: "attention.output.LayerNorm.bias",
		torch.LayerIntermediate:      "intermediate.dense.weight",
		torch.LayerIntermediateBias:  "intermediate.dense.bias",
		torch.LayerOutput:            "output.dense.weight",
		torch.LayerOutputBias:        "output.dense.bias",
		torch.LayerOutputNorm:        "output.LayerNorm.weight",
		torch.LayerOutputNormBias:    "output.LayerNorm.bias",
	}
	headsNames = [len(torch.HeadsWeights{})]string{
		torch.HeadsPooler:            "bert.pooler.dense.weight",
		torch.HeadsPoolerBias:        "bert.pooler.dense.bias",
		torch.HeadsTransform:         "cls.predictions.transform.dense.weight",
		torch.HeadsTransformBias:     "cls.predictions.transform.dense.bias",
		torch.HeadsTransformNorm:     "cls.predictions.transform.LayerNorm.weight",
		torch.HeadsTransformNormBias: "cls.predictions.transform.LayerNorm.bias",
		torch.HeadsDecoder:           "bert.embeddings.word_embeddings.weight",
		torch.HeadsDecoderBias:       "cls.predictions.bias",
		torch.HeadsNextSentence:      "cls.seq_relationship.weight",
		torch.HeadsNextSentenceBias:  "cls.seq_relationship.bias",
	}
)
