package sampler

// Batch is one micro-batch, ready for the model. The two-dimensional fields are
// row-major of shape [Rows, Seq].
type Batch struct {
	Rows, Seq int
	// IDs are the token ids after masking, Types the segment (0 = [CLS] A [SEP],
	// 1 = B [SEP] and 0 again for padding), Mask is 1 at every token.
	IDs, Types, Mask []int64
	// Positions are the flat indices (row*Seq + column) of the masked positions,
	// ascending; Labels are the original ids there.
	Positions, Labels []int64
	// Next has one label per row: 1 if B is a random segment, 0 if it follows A.
	Next []int64
	// Tokens counts the positions that are not padding.
	Tokens int
	// Truncated counts the tokens that did not fit and were cut off.
	Truncated int
}
